#include "image/codec.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_SIZE = 12 };

int mk_exif_orientation(const uint8_t *data, size_t size)
{
  if (size >= 6 && memcmp(data, "Exif\0", 5) == 0) {
    data += 6;
    size -= 6;
  }
  if (size < 8) return 1;
  bool little = memcmp(data, "II*\0", 4) == 0;
  if (!little && memcmp(data, "MM\0*", 4) != 0) return 1;
  uint32_t offset = little ? mk_le32(data + 4) : mk_be32(data + 4);
  if (offset > size - 2) return 1;
  const uint8_t *entry = data + offset + 2;
  unsigned count = little ? mk_le16(data + offset) : mk_be16(data + offset);
  size_t room = (size - offset - 2) / ENTRY_SIZE;
  for (size_t i = 0; i < count && i < room; ++i, entry += ENTRY_SIZE) {
    unsigned tag = little ? mk_le16(entry) : mk_be16(entry);
    unsigned type = little ? mk_le16(entry + 2) : mk_be16(entry + 2);
    if (tag != TAG_ORIENTATION || type != TYPE_SHORT) continue;
    unsigned value = little ? mk_le16(entry + 8) : mk_be16(entry + 8);
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}
