/* The first picture of a TIFF file, through libtiff, strip by strip or tile by tile ("chunks"). */
#include "image/codec.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

#include <tiffio.h>

enum { MAX_SAMPLES = 5 }; /* C M Y K and alpha */

typedef struct {
  const mk_encoded *file;
  size_t position;
  char text[512]; /* libtiff's first error */
  TIFF *tiff;
  mkd_picture *picture;

  uint32_t width, height;             /* of the picture */
  uint32_t chunk_width, chunk_height; /* of a tile, or of a strip */
  uint16_t bits, samples, photometric;
  bool planar, alpha;
  uint16_t *palette[3]; /* R G B, 1 << bits entries each; libtiff's */
  bool narrow_palette;  /* its values are 0..255 */

  uint8_t *chunk; /* `planes` of them, plane_size each */
  int planes;
  size_t plane_size;
} decoder;

/* ---- libtiff's view of the file -------------------------------------------------------------- */

static tmsize_t on_read(thandle_t handle, void *data, tmsize_t size)
{
  decoder *d = handle;
  size_t left = d->file->size - d->position, count = (size_t)size < left ? (size_t)size : left;
  memcpy(data, d->file->data + d->position, count);
  d->position += count;
  return (tmsize_t)count;
}

static tmsize_t on_write(thandle_t handle, void *data, tmsize_t size)
{
  (void)handle;
  (void)data;
  (void)size;
  return -1;
}

/* Beyond the end is the end: reading there gives nothing. */
static toff_t on_seek(thandle_t handle, toff_t offset, int whence)
{
  decoder *d = handle;
  uint64_t base = whence == SEEK_CUR ? d->position : whence == SEEK_END ? d->file->size : 0;
  uint64_t target = base + offset; /* a negative offset wraps around, and back */
  if (target > d->file->size) target = d->file->size;
  d->position = (size_t)target;
  return target;
}

static int on_close(thandle_t handle)
{
  (void)handle;
  return 0;
}

static toff_t on_size(thandle_t handle)
{
  return ((decoder *)handle)->file->size;
}

static void keep_text(decoder *d, const char *format, va_list args)
{
  if (d->text[0] == '\0') vsnprintf(d->text, sizeof d->text, format, args);
}

static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list args)
{
  (void)tiff;
  (void)module;
  keep_text(context, format, args);
  return 1;
}

/* libjpeg warns when it makes pixels up for missing or broken data: that is an error here. */
static int on_warning(TIFF *tiff, void *context, const char *module, const char *format,
                      va_list args)
{
  (void)tiff;
  if (module && strcmp(module, "JPEGLib") == 0) keep_text(context, format, args);
  return 1;
}

static mkd_status open_tiff(decoder *d)
{
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return mk_fail_memory(sizeof(void *));
  /* Also bounds the tables of strips, which need room for themselves. */
  const uint64_t least = 1 << 17;
  uint64_t pixels = d->file->limits->max_pixels;
  if (pixels < least) pixels = least;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, pixels < PTRDIFF_MAX / 8 ? (tmsize_t)pixels * 8
                                                                        : PTRDIFF_MAX);
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, d);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, d);
  d->tiff = TIFFClientOpenExt(d->file->name, "rm", d, on_read, on_write, on_seek, on_close, on_size,
                              NULL, NULL, options);
  TIFFOpenOptionsFree(options);
  if (!d->tiff) return mk_fail(MKD_ERROR_FILE, "%s: damaged TIFF: %s", d->file->name, d->text);
  return MKD_OK;
}

/* ---- What the file says it is ---------------------------------------------------------------- */

static int colour_samples(uint16_t photometric)
{
  switch (photometric) {
  case PHOTOMETRIC_MINISWHITE:
  case PHOTOMETRIC_MINISBLACK:
  case PHOTOMETRIC_PALETTE:
    return 1;
  case PHOTOMETRIC_RGB:
    return 3;
  case PHOTOMETRIC_SEPARATED:
    return 4;
  default:
    return 0;
  }
}

static mkd_status check_samples(const decoder *d, uint16_t sample_format)
{
  static const char *const kinds[] = {"unsigned", "signed",  "floating-point",
                                      "untyped",  "complex", "complex"};
  const char *name = d->file->name;
  if (sample_format != SAMPLEFORMAT_UINT)
    return mk_fail(MKD_ERROR_FILE,
                   "%s: TIFF of %u-bit %s samples; unsigned 8- and 16-bit ones are supported", name,
                   d->bits,
                   sample_format >= 1 && sample_format <= 6 ? kinds[sample_format - 1] : "unknown");
  int colours = colour_samples(d->photometric);
  if (colours == 0)
    return mk_fail(MKD_ERROR_FILE,
                   "%s: TIFF of photometric type %u; grey, RGB, palette and CMYK are supported",
                   name, d->photometric);
  bool small = (d->bits == 1 || d->bits == 2 || d->bits == 4) && d->samples == 1;
  if (!small && d->bits != 8 && !(d->bits == 16 && d->photometric != PHOTOMETRIC_PALETTE))
    return mk_fail(MKD_ERROR_FILE,
                   "%s: TIFF of %u samples of %u bits; 8 and 16 bits are supported, and up to 4 in "
                   "grey and palette pictures",
                   name, d->samples, d->bits);
  if (d->samples != colours && d->samples != colours + 1)
    return mk_fail(MKD_ERROR_FILE, "%s: TIFF of %u samples a pixel; %d or %d are supported", name,
                   d->samples, colours, colours + 1);
  return MKD_OK;
}

static bool has_alpha(const decoder *d)
{
  /* Associated alpha has been multiplied in already: the colours are those over black. */
  uint16_t count = 0, *kinds = NULL;
  return d->samples > colour_samples(d->photometric) &&
         TIFFGetField(d->tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) && count > 0 &&
         kinds[0] == EXTRASAMPLE_UNASSALPHA;
}

static mkd_status read_palette(decoder *d)
{
  if (!TIFFGetField(d->tiff, TIFFTAG_COLORMAP, &d->palette[0], &d->palette[1], &d->palette[2]))
    return mk_fail(MKD_ERROR_FILE, "%s: damaged TIFF: no palette", d->file->name);
  d->narrow_palette = true; /* some writers take the 16-bit entries for 8-bit ones */
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 1 << d->bits; ++i)
      if (d->palette[c][i] > 255) d->narrow_palette = false;
  return MKD_OK;
}

static mkd_status read_header(decoder *d)
{
  TIFF *tiff = d->tiff;
  uint16_t compression, sample_format, planar;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &d->width) ||
      !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &d->height) ||
      !TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &d->photometric))
    return mk_fail(MKD_ERROR_FILE, "%s: damaged TIFF: no size or no photometric type",
                   d->file->name);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &d->bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &d->samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &sample_format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
  if (d->photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG) {
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    d->photometric = PHOTOMETRIC_RGB;
  }
  MK_TRY(check_samples(d, sample_format));
  d->planar = planar == PLANARCONFIG_SEPARATE && d->samples > 1;
  d->alpha = has_alpha(d);
  return d->photometric == PHOTOMETRIC_PALETTE ? read_palette(d) : MKD_OK;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

static mkd_status fail_pixels(const decoder *d)
{
  return mk_fail(MKD_ERROR_FILE, "%s: damaged TIFF: %s", d->file->name,
                 d->text[0] ? d->text : "the file is cut short");
}

static mkd_status prepare_chunks(decoder *d)
{
  bool tiled = TIFFIsTiled(d->tiff);
  d->chunk_width = d->width;
  if (tiled) {
    TIFFGetField(d->tiff, TIFFTAG_TILEWIDTH, &d->chunk_width);
    TIFFGetField(d->tiff, TIFFTAG_TILELENGTH, &d->chunk_height);
  } else {
    TIFFGetFieldDefaulted(d->tiff, TIFFTAG_ROWSPERSTRIP, &d->chunk_height);
    if (d->chunk_height > d->height) d->chunk_height = d->height;
  }
  if (d->chunk_width == 0 || d->chunk_height == 0)
    return mk_fail(MKD_ERROR_FILE, "%s: damaged TIFF: tiles or strips without pixels",
                   d->file->name);
  if (d->chunk_width > d->file->limits->max_pixels / d->chunk_height)
    return mk_fail(MKD_ERROR_FILE, "%s: has tiles of %lu x %lu pixels, more than the limit of %llu",
                   d->file->name, (unsigned long)d->chunk_width, (unsigned long)d->chunk_height,
                   (unsigned long long)d->file->limits->max_pixels);
  d->planes = d->planar ? d->samples : 1;
  tmsize_t size = tiled ? TIFFTileSize(d->tiff) : TIFFVStripSize(d->tiff, d->chunk_height);
  uint64_t expected =
      ((uint64_t)d->chunk_width * d->bits * (d->planar ? 1 : d->samples) + 7) / 8 * d->chunk_height;
  if (size <= 0 || (uint64_t)size != expected) return fail_pixels(d);
  d->plane_size = (size_t)size;
  return mk_alloc(&d->chunk, d->plane_size, (size_t)d->planes);
}

/* Reads the chunk that begins at pixel (x, y), and has `rows` rows in the picture. */
static mkd_status read_chunk(decoder *d, uint32_t x, uint32_t y, uint32_t rows)
{
  for (int plane = 0; plane < d->planes; ++plane) {
    uint8_t *to = d->chunk + (size_t)plane * d->plane_size;
    tmsize_t size = (tmsize_t)d->plane_size, done;
    if (TIFFIsTiled(d->tiff)) {
      uint32_t tile = TIFFComputeTile(d->tiff, x, y, 0, (uint16_t)plane);
      done = TIFFReadEncodedTile(d->tiff, tile, to, size);
    } else {
      size = TIFFVStripSize(d->tiff, rows);
      uint32_t strip = TIFFComputeStrip(d->tiff, y, (uint16_t)plane);
      done = TIFFReadEncodedStrip(d->tiff, strip, to, size);
    }
    if (done != size || d->text[0]) return fail_pixels(d);
  }
  return MKD_OK;
}

/* ---- From samples to pixels ------------------------------------------------------------------ */

typedef struct {
  const uint8_t *base; /* the chunk's row */
  size_t step;         /* samples from one pixel to the next */
  size_t first;
} sample_row;

static sample_row sample_row_at(const decoder *d, int sample, uint32_t row)
{
  size_t step = d->planar ? 1 : d->samples;
  size_t row_size = (d->chunk_width * step * d->bits + 7) / 8;
  const uint8_t *base = d->chunk + row * row_size;
  if (d->planar) return (sample_row){base + (size_t)sample * d->plane_size, 1, 0};
  return (sample_row){base, step, (size_t)sample};
}

static unsigned sample_at(const decoder *d, sample_row row, size_t x)
{
  size_t i = row.first + x * row.step;
  if (d->bits == 8) return row.base[i];
  if (d->bits == 16) return ((const uint16_t *)(const void *)row.base)[i];
  size_t bit = i * d->bits;
  return row.base[bit / 8] >> (8 - d->bits - bit % 8) & ((1u << d->bits) - 1);
}

/* Colours of one pixel, in the range of the picture's format. */
static void convert_pixel(const decoder *d, const unsigned *samples, unsigned *colours)
{
  unsigned maximum = (1u << d->bits) - 1, white = d->bits == 16 ? 65535 : 255;
  switch (d->photometric) {
  case PHOTOMETRIC_MINISWHITE:
    colours[0] = (maximum - samples[0]) * (white / maximum);
    break;
  case PHOTOMETRIC_MINISBLACK:
    colours[0] = samples[0] * (white / maximum);
    break;
  case PHOTOMETRIC_PALETTE:
    for (int c = 0; c < 3; ++c)
      colours[c] = d->palette[c][samples[0]] >> (d->narrow_palette ? 0 : 8);
    break;
  case PHOTOMETRIC_RGB:
    for (int c = 0; c < 3; ++c) colours[c] = samples[c];
    break;
  case PHOTOMETRIC_SEPARATED:
    for (int c = 0; c < 3; ++c) {
      unsigned paper = white - samples[c], light = white - samples[3];
      colours[c] = white == 255 ? mk_over_black8(paper, light) : mk_over_black16(paper, light);
    }
  }
}

/* True when a row of the chunk is a row of the picture as it stands. */
static bool rows_match(const decoder *d)
{
  return (d->photometric == PHOTOMETRIC_MINISBLACK || d->photometric == PHOTOMETRIC_RGB) &&
         d->bits >= 8 && d->samples == colour_samples(d->photometric) && !d->planar;
}

static void convert_row(const decoder *d, void *to, uint32_t row, uint32_t width)
{
  uint8_t *to8 = to;
  uint16_t *to16 = to;
  int channels = mk_format_channels(d->picture->image.format);
  int alpha_index = colour_samples(d->photometric);
  sample_row rows[MAX_SAMPLES];
  for (int s = 0; s < d->samples; ++s) rows[s] = sample_row_at(d, s, row);
  unsigned samples[MAX_SAMPLES] = {0}, colours[3] = {0};
  for (uint32_t x = 0; x < width; ++x) {
    for (int s = 0; s < d->samples; ++s) samples[s] = sample_at(d, rows[s], x);
    convert_pixel(d, samples, colours);
    unsigned alpha = d->alpha ? samples[alpha_index] : d->bits == 16 ? 65535 : 255;
    for (int c = 0; c < channels; ++c) {
      if (d->bits == 16)
        *to16++ = mk_over_black16(colours[c], alpha);
      else
        *to8++ = mk_over_black8(colours[c], alpha);
    }
  }
}

static mkd_status read_pixels(decoder *d)
{
  size_t pixel = (size_t)(mk_format_channels(d->picture->image.format) *
                          mk_format_bytes(d->picture->image.format));
  for (uint32_t y = 0; y < d->height; y += d->chunk_height) {
    uint32_t rows = d->height - y < d->chunk_height ? d->height - y : d->chunk_height;
    for (uint32_t x = 0; x < d->width; x += d->chunk_width) {
      uint32_t columns = d->width - x < d->chunk_width ? d->width - x : d->chunk_width;
      MK_TRY(read_chunk(d, x, y, rows));
      for (uint32_t row = 0; row < rows; ++row) {
        uint8_t *to = mk_picture_row(d->picture, (int)(y + row));
        if (rows_match(d))
          memcpy(to + x * pixel, sample_row_at(d, 0, row).base, columns * pixel);
        else
          convert_row(d, to + x * pixel, row, columns);
      }
    }
  }
  return MKD_OK;
}

static mkd_status read_file(decoder *d)
{
  MK_TRY(open_tiff(d));
  MK_TRY(read_header(d));
  bool grey = d->photometric == PHOTOMETRIC_MINISBLACK || d->photometric == PHOTOMETRIC_MINISWHITE;
  mkd_pixel_format format = d->bits == 16 ? grey ? MKD_GREY16 : MKD_RGB16
                            : grey        ? MKD_GREY8
                                          : MKD_RGB8;
  MK_TRY(
      mk_picture_create(&d->picture, d->width, d->height, format, d->file->limits, d->file->name));
  MK_TRY(prepare_chunks(d));
  MK_TRY(read_pixels(d));
  uint16_t orientation;
  TIFFGetFieldDefaulted(d->tiff, TIFFTAG_ORIENTATION, &orientation);
  return mk_picture_orient(d->picture, orientation);
}

mkd_status mk_tiff_decode(mkd_picture **picture, const mk_encoded *file)
{
  decoder d = {.file = file};
  mkd_status status = read_file(&d);
  if (d.tiff) TIFFClose(d.tiff);
  mk_free(d.chunk);
  if (status != MKD_OK) {
    mkd_picture_destroy(d.picture);
    return status;
  }
  *picture = d.picture;
  return MKD_OK;
}
