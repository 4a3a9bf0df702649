#include "image/codec.h"

#include "core/file.h"
#include "core/limits.h"
#include "core/memory.h"

#include <string.h>

static bool starts_with(const mk_encoded *file, const void *magic, size_t length)
{
  return file->size >= length && memcmp(file->data, magic, length) == 0;
}

static bool is_tiff(const mk_encoded *file)
{
  /* 42 is TIFF, 43 is BigTIFF. */
  return starts_with(file, "II*\0", 4) || starts_with(file, "MM\0*", 4) ||
         starts_with(file, "II+\0", 4) || starts_with(file, "MM\0+", 4);
}

static bool is_webp(const mk_encoded *file)
{
  return starts_with(file, "RIFF", 4) && file->size >= 12 && memcmp(file->data + 8, "WEBP", 4) == 0;
}

static bool is_bmp(const mk_encoded *file)
{
  /* "BM" alone also begins words; the size of the second header tells a text from a BMP. */
  return starts_with(file, "BM", 2) && (file->size < 18 || mk_le32(file->data + 14) < 256);
}

static bool is_pnm(const mk_encoded *file)
{
  /* P7, PF and Pf are relatives that the reader refuses by name. */
  return file->size >= 3 && file->data[0] == 'P' && strchr("1234567Ff", file->data[1]) &&
         strchr(" \t\n\v\f\r#", file->data[2]) && file->data[1] && file->data[2];
}

static mkd_status choose_and_decode(mkd_picture **picture, const mk_encoded *file)
{
  if (starts_with(file, "\xff\xd8\xff", 3)) return mk_jpeg_decode(picture, file);
  if (starts_with(file, "\x89PNG\r\n\x1a\n", 8)) return mk_png_decode(picture, file);
  if (is_tiff(file)) return mk_tiff_decode(picture, file);
  if (is_webp(file)) return mk_webp_decode(picture, file);
  if (is_bmp(file)) return mk_bmp_decode(picture, file);
  if (is_pnm(file)) return mk_pnm_decode(picture, file);
  return mk_fail_unknown_type(file);
}

static mkd_status decode(mkd_picture **picture, const mk_encoded *file)
{
  mk_memory_watch();
  mkd_status status = choose_and_decode(picture, file);
  if (status != MKD_ERROR_FILE || !mk_memory_failed()) return status;
  return mk_fail(MKD_ERROR_MEMORY, "%s: out of memory", file->name);
}

mkd_status mkd_picture_decode(mkd_picture **picture, const void *bytes, size_t size,
                              const char *name, const mkd_limits *limits)
{
  mkd_limits resolved;
  MK_TRY(mk_limits_resolve(&resolved, limits));
  if (size > resolved.max_bytes)
    return mk_fail(MKD_ERROR_FILE, "%s: has %zu bytes, more than the limit of %llu", name, size,
                   (unsigned long long)resolved.max_bytes);
  return decode(picture, &(mk_encoded){bytes, size, name, &resolved});
}

mkd_status mkd_picture_load(mkd_picture **picture, const char *path, const mkd_limits *limits)
{
  mkd_limits resolved;
  MK_TRY(mk_limits_resolve(&resolved, limits));
  mk_bytes bytes;
  MK_TRY(mk_file_read(&bytes, path, resolved.max_bytes));
  mkd_status status = decode(picture, &(mk_encoded){bytes.data, bytes.size, path, &resolved});
  mk_free(bytes.data);
  return status;
}
