/* filestamp.h - whether a file is still the one that was read, by stat(2). A gp_filewatch is for one thread
 * at a time. */
#ifndef GP_BASE_FILESTAMP_H
#define GP_BASE_FILESTAMP_H

#include <stdbool.h>
#include <sys/stat.h>
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
gp_filestamp gp_filestamp_of(const struct stat *st);
bool gp_filestamp_equal(const gp_filestamp *a, const gp_filestamp *b);

/* For files that are looked at again whenever somebody uses what they said. */
typedef struct gp_filewatch {
    gp_filestamp stamp;
    int64_t looked_at; /* CLOCK_MONOTONIC, seconds */
} gp_filewatch;

/* The file is about to be read. */
void gp_filewatch_read(gp_filewatch *w, const char *path);
/* Whether it has changed since; looks at most once a second, and says so once for each change. */
bool gp_filewatch_changed(gp_filewatch *w, const char *path);

#endif
