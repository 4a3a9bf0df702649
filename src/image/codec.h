/* The readers of image files, one per format. Each takes a whole file in memory, refuses what is
 * damaged, cut short or over the limits, and gives a picture as mkd_picture_load promises it. */
#ifndef MK_IMAGE_CODEC_H
#define MK_IMAGE_CODEC_H

#include "image/pixels.h"

typedef struct {
  const uint8_t *data;
  size_t size;
  const char *name;         /* stands for the file in error texts */
  const mkd_limits *limits; /* never NULL */
} mk_encoded;

mkd_status mk_jpeg_decode(mkd_picture **picture, const mk_encoded *file);
mkd_status mk_png_decode(mkd_picture **picture, const mk_encoded *file);
mkd_status mk_tiff_decode(mkd_picture **picture, const mk_encoded *file);
mkd_status mk_webp_decode(mkd_picture **picture, const mk_encoded *file);
mkd_status mk_bmp_decode(mkd_picture **picture, const mk_encoded *file);
mkd_status mk_pnm_decode(mkd_picture **picture, const mk_encoded *file);

/* Orientation 1..8 from EXIF data, which is a TIFF structure, with or without "Exif\0\0" before it.
 * 1 when it holds none, or is damaged: that is no reason to refuse the picture. */
int mk_exif_orientation(const uint8_t *data, size_t size);

/* The error for bytes that no reader takes: says what they seem to be, and what is supported. */
mkd_status mk_fail_unknown_type(const mk_encoded *file);

/* A value of weight alpha / maximum over black, rounded to the nearest; maximum is 255 or 65535. */
static inline uint8_t mk_over_black8(unsigned value, unsigned alpha)
{
  return (uint8_t)((value * alpha + 127) / 255);
}
static inline uint16_t mk_over_black16(unsigned value, unsigned alpha)
{
  return (uint16_t)(((uint64_t)value * alpha + 32767) / 65535);
}

static inline unsigned mk_le16(const uint8_t *bytes)
{
  return bytes[0] | (unsigned)bytes[1] << 8;
}
static inline uint32_t mk_le32(const uint8_t *bytes)
{
  return mk_le16(bytes) | (uint32_t)mk_le16(bytes + 2) << 16;
}
static inline unsigned mk_be16(const uint8_t *bytes)
{
  return (unsigned)bytes[0] << 8 | bytes[1];
}
static inline uint32_t mk_be32(const uint8_t *bytes)
{
  return (uint32_t)mk_be16(bytes) << 16 | mk_be16(bytes + 2);
}

#endif
