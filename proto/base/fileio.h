/* fileio.h - writing whole pieces of files. Thread-safe. */
#ifndef GP_BASE_FILEIO_H
#define GP_BASE_FILEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of it at this offset, however many calls of pwrite(2) that takes. False, with errno set, if it cannot
 * be. */
bool gp_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);

#endif
