/* dayfiles.h - a database of one day on disk, made of the bytes of a fuzz target's input. */
#ifndef GP_TESTS_DAYFILES_H
#define GP_TESTS_DAYFILES_H

#include <stddef.h>
#include <stdint.h>

#define GP_DAYFILES_IFACE "eth0"
enum { GP_DAYFILES_DAY = 1699920000 }; /* 2023-11-14, UNIX seconds */

typedef struct gp_dayfiles {
    char *db;     /* has one interface */
    char *folder; /* of its day */
} gp_dayfiles;

/*
 * Writes .blockmeta and the column files, in their order, each with its length before it: two bytes,
 * little-endian; what is missing is empty. The folders are the same at every call and removed when the
 * process ends.
 */
gp_dayfiles gp_dayfiles_write(const uint8_t *data, size_t size);

#endif
