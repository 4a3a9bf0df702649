#include "image/png_write.h"

#include "core/file.h"
#include "image/pixels.h"

#include <stdio.h>

#include <png.h>

typedef struct {
  const char *path;
  const mkd_image *image;
  mk_writer *writer;
  png_structp png;
  png_infop info;
  mkd_status status; /* of writing, with its text set */
} encoder;

static void on_error(png_structp png, png_const_charp text)
{
  encoder *e = png_get_error_ptr(png);
  if (e->status == MKD_OK)
    e->status = mk_fail(MKD_ERROR_MEMORY, "%s: out of memory (PNG: %s)", e->path, text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
  (void)png;
  (void)text;
}

static void on_write(png_structp png, png_bytep data, size_t size)
{
  encoder *e = png_get_io_ptr(png);
  e->status = mk_writer_write(e->writer, data, size);
  if (e->status != MKD_OK) png_error(png, "");
}

static void on_flush(png_structp png)
{
  (void)png; /* mk_writer_commit does it */
}

/* Nothing that changes after setjmp lives in this function's variables. */
static mkd_status write_pixels(encoder *e)
{
  if (setjmp(png_jmpbuf(e->png)) != 0) return e->status;
  const mkd_image *image = e->image;
  bool deep = mk_format_bytes(image->format) == 2;
  png_set_write_fn(e->png, e, on_write, on_flush);
  png_set_user_limits(e->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(e->png, e->info, (png_uint_32)image->width, (png_uint_32)image->height,
               deep ? 16 : 8,
               mk_format_channels(image->format) == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  png_write_info(e->png, e->info);
  if (image->format == MKD_BGR8) png_set_bgr(e->png);
  if (deep && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(e->png);
  for (int y = 0; y < image->height; ++y)
    png_write_row(e->png, (png_const_bytep)image->data + (size_t)y * image->stride);
  png_write_end(e->png, e->info);
  return MKD_OK;
}

mkd_status mk_png_write(const char *path, const mkd_image *image)
{
  MK_TRY(mk_image_check(image));
  encoder e = {.path = path, .image = image};
  MK_TRY(mk_writer_open(&e.writer, path));
  e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &e, on_error, on_warning);
  if (e.png) e.info = png_create_info_struct(e.png);
  mkd_status status = e.info ? write_pixels(&e) : mk_fail_memory(sizeof e);
  png_destroy_write_struct(&e.png, &e.info);
  if (status != MKD_OK) {
    mk_writer_abort(e.writer);
    return status;
  }
  return mk_writer_commit(e.writer);
}
