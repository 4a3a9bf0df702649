#include "image/codec.h"

#include "core/memory.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* A progressive file may repeat scans without end, each as much work as the picture is large. Real
 * encoders write about ten. */
enum { MAX_SCANS = 500 };

typedef struct {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf jump;
  bool out_of_memory;
  char text[JMSG_LENGTH_MAX];
  int orientation;
  const mk_encoded *file;
  mkd_picture *picture;
  uint8_t *row; /* of CMYK samples */
} decoder;

static void on_error(j_common_ptr jpeg)
{
  decoder *d = jpeg->client_data;
  d->out_of_memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
  jpeg->err->format_message(jpeg, d->text);
  longjmp(d->jump, 1);
}

/* libjpeg only warns when it fills missing or broken data with grey: here that is an error. */
static void on_message(j_common_ptr jpeg, int level)
{
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_ARITH_BAD_CODE:
  case JWRN_MUST_RESYNC:
    on_error(jpeg);
  }
}

static void on_progress(j_common_ptr jpeg)
{
  decoder *d = jpeg->client_data;
  if (d->jpeg.input_scan_number <= MAX_SCANS) return;
  snprintf(d->text, sizeof d->text, "has more than %d scans", MAX_SCANS);
  longjmp(d->jump, 1);
}

static void rgb_from_cmyk(uint8_t *rgb, const uint8_t *cmyk, int width, bool inverted)
{
  /* Adobe's programs, and all that follow them, store 255 - ink. */
  unsigned flip = inverted ? 0 : 255;
  for (int x = 0; x < width; ++x, rgb += 3, cmyk += 4)
    for (int c = 0; c < 3; ++c) rgb[c] = mk_over_black8(cmyk[c] ^ flip, cmyk[3] ^ flip);
}

static mkd_status read_pixels(decoder *d)
{
  struct jpeg_decompress_struct *jpeg = &d->jpeg;
  bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  bool grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
  jpeg->out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
  MK_TRY(mk_picture_create(&d->picture, jpeg->image_width, jpeg->image_height,
                           grey ? MKD_GREY8 : MKD_RGB8, d->file->limits, d->file->name));
  if (cmyk) MK_TRY(mk_alloc(&d->row, jpeg->image_width, 4));
  jpeg_start_decompress(jpeg);
  while (jpeg->output_scanline < jpeg->output_height) {
    uint8_t *row = mk_picture_row(d->picture, (int)jpeg->output_scanline);
    jpeg_read_scanlines(jpeg, cmyk ? &d->row : &row, 1);
    if (cmyk) rgb_from_cmyk(row, d->row, d->picture->image.width, jpeg->saw_Adobe_marker);
  }
  jpeg_finish_decompress(jpeg);
  return MKD_OK;
}

static int read_orientation(const decoder *d)
{
  for (jpeg_saved_marker_ptr marker = d->jpeg.marker_list; marker; marker = marker->next)
    if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0", 5) == 0)
      return mk_exif_orientation(marker->data, marker->data_length);
  return 1;
}

/* Nothing that changes after setjmp lives in this function's variables. */
static mkd_status read_file(decoder *d)
{
  if (setjmp(d->jump) != 0) {
    if (d->out_of_memory) return mk_fail_memory(0);
    return mk_fail(MKD_ERROR_FILE, "%s: damaged JPEG: %s", d->file->name, d->text);
  }
  jpeg_create_decompress(&d->jpeg);
  d->jpeg.progress = &d->progress;
  jpeg_mem_src(&d->jpeg, d->file->data, d->file->size);
  jpeg_save_markers(&d->jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&d->jpeg, TRUE);
  d->orientation = read_orientation(d); /* now: jpeg_finish_decompress forgets the markers */
  return read_pixels(d);
}

mkd_status mk_jpeg_decode(mkd_picture **picture, const mk_encoded *file)
{
  decoder d = {.file = file};
  d.jpeg.err = jpeg_std_error(&d.errors);
  d.jpeg.client_data = &d;
  d.errors.error_exit = on_error;
  d.errors.emit_message = on_message;
  d.progress.progress_monitor = on_progress;
  mkd_status status = read_file(&d);
  if (status == MKD_OK) status = mk_picture_orient(d.picture, d.orientation);
  jpeg_destroy_decompress(&d.jpeg);
  mk_free(d.row);
  if (status != MKD_OK) {
    mkd_picture_destroy(d.picture);
    return status;
  }
  *picture = d.picture;
  return MKD_OK;
}
