#include "proto/base/filestamp.h"

#include "proto/base/clock.h"

gp_filestamp gp_filestamp_take(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return (gp_filestamp){0};
    return gp_filestamp_of(&st);
}

gp_filestamp gp_filestamp_of(const struct stat *st)
{
    return (gp_filestamp){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

bool gp_filestamp_equal(const gp_filestamp *a, const gp_filestamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
           a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static int64_t monotonic_s(void)
{
    return gp_clock_ns() / GP_NS_PER_SEC;
}

void gp_filewatch_read(gp_filewatch *w, const char *path)
{
    w->stamp = gp_filestamp_take(path);
    w->looked_at = monotonic_s();
}

bool gp_filewatch_changed(gp_filewatch *w, const char *path)
{
    if (w->looked_at == monotonic_s())
        return false;
    gp_filestamp before = w->stamp;
    gp_filewatch_read(w, path);
    return !gp_filestamp_equal(&before, &w->stamp);
}
