#include "image/codec.h"

#include "core/memory.h"

#include <webp/decode.h>
#include <webp/demux.h>

static mkd_status fail_webp(const mk_encoded *file, VP8StatusCode code)
{
  static const char *const texts[] = {
      [VP8_STATUS_OUT_OF_MEMORY] = "out of memory",
      [VP8_STATUS_INVALID_PARAM] = "invalid parameter",
      [VP8_STATUS_BITSTREAM_ERROR] = "broken bit stream",
      [VP8_STATUS_UNSUPPORTED_FEATURE] = "unsupported feature",
      [VP8_STATUS_SUSPENDED] = "the file is cut short",
      [VP8_STATUS_USER_ABORT] = "aborted",
      [VP8_STATUS_NOT_ENOUGH_DATA] = "the file is cut short",
  };
  return mk_fail(code == VP8_STATUS_OUT_OF_MEMORY ? MKD_ERROR_MEMORY : MKD_ERROR_FILE,
                 "%s: damaged WebP: %s", file->name, texts[code]);
}

/* The EXIF data is in a chunk behind the pixels. */
static int read_orientation(const mk_encoded *file)
{
  WebPDemuxer *demuxer = WebPDemux(&(WebPData){file->data, file->size});
  WebPChunkIterator chunk;
  int orientation = 1;
  if (demuxer && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
    orientation = mk_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  WebPDemuxDelete(demuxer);
  return orientation;
}

static mkd_status decode_into(uint8_t *pixels, size_t stride, size_t size, WEBP_CSP_MODE mode,
                              const mk_encoded *file)
{
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return mk_fail(MKD_ERROR_FILE, "%s: libwebp does not fit its header", file->name);
  config.output.colorspace = mode;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = (WebPRGBABuffer){pixels, (int)stride, size};
  VP8StatusCode code = WebPDecode(file->data, file->size, &config);
  WebPFreeDecBuffer(&config.output);
  return code == VP8_STATUS_OK ? MKD_OK : fail_webp(file, code);
}

static mkd_status decode_alpha(mkd_picture *picture, const mk_encoded *file)
{
  const mkd_image *image = &picture->image;
  size_t stride = (size_t)image->width * 4;
  uint8_t *rgba;
  MK_TRY(mk_alloc(&rgba, (size_t)image->height, stride));
  mkd_status status = decode_into(rgba, stride, stride * (size_t)image->height, MODE_RGBA, file);
  for (int y = 0; status == MKD_OK && y < image->height; ++y) {
    const uint8_t *from = rgba + (size_t)y * stride;
    uint8_t *to = mk_picture_row(picture, y);
    for (int x = 0; x < image->width; ++x, from += 4, to += 3)
      for (int c = 0; c < 3; ++c) to[c] = mk_over_black8(from[c], from[3]);
  }
  mk_free(rgba);
  return status;
}

mkd_status mk_webp_decode(mkd_picture **out, const mk_encoded *file)
{
  WebPBitstreamFeatures features;
  VP8StatusCode code = WebPGetFeatures(file->data, file->size, &features);
  if (code != VP8_STATUS_OK) return fail_webp(file, code);
  if (features.has_animation)
    return mk_fail(MKD_ERROR_FILE, "%s: is an animated WebP; a single picture is needed",
                   file->name);
  mkd_picture *picture;
  MK_TRY(mk_picture_create(&picture, (uint64_t)features.width, (uint64_t)features.height, MKD_RGB8,
                           file->limits, file->name));
  size_t stride = picture->image.stride;
  mkd_status status = features.has_alpha
                          ? decode_alpha(picture, file)
                          : decode_into(picture->memory, stride,
                                        stride * (size_t)picture->image.height, MODE_RGB, file);
  if (status == MKD_OK) status = mk_picture_orient(picture, read_orientation(file));
  if (status != MKD_OK) {
    mkd_picture_destroy(picture);
    return status;
  }
  *out = picture;
  return MKD_OK;
}
