#include "html.h"

#include "output.h"

#include <stdbool.h>

static const char *entity(unsigned char c)
{
  switch (c) {
  case '&':
    return "&amp;";
  case '<':
    return "&lt;";
  case '>':
    return "&gt;";
  case '"':
    return "&quot;";
  case '\'':
    return "&#39;";
  }
  return NULL;
}

void html_text(FILE *file, const char *text)
{
  const unsigned char *s = (const unsigned char *)text;
  while (*s) {
    int length = utf8_length(s);
    bool control = *s < 0x20 || *s == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
    const char *name = entity(*s);
    if (control || length == 0)
      fputs("\xef\xbf\xbd", file);
    else if (name)
      fputs(name, file);
    else
      fwrite(s, 1, (size_t)length, file);
    s += length ? length : 1;
  }
}

void html_base64(FILE *file, const unsigned char *bytes, size_t size)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                     (left > 2 ? bytes[i + 2] : 0);
    fputc(digits[group >> 18], file);
    fputc(digits[group >> 12 & 63], file);
    fputc(left > 1 ? digits[group >> 6 & 63] : '=', file);
    fputc(left > 2 ? digits[group & 63] : '=', file);
  }
}
