#include "core/download.h"
#include "image/codec.h"

#include <string.h>
#include <strings.h>

static const struct {
  size_t offset;
  const char *magic;
  size_t length;
  const char *what;
} known[] = {
    {0, "GIF8", 4, "a GIF file"},
    {0, "\0\0\0\x0cjP  ", 8, "a JPEG 2000 file"},
    {0, "\xff\x4f\xff\x51", 4, "a JPEG 2000 file"},
    {0, "\0\0\0\x0cJXL ", 8, "a JPEG XL file"},
    {0, "\xff\x0a", 2, "a JPEG XL file"},
    {4, "ftyp", 4, "a HEIF, AVIF or MP4 file"},
    {0, "8BPS", 4, "a Photoshop file"},
    {0, "\x76\x2f\x31\x01", 4, "an OpenEXR file"},
    {128, "DICM", 4, "a DICOM file"},
    {0, "%PDF", 4, "a PDF file"},
    {0, "PK\3\4", 4, "a ZIP archive"},
    {0, "\x1f\x8b", 2, "a gzip file"},
    {0, "\x93NUMPY", 6, "a NumPy array"},
    {0, "\x89HDF", 4, "an HDF5 file"},
};

static const uint8_t *skip_space(const uint8_t *data, const uint8_t *end)
{
  if (end - data >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) data += 3; /* byte order mark */
  while (data < end && (*data == ' ' || (*data >= '\t' && *data <= '\r'))) ++data;
  return data;
}

static bool is_text(const uint8_t *data, const uint8_t *end)
{
  for (; data < end; ++data)
    if (*data < ' ' && !(*data >= '\t' && *data <= '\r')) return false;
  return true;
}

static bool begins(const uint8_t *data, const uint8_t *end, const char *word)
{
  size_t length = strlen(word);
  return (size_t)(end - data) >= length && strncasecmp((const char *)data, word, length) == 0;
}

/* NULL when there is nothing to say. */
static const char *describe(const mk_encoded *file)
{
  for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
    if (file->size >= known[i].offset + known[i].length &&
        memcmp(file->data + known[i].offset, known[i].magic, known[i].length) == 0)
      return known[i].what;
  const char *accident = mk_failed_download(file->data, file->size);
  if (accident) return accident;
  const uint8_t *end = file->data + (file->size < 512 ? file->size : 512);
  const uint8_t *start = skip_space(file->data, end);
  if (begins(start, end, "<svg") || begins(start, end, "<?xml")) return "an SVG or XML file";
  if (is_text(file->data, end)) return "a text file";
  return NULL;
}

mkd_status mk_fail_unknown_type(const mk_encoded *file)
{
  if (file->size == 0) return mk_fail(MKD_ERROR_FILE, "%s: is empty", file->name);
  const char *what = describe(file), *supported = "JPEG, PNG, TIFF, WebP, BMP and PNM";
  if (what)
    return mk_fail(MKD_ERROR_FILE, "%s: is %s; supported are %s", file->name, what, supported);
  return mk_fail(MKD_ERROR_FILE, "%s: is not an image of a known type; supported are %s",
                 file->name, supported);
}
