#include "core/utf8.h"

#include <stdint.h>

/* Length of the sequence at `s`, of which `left` bytes are there; 0 when it is none. */
static size_t sequence_length(const unsigned char *s, size_t left)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  if (length == 0 || length > left || s[0] > 0xf4) return 0;
  uint32_t code = length == 1 ? s[0] : s[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3f);
  }
  bool surrogate = code >= 0xd800 && code < 0xe000;
  return code < least[length] || code > 0x10ffff || surrogate ? 0 : length;
}

bool mk_is_utf8(const char *bytes, size_t size)
{
  const unsigned char *s = (const unsigned char *)bytes;
  for (size_t i = 0; i < size;) {
    size_t length = sequence_length(s + i, size - i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}
