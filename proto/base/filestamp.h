/* filestamp.h - whether a file is still the one that was read, by stat(2). Stateless. */
#ifndef GP_BASE_FILESTAMP_H
#define GP_BASE_FILESTAMP_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

typedef struct gp_filestamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
} gp_filestamp;

/* All zero where there is no file, or path is NULL. Take it before reading: a change during that shows
 * later. */
gp_filestamp gp_filestamp_take(const char *path);
bool gp_filestamp_equal(const gp_filestamp *a, const gp_filestamp *b);

#endif
