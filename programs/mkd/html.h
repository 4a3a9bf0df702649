/* Texts and bytes in HTML; texts in SVG, too. */
#ifndef HTML_H
#define HTML_H

#include <stddef.h>
#include <stdio.h>

/* For element content and quoted attributes, always valid UTF-8: control characters and bytes that
 * are not UTF-8 become U+FFFD. */
void html_text(FILE *file, const char *text);

void html_base64(FILE *file, const unsigned char *bytes, size_t size);

#endif
