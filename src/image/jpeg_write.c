#include "image/jpeg_write.h"

#include "core/memory.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

enum { QUALITY = 85, FIRST_BYTES = 1 << 14 };

typedef struct {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_destination_mgr destination;
  jmp_buf jump;
  mkd_status status; /* of what jumped, with its text set */
  mk_bytes bytes;    /* `size` is what there is room for */
} encoder;

static void on_error(j_common_ptr jpeg)
{
  encoder *e = jpeg->client_data;
  char text[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, text);
  if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
    e->status = mk_fail_memory(0);
  else
    e->status = mk_fail(MKD_ERROR_ARGUMENT, "cannot write JPEG: %s", text);
  longjmp(e->jump, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
  (void)jpeg;
  (void)level;
}

static void make_room(encoder *e, size_t size)
{
  e->status = mk_grow(&e->bytes.data, e->bytes.size, size, 1);
  if (e->status != MKD_OK) longjmp(e->jump, 1);
  e->destination.next_output_byte = e->bytes.data + e->bytes.size;
  e->destination.free_in_buffer = size - e->bytes.size;
  e->bytes.size = size;
}

static void on_start(j_compress_ptr jpeg)
{
  make_room(jpeg->client_data, FIRST_BYTES);
}

/* All room is taken, whatever free_in_buffer says. */
static boolean on_full(j_compress_ptr jpeg)
{
  encoder *e = jpeg->client_data;
  make_room(e, 2 * e->bytes.size);
  return TRUE;
}

static void on_end(j_compress_ptr jpeg)
{
  encoder *e = jpeg->client_data;
  e->bytes.size -= e->destination.free_in_buffer;
}

/* Nothing that changes after setjmp lives in this function's variables. */
static mkd_status write_pixels(encoder *e, const uint8_t *rgb, int width, int height)
{
  if (setjmp(e->jump) != 0) return e->status;
  struct jpeg_compress_struct *jpeg = &e->jpeg;
  jpeg_create_compress(jpeg);
  jpeg->dest = &e->destination;
  jpeg->image_width = (JDIMENSION)width;
  jpeg->image_height = (JDIMENSION)height;
  jpeg->input_components = 3;
  jpeg->in_color_space = JCS_RGB;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, QUALITY, TRUE);
  jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1;
  jpeg->optimize_coding = TRUE;
  jpeg_start_compress(jpeg, TRUE);
  while (jpeg->next_scanline < jpeg->image_height) {
    /* The type lacks a const. */
    JSAMPROW row = (JSAMPROW)(rgb + (size_t)jpeg->next_scanline * (size_t)width * 3);
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return MKD_OK;
}

mkd_status mk_jpeg_write(mk_bytes *bytes, const uint8_t *rgb, int width, int height)
{
  encoder e = {.destination = {.init_destination = on_start,
                               .empty_output_buffer = on_full,
                               .term_destination = on_end}};
  e.jpeg.err = jpeg_std_error(&e.errors);
  e.jpeg.client_data = &e;
  e.errors.error_exit = on_error;
  e.errors.emit_message = on_message;
  mkd_status status = write_pixels(&e, rgb, width, height);
  jpeg_destroy_compress(&e.jpeg);
  if (status != MKD_OK) {
    mk_free(e.bytes.data);
    return status;
  }
  *bytes = e.bytes;
  return MKD_OK;
}
