/* Fuzz targets: each is one function that gets hostile bytes. Clang's libFuzzer drives it
 * (scripts/fuzz.sh); in other builds replay.c runs it on files. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0. Whatever the bytes are, a sanitizer must have nothing to say. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Path of a file in memory with these bytes, until the next call. */
const char *file_with(const uint8_t *data, size_t size);

/* Path of a new folder in memory, the same in every call; it is removed at the end. */
const char *scratch_folder(void);

/* Writes a file into the scratch folder. */
void scratch_file(const char *name, const void *data, size_t size);

#endif
