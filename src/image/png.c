#include "image/codec.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

#include <png.h>

/* The most that deflate can shrink: 258 bytes in two bits. */
enum { MAX_RATIO = 1032 };

typedef struct {
  png_structp png;
  png_infop info;
  const mk_encoded *file;
  size_t position;
  char text[256];
  mkd_picture *picture;
} decoder;

static void on_error(png_structp png, png_const_charp text)
{
  decoder *d = png_get_error_ptr(png);
  snprintf(d->text, sizeof d->text, "%s", text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
  (void)png; /* about chunks that do not change the pixels */
  (void)text;
}

static void on_read(png_structp png, png_bytep data, size_t size)
{
  decoder *d = png_get_io_ptr(png);
  if (size > d->file->size - d->position) png_error(png, "the file is cut short");
  memcpy(data, d->file->data + d->position, size);
  d->position += size;
}

static void choose_transforms(png_structp png)
{
  static const png_color_16 black;
  png_set_expand(png);
  png_set_background(png, &black, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1);
  if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(png);
}

static mkd_status create_picture(decoder *d)
{
  uint32_t width = png_get_image_width(d->png, d->info);
  uint32_t height = png_get_image_height(d->png, d->info);
  bool colour = png_get_color_type(d->png, d->info) & PNG_COLOR_MASK_COLOR;
  bool deep = png_get_bit_depth(d->png, d->info) == 16;
  mkd_pixel_format format = deep ? colour ? MKD_RGB16 : MKD_GREY16 : colour ? MKD_RGB8 : MKD_GREY8;
  uint64_t raw = (uint64_t)png_get_rowbytes(d->png, d->info) * height;
  if (raw / MAX_RATIO > d->file->size)
    return mk_fail(MKD_ERROR_FILE, "%s: damaged PNG: %zu bytes cannot hold %lu x %lu pixels",
                   d->file->name, d->file->size, (unsigned long)width, (unsigned long)height);
  return mk_picture_create(&d->picture, width, height, format, d->file->limits, d->file->name);
}

static mkd_status read_pixels(decoder *d)
{
  MK_TRY(create_picture(d));
  choose_transforms(d->png);
  int passes = png_set_interlace_handling(d->png);
  png_read_update_info(d->png, d->info);
  if (png_get_rowbytes(d->png, d->info) != d->picture->image.stride)
    png_error(d->png, "unexpected layout of pixels");
  for (int pass = 0; pass < passes; ++pass)
    for (int y = 0; y < d->picture->image.height; ++y)
      png_read_row(d->png, mk_picture_row(d->picture, y), NULL);
  png_read_end(d->png, d->info);
  return MKD_OK;
}

/* Nothing that changes after setjmp lives in this function's variables. */
static mkd_status read_file(decoder *d)
{
  if (setjmp(png_jmpbuf(d->png)) != 0)
    return mk_fail(MKD_ERROR_FILE, "%s: damaged PNG: %s", d->file->name, d->text);
  png_set_read_fn(d->png, d, on_read);
  png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* mk_picture_create has ours */
  /* Gamma would make libpng blend in linear light; the other chunks are not used either. */
  png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(d->png, d->info);
  return read_pixels(d);
}

/* libpng would allocate what a chunk says that it has, whatever the file has. */
static int read_orientation(const mk_encoded *file)
{
  enum { SIGNATURE = 8, AROUND = 12 }; /* of a chunk: length, type and checksum */
  size_t at = SIGNATURE;
  for (size_t left = file->size - at; left >= AROUND; left = file->size - at) {
    const uint8_t *chunk = file->data + at;
    size_t length = mk_be32(chunk);
    if (length > left - AROUND) break;
    if (memcmp(chunk + 4, "eXIf", 4) == 0) return mk_exif_orientation(chunk + 8, length);
    at += AROUND + length;
  }
  return 1;
}

mkd_status mk_png_decode(mkd_picture **picture, const mk_encoded *file)
{
  decoder d = {.file = file};
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
  if (d.png) d.info = png_create_info_struct(d.png);
  mkd_status status = d.info ? read_file(&d) : mk_fail_memory(sizeof d);
  if (status == MKD_OK) status = mk_picture_orient(d.picture, read_orientation(file));
  png_destroy_read_struct(&d.png, &d.info, NULL);
  if (status != MKD_OK) {
    mkd_picture_destroy(d.picture);
    return status;
  }
  *picture = d.picture;
  return MKD_OK;
}
