#include "core/float_types.h"

#include "core/safetensors.h"

#include <endian.h>
#include <string.h>

static float float_from_bits(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t bits_of_float(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* The exponent is off by 112, which a multiplication puts right, for subnormal numbers as well;
 * only infinity and NaN need theirs set. Without branches, so that a loop of it becomes vectors. */
float mk_float_from_half(uint16_t half)
{
  uint32_t magnitude = half & 0x7fffu, sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t bits = bits_of_float(float_from_bits(magnitude << 13) * 0x1p112f);
  return float_from_bits(sign | bits | (magnitude >= 0x7c00 ? 0x7f800000u : 0));
}

void mk_floats_from_halves(float *values, const uint16_t *halves, size_t count)
{
  for (size_t i = 0; i < count; ++i) values[i] = mk_float_from_half(halves[i]);
}

uint16_t mk_half_from_float(float value)
{
  uint32_t bits = bits_of_float(value);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00); /* 2^16 and more */
  uint32_t fraction, dropped; /* `dropped` low bits of `fraction` do not fit */
  uint32_t exponent = magnitude >> 23;
  if (exponent >= 113) { /* normal; a carry out of the fraction moves to the next exponent, which
                            is right, up to infinity */
    fraction = magnitude - (112u << 23);
    dropped = 13;
  } else {
    if (exponent < 102) return sign; /* below half of the smallest subnormal */
    fraction = (magnitude & 0x7fffff) | 0x800000;
    dropped = 126 - exponent;
  }
  uint32_t kept = fraction >> dropped, rest = fraction & ((1u << dropped) - 1);
  uint32_t half = 1u << (dropped - 1);
  if (rest > half || (rest == half && (kept & 1))) ++kept;
  return (uint16_t)(sign | kept);
}

size_t mk_float_size(mk_float_type type)
{
  switch (type) {
  case MK_FLOAT16:
  case MK_BFLOAT16:
    return 2;
  case MK_FLOAT32:
    return 4;
  case MK_FLOAT64:
    return 8;
  }
  return 0;
}

static float decode_one(const uint8_t *bytes, mk_float_type type)
{
  uint16_t bits16;
  uint32_t bits32;
  uint64_t bits64;
  double wide;
  switch (type) {
  case MK_FLOAT16:
    memcpy(&bits16, bytes, 2);
    return mk_float_from_half(le16toh(bits16));
  case MK_BFLOAT16:
    memcpy(&bits16, bytes, 2);
    return float_from_bits((uint32_t)le16toh(bits16) << 16);
  case MK_FLOAT32:
    memcpy(&bits32, bytes, 4);
    return float_from_bits(le32toh(bits32));
  case MK_FLOAT64:
    memcpy(&bits64, bytes, 8);
    bits64 = le64toh(bits64);
    memcpy(&wide, &bits64, 8);
    return (float)wide;
  }
  return 0;
}

void mk_float_decode(float *values, const uint8_t *bytes, size_t count, mk_float_type type)
{
  size_t size = mk_float_size(type);
  for (size_t i = 0; i < count; ++i) values[i] = decode_one(bytes + i * size, type);
}

void mk_float_encode(uint8_t *bytes, const float *values, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = htole32(bits_of_float(values[i]));
    memcpy(bytes + 4 * i, &bits, 4);
  }
}
