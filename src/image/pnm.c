#include "image/codec.h"

typedef struct {
  const mk_encoded *file;
  size_t position;
  bool plain;       /* P1..P3: decimal text */
  bool bitmap;      /* P1, P4: 1 is black */
  int channels;     /* 1 or 3 */
  uint32_t maximum; /* the value that stands for white */
} reader;

static mkd_status fail_pnm(const reader *r, const char *what)
{
  return mk_fail(MKD_ERROR_FILE, "%s: damaged PNM: %s", r->file->name, what);
}

static bool is_space(uint8_t c)
{
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
  return c >= '0' && c <= '9';
}

/* Skips blanks, and comments from # to the end of the line; fails when nothing follows. */
static mkd_status skip_space(reader *r)
{
  const uint8_t *data = r->file->data;
  bool comment = false;
  for (; r->position < r->file->size; ++r->position) {
    uint8_t c = data[r->position];
    if (c == '#') comment = true;
    if (!comment && !is_space(c)) return MKD_OK;
    if (c == '\n' || c == '\r') comment = false;
  }
  return fail_pnm(r, "the file is cut short");
}

static mkd_status read_number(reader *r, uint32_t maximum, uint32_t *number)
{
  MK_TRY(skip_space(r));
  const uint8_t *data = r->file->data;
  if (!is_digit(data[r->position])) return fail_pnm(r, "a number was expected");
  uint64_t value = 0;
  for (; r->position < r->file->size && is_digit(data[r->position]); ++r->position) {
    value = value * 10 + (uint64_t)(data[r->position] - '0');
    if (value > maximum) return fail_pnm(r, "a number is too large");
  }
  *number = (uint32_t)value;
  return MKD_OK;
}

/* Digits of plain bitmaps need no blanks between them. */
static mkd_status read_digit(reader *r, uint32_t *bit)
{
  MK_TRY(skip_space(r));
  uint8_t digit = r->file->data[r->position++];
  if (digit != '0' && digit != '1') return fail_pnm(r, "0 or 1 was expected");
  *bit = digit - '0';
  return MKD_OK;
}

/* Sample `i` of the raw row at the read position. */
static uint32_t raw_sample(const reader *r, size_t i)
{
  const uint8_t *row = r->file->data + r->position;
  if (r->bitmap) return row[i / 8] >> (7 - i % 8) & 1;
  return r->maximum > 255 ? mk_be16(row + 2 * i) : row[i];
}

static size_t raw_row_size(const reader *r, size_t samples)
{
  return r->bitmap ? (samples + 7) / 8 : r->maximum > 255 ? samples * 2 : samples;
}

static mkd_status read_row(reader *r, void *row, size_t samples)
{
  uint8_t *row8 = row;
  uint16_t *row16 = row;
  uint32_t white = r->maximum > 255 ? 65535 : 255;
  for (size_t i = 0; i < samples; ++i) {
    uint32_t value = 0;
    if (!r->plain)
      value = raw_sample(r, i);
    else if (r->bitmap)
      MK_TRY(read_digit(r, &value));
    else
      MK_TRY(read_number(r, r->maximum, &value));
    if (value > r->maximum) return fail_pnm(r, "a value is above the stated maximum");
    if (r->bitmap) value = 1 - value;
    if (r->maximum != white) value = (value * white + r->maximum / 2) / r->maximum;
    if (white == 255)
      row8[i] = (uint8_t)value;
    else
      row16[i] = (uint16_t)value;
  }
  if (!r->plain) r->position += raw_row_size(r, samples);
  return MKD_OK;
}

static mkd_status read_header(reader *r, uint32_t *width, uint32_t *height)
{
  const uint8_t *data = r->file->data;
  if (data[1] == '7')
    return mk_fail(MKD_ERROR_FILE, "%s: is a PAM file (P7); supported are P1 to P6", r->file->name);
  if (data[1] == 'F' || data[1] == 'f')
    return mk_fail(MKD_ERROR_FILE, "%s: is a float map (PFM); supported are P1 to P6",
                   r->file->name);
  int type = data[1] - '0';
  r->position = 2;
  r->plain = type <= 3;
  r->bitmap = type % 3 == 1;
  r->channels = type % 3 == 0 ? 3 : 1;
  r->maximum = 1;
  MK_TRY(read_number(r, INT32_MAX, width));
  MK_TRY(read_number(r, INT32_MAX, height));
  if (!r->bitmap) MK_TRY(read_number(r, 65535, &r->maximum));
  if (r->maximum == 0) return fail_pnm(r, "its maximum value is 0");
  if (r->plain) return MKD_OK;
  if (r->position == r->file->size) return fail_pnm(r, "the file is cut short");
  if (!is_space(data[r->position++])) return fail_pnm(r, "no blank before the pixels");
  return MKD_OK;
}

mkd_status mk_pnm_decode(mkd_picture **out, const mk_encoded *file)
{
  reader r = {.file = file};
  uint32_t width, height;
  MK_TRY(read_header(&r, &width, &height));
  uint64_t samples = (uint64_t)width * (uint64_t)r.channels;
  /* Text needs at least a byte a sample; the division, because the product may not fit. */
  uint64_t row_size = r.plain ? samples : raw_row_size(&r, samples);
  if (row_size > 0 && height > (file->size - r.position) / row_size)
    return fail_pnm(&r, "the file is cut short");
  mkd_pixel_format format8 = r.channels == 1 ? MKD_GREY8 : MKD_RGB8;
  mkd_pixel_format format16 = r.channels == 1 ? MKD_GREY16 : MKD_RGB16;
  mkd_picture *picture;
  MK_TRY(mk_picture_create(&picture, width, height, r.maximum > 255 ? format16 : format8,
                           file->limits, file->name));
  for (int y = 0; y < picture->image.height; ++y) {
    mkd_status status = read_row(&r, mk_picture_row(picture, y), samples);
    if (status != MKD_OK) {
      mkd_picture_destroy(picture);
      return status;
    }
  }
  *out = picture;
  return MKD_OK;
}
