#include "core/download.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool begins(const uint8_t *data, size_t size, const char *word)
{
  size_t length = strlen(word);
  return size >= length && strncasecmp((const char *)data, word, length) == 0;
}

const char *mk_failed_download(const uint8_t *data, size_t size)
{
  if (begins(data, size, "version https://git-lfs"))
    return "a Git LFS pointer, not the file that it stands for";
  if (begins(data, size, "\xef\xbb\xbf")) { /* byte order mark */
    data += 3;
    size -= 3;
  }
  for (; size > 0 && (*data == ' ' || (*data >= '\t' && *data <= '\r')); --size) ++data;
  if (begins(data, size, "<!doctype html") || begins(data, size, "<html"))
    return "an HTML page (a download that went wrong?)";
  return NULL;
}
