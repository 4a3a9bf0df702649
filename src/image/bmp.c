#include "image/codec.h"

#include <stdlib.h>

enum {
  FILE_HEADER = 14,
  CORE_HEADER = 12, /* OS/2 1.x: 16-bit sizes, palette entries of 3 bytes */
  INFO_HEADER = 40,
  V2_HEADER = 52, /* adds masks for red, green and blue */
  V3_HEADER = 56, /* adds a mask for alpha */
  RGB_PLAIN = 0,
  RGB_MASKS = 3,
  RGBA_MASKS = 6,
  MAX_COLOURS = 256
};

typedef struct {
  uint32_t shift, maximum; /* maximum is 0 when the channel is absent */
} channel;

typedef struct {
  const mk_encoded *file;
  uint64_t width, height;
  bool top_down;
  uint32_t bits; /* of a pixel */
  uint32_t compression;
  uint64_t pixels, stride;         /* offset and bytes in the file */
  uint8_t palette[MAX_COLOURS][3]; /* R G B */
  uint32_t colours;
  bool grey;           /* so is the whole palette */
  channel channels[4]; /* R G B A, where there is no palette */
} bitmap;

static mkd_status fail_bmp(const bitmap *b, const char *what)
{
  return mk_fail(MKD_ERROR_FILE, "%s: damaged BMP: %s", b->file->name, what);
}

static mkd_status read_sizes(bitmap *b, uint32_t header)
{
  const uint8_t *data = b->file->data + FILE_HEADER;
  if (header == CORE_HEADER) {
    b->width = mk_le16(data + 4);
    b->height = mk_le16(data + 6);
    b->bits = mk_le16(data + 10);
    b->compression = RGB_PLAIN;
    return MKD_OK;
  }
  int64_t width = (int32_t)mk_le32(data + 4), height = (int32_t)mk_le32(data + 8);
  if (width < 0) return fail_bmp(b, "its width is negative");
  b->width = (uint64_t)width;
  b->height = (uint64_t)llabs(height);
  b->top_down = height < 0;
  b->bits = mk_le16(data + 14);
  b->compression = mk_le32(data + 16);
  return MKD_OK;
}

static mkd_status check_kind(const bitmap *b)
{
  const char *name = b->file->name;
  switch (b->compression) {
  case RGB_PLAIN:
    if (b->bits == 1 || b->bits == 2 || b->bits == 4 || b->bits == 8 || b->bits == 16 ||
        b->bits == 24 || b->bits == 32)
      return MKD_OK;
    break;
  case RGB_MASKS:
  case RGBA_MASKS:
    if (b->bits == 16 || b->bits == 32) return MKD_OK;
    break;
  case 1:
  case 2:
    return mk_fail(MKD_ERROR_FILE, "%s: is a run-length coded BMP; only uncompressed is supported",
                   name);
  default:
    return mk_fail(MKD_ERROR_FILE, "%s: BMP compression %lu; only uncompressed is supported", name,
                   (unsigned long)b->compression);
  }
  return mk_fail(MKD_ERROR_FILE,
                 "%s: BMP with %lu bits a pixel and compression %lu is not supported", name,
                 (unsigned long)b->bits, (unsigned long)b->compression);
}

/* The palette lies between headers and pixels; files that state more colours than fit are common
 * enough to be read. */
static mkd_status read_palette(bitmap *b, uint32_t header)
{
  uint32_t entry = header == CORE_HEADER ? 3 : 4;
  uint64_t start = FILE_HEADER + header;
  const uint8_t *data = b->file->data;
  uint32_t stated = header >= INFO_HEADER ? mk_le32(data + FILE_HEADER + 32) : 0;
  b->colours = 1u << b->bits;
  if (stated > 0 && stated < b->colours) b->colours = stated;
  if (b->pixels < start || (b->pixels - start) / entry == 0) return fail_bmp(b, "no palette");
  if (b->colours > (b->pixels - start) / entry)
    b->colours = (uint32_t)((b->pixels - start) / entry);
  b->grey = true;
  for (uint32_t i = 0; i < b->colours; ++i) {
    const uint8_t *bgr = data + start + (uint64_t)i * entry;
    for (int c = 0; c < 3; ++c) b->palette[i][c] = bgr[2 - c];
    b->grey = b->grey && bgr[0] == bgr[1] && bgr[1] == bgr[2];
  }
  return MKD_OK;
}

static mkd_status read_mask(bitmap *b, int index, uint32_t mask)
{
  if (mask == 0) return MKD_OK;
  channel *c = &b->channels[index];
  c->shift = (uint32_t)__builtin_ctz(mask);
  c->maximum = mask >> c->shift;
  if (((uint64_t)c->maximum & ((uint64_t)c->maximum + 1)) != 0)
    return fail_bmp(b, "the bits of a channel are not in one run");
  return MKD_OK;
}

static mkd_status read_masks(bitmap *b, uint32_t header)
{
  static const uint32_t plain16[4] = {0x7c00, 0x3e0, 0x1f, 0};
  static const uint32_t plain32[4] = {0xff0000, 0xff00, 0xff, 0};
  if (b->compression == RGB_PLAIN) {
    for (int i = 0; i < 4; ++i) MK_TRY(read_mask(b, i, b->bits == 16 ? plain16[i] : plain32[i]));
    return MKD_OK;
  }
  /* Behind the short header, or the same place within a longer one. */
  int count = b->compression == RGBA_MASKS || header >= V3_HEADER ? 4 : 3;
  if (b->file->size < (size_t)(FILE_HEADER + INFO_HEADER + 4 * count))
    return fail_bmp(b, "the file is cut short");
  for (int i = 0; i < count; ++i)
    MK_TRY(read_mask(b, i, mk_le32(b->file->data + FILE_HEADER + INFO_HEADER + 4 * i)));
  if (b->channels[0].maximum == 0 || b->channels[1].maximum == 0 || b->channels[2].maximum == 0)
    return fail_bmp(b, "a colour has no bits");
  return MKD_OK;
}

static mkd_status read_header(bitmap *b)
{
  const mk_encoded *file = b->file;
  if (file->size < FILE_HEADER + CORE_HEADER) return fail_bmp(b, "the file is cut short");
  uint32_t header = mk_le32(file->data + FILE_HEADER);
  if (header != CORE_HEADER && header < INFO_HEADER)
    return fail_bmp(b, "its header has an unknown size");
  if (header > file->size - FILE_HEADER) return fail_bmp(b, "the file is cut short");
  MK_TRY(read_sizes(b, header));
  MK_TRY(check_kind(b));
  b->pixels = mk_le32(file->data + 10);
  b->stride = (b->width * b->bits + 31) / 32 * 4;
  /* The padding of the last row may be missing. The division, because the product may not fit. */
  uint64_t used = (b->width * b->bits + 7) / 8;
  if (b->pixels > file->size || used > file->size - b->pixels ||
      (b->stride > 0 && b->height > 1 + (file->size - b->pixels - used) / b->stride))
    return fail_bmp(b, "the file is cut short");
  if (b->bits <= 8) return read_palette(b, header);
  return b->bits == 24 ? MKD_OK : read_masks(b, header);
}

static const uint8_t *row_at(const bitmap *b, uint64_t y)
{
  return b->file->data + b->pixels + (b->top_down ? y : b->height - 1 - y) * b->stride;
}

static mkd_status read_indexed(const bitmap *b, uint8_t *to, const uint8_t *row)
{
  for (uint64_t x = 0; x < b->width; ++x) {
    uint64_t bit = x * b->bits;
    uint32_t index = row[bit / 8] >> (8 - b->bits - bit % 8) & ((1u << b->bits) - 1);
    if (index >= b->colours) return fail_bmp(b, "a pixel's colour is not in the palette");
    *to++ = b->palette[index][0];
    if (b->grey) continue;
    *to++ = b->palette[index][1];
    *to++ = b->palette[index][2];
  }
  return MKD_OK;
}

static uint32_t pixel_at(const bitmap *b, const uint8_t *row, uint64_t x)
{
  return b->bits == 16 ? mk_le16(row + 2 * x) : mk_le32(row + 4 * x);
}

/* 0..255 */
static uint8_t channel_of(uint32_t pixel, channel c)
{
  uint64_t value = pixel >> c.shift & c.maximum;
  return (uint8_t)((value * 255 + c.maximum / 2) / c.maximum);
}

static void read_masked(const bitmap *b, uint8_t *to, const uint8_t *row)
{
  for (uint64_t x = 0; x < b->width; ++x, to += 3) {
    uint32_t pixel = pixel_at(b, row, x);
    unsigned alpha = b->channels[3].maximum ? channel_of(pixel, b->channels[3]) : 255;
    for (int c = 0; c < 3; ++c) to[c] = mk_over_black8(channel_of(pixel, b->channels[c]), alpha);
  }
}

static void read_bgr(const bitmap *b, uint8_t *to, const uint8_t *row)
{
  for (uint64_t x = 0; x < b->width; ++x, to += 3, row += 3)
    for (int c = 0; c < 3; ++c) to[c] = row[2 - c];
}

/* Programs that declare an alpha channel and leave it 0 everywhere mean an opaque picture. */
static void drop_unused_alpha(bitmap *b)
{
  channel alpha = b->channels[3];
  if (alpha.maximum == 0) return;
  for (uint64_t y = 0; y < b->height; ++y)
    for (uint64_t x = 0; x < b->width; ++x)
      if (pixel_at(b, row_at(b, y), x) >> alpha.shift & alpha.maximum) return;
  b->channels[3].maximum = 0;
}

mkd_status mk_bmp_decode(mkd_picture **out, const mk_encoded *file)
{
  bitmap b = {.file = file};
  MK_TRY(read_header(&b));
  mkd_picture *picture;
  MK_TRY(mk_picture_create(&picture, b.width, b.height, b.grey ? MKD_GREY8 : MKD_RGB8, file->limits,
                           file->name));
  drop_unused_alpha(&b);
  for (uint64_t y = 0; y < b.height; ++y) {
    uint8_t *to = mk_picture_row(picture, (int)y);
    mkd_status status = MKD_OK;
    if (b.bits <= 8)
      status = read_indexed(&b, to, row_at(&b, y));
    else if (b.bits == 24)
      read_bgr(&b, to, row_at(&b, y));
    else
      read_masked(&b, to, row_at(&b, y));
    if (status != MKD_OK) {
      mkd_picture_destroy(picture);
      return status;
    }
  }
  *out = picture;
  return MKD_OK;
}
