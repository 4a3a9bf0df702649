/* Writing pictures. */
#ifndef MK_IMAGE_PNG_WRITE_H
#define MK_IMAGE_PNG_WRITE_H

#include "core/status.h"

/* Writes a checked image of any format, atomically; 16 bit stays 16 bit. Same pixels, same bytes.
 */
mkd_status mk_png_write(const char *path, const mkd_image *image);

#endif
