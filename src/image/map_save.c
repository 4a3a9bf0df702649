/* Files of heat maps: the values themselves as a float TIFF, and the mask above a threshold. */
#include "core/file.h"
#include "core/memory.h"
#include "image/pixels.h"
#include "image/png_write.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tiffio.h>

static mkd_status check_map(const mkd_map *map)
{
  if (!map || !map->data) return mk_fail(MKD_ERROR_ARGUMENT, "map: there are no values");
  if (map->width < 1 || map->height < 1)
    return mk_fail(MKD_ERROR_ARGUMENT, "map: %d x %d values; both must be at least 1", map->width,
                   map->height);
  return MKD_OK;
}

/* A TIFF file in memory: libtiff goes back to the header when all else is written, and a file that
 * appears atomically is written in one go. */
typedef struct {
  uint8_t *data;
  size_t size, room, position;
  mkd_status status;
  char text[256];
} buffer;

static tmsize_t on_read(thandle_t handle, void *data, tmsize_t size)
{
  (void)handle;
  (void)data;
  (void)size;
  return -1;
}

static tmsize_t on_write(thandle_t handle, void *data, tmsize_t size)
{
  buffer *b = handle;
  size_t end;
  if (b->status != MKD_OK) return -1; /* libtiff tries again when it closes */
  if (!mk_add(b->position, (size_t)size, &end)) return -1;
  if (end > b->room) {
    size_t room = end < SIZE_MAX / 2 ? end + end / 2 : end;
    b->status = mk_grow(&b->data, b->room, room, 1);
    if (b->status != MKD_OK) return -1;
    b->room = room;
  }
  memcpy(b->data + b->position, data, (size_t)size);
  b->position = end;
  if (end > b->size) b->size = end;
  return size;
}

static toff_t on_seek(thandle_t handle, toff_t offset, int whence)
{
  buffer *b = handle;
  uint64_t base = whence == SEEK_CUR ? b->position : whence == SEEK_END ? b->size : 0;
  b->position = (size_t)(base + offset);
  return b->position;
}

static int on_close(thandle_t handle)
{
  (void)handle;
  return 0;
}

static toff_t on_size(thandle_t handle)
{
  return ((buffer *)handle)->size;
}

static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list args)
{
  (void)tiff;
  (void)module;
  buffer *b = context;
  if (b->text[0] == '\0') vsnprintf(b->text, sizeof b->text, format, args);
  return 1;
}

static bool write_map(TIFF *tiff, const mkd_map *map)
{
  bool done = TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)map->width) &&
              TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)map->height) &&
              TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 32) &&
              TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1) &&
              TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_IEEEFP) &&
              TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) &&
              TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE) &&
              TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
              TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(tiff, 0));
  for (int y = 0; done && y < map->height; ++y) {
    /* libtiff asks for writable memory, but changes it only where it swaps bytes. */
    void *row = (void *)(map->data + (size_t)y * (size_t)map->width);
    done = TIFFWriteScanline(tiff, row, (uint32_t)y, 0) == 1;
  }
  return done;
}

static mkd_status encode_map(buffer *b, const mkd_map *map, const char *path)
{
  mk_memory_watch();
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return mk_fail_memory(0);
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, b);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_error, b);
  TIFF *tiff = TIFFClientOpenExt(path, "w", b, on_read, on_write, on_seek, on_close, on_size, NULL,
                                 NULL, options);
  TIFFOpenOptionsFree(options);
  bool done = tiff && write_map(tiff, map) && TIFFFlush(tiff);
  if (tiff) TIFFClose(tiff);
  if (done && b->text[0] == '\0') return MKD_OK;
  if (b->status != MKD_OK) return b->status;
  if (mk_memory_failed()) return mk_fail(MKD_ERROR_MEMORY, "%s: out of memory", path);
  return mk_fail(MKD_ERROR_FILE, "%s: cannot write TIFF: %s", path, b->text);
}

mkd_status mkd_map_save(const char *path, const mkd_map *map)
{
  MK_TRY(check_map(map));
  buffer b = {0};
  mkd_status status = encode_map(&b, map, path);
  if (status == MKD_OK) status = mkd_file_save(path, b.data, b.size);
  mk_free(b.data);
  return status;
}

mkd_status mkd_mask_save(const char *path, const mkd_map *map, double threshold)
{
  MK_TRY(check_map(map));
  if (isnan(threshold)) return mk_fail(MKD_ERROR_ARGUMENT, "mask threshold: is not a number");
  size_t count;
  if (!mk_mul((size_t)map->width, (size_t)map->height, &count)) return mk_fail_memory(SIZE_MAX);
  uint8_t *mask;
  MK_TRY(mk_alloc(&mask, count, 1));
  for (size_t i = 0; i < count; ++i) mask[i] = (double)map->data[i] > threshold ? 255 : 0;
  mkd_status status = mk_png_write(path, &(mkd_image){.data = mask,
                                                      .width = map->width,
                                                      .height = map->height,
                                                      .stride = (size_t)map->width,
                                                      .format = MKD_GREY8});
  mk_free(mask);
  return status;
}
