/* What often lies where a file should be, after a download that went wrong. */
#ifndef MK_CORE_DOWNLOAD_H
#define MK_CORE_DOWNLOAD_H

#include <stddef.h>
#include <stdint.h>

/* "an HTML page (a download that went wrong?)" and the like, or NULL for anything else. */
const char *mk_failed_download(const uint8_t *data, size_t size);

#endif
