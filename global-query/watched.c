#include "global-query/watched.h"

#include "proto/base/clock.h"
#include "proto/base/filestamp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t look_interval_ns = INT64_C(1000000000);

struct gp_watched_content {
    void *data;
    size_t users; /* the gp_watched itself is one while these are the newest */
};

struct gp_watched {
    const gp_watched_kind *kind;
    char *path;
    gp_log *log;
    pthread_mutex_t lock; /* guards what follows */
    gp_watched_content *newest;
    gp_filestamp stamp; /* of the file as it was last read, or refused */
    int64_t next_look;  /* CLOCK_MONOTONIC, ns */
};

static gp_code load(const gp_watched *w, gp_watched_content **out, gp_error *err)
{
    gp_watched_content *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for %s", w->path);
    c->users = 1;
    gp_code rc = w->kind->load(w->path, w->log, &c->data, err);
    if (rc != GP_OK) {
        free(c);
        return rc;
    }
    *out = c;
    return GP_OK;
}

gp_code gp_watched_open(gp_watched **out, const gp_watched_kind *kind, const char *path, gp_log *log,
                        gp_error *err)
{
    gp_watched *w = calloc(1, sizeof *w);
    if (!w)
        return gp_fail(err, GP_ENOMEM, "out of memory for %s", path);
    pthread_mutex_init(&w->lock, NULL);
    w->kind = kind;
    w->log = log;
    w->path = strdup(path);
    w->stamp = gp_filestamp_take(path);
    w->next_look = gp_clock_ns() + look_interval_ns;
    gp_code rc = w->path ? load(w, &w->newest, err) : gp_fail(err, GP_ENOMEM, "out of memory for %s", path);
    if (rc != GP_OK) {
        gp_watched_close(w);
        return rc;
    }
    *out = w;
    return GP_OK;
}

/* Nobody uses the content any more. */
static void release(gp_watched *w, gp_watched_content *c)
{
    if (!c || --c->users > 0)
        return;
    w->kind->free(c->data);
    free(c);
}

void gp_watched_close(gp_watched *w)
{
    if (!w)
        return;
    release(w, w->newest);
    pthread_mutex_destroy(&w->lock);
    free(w->path);
    free(w);
}

/* w->lock is held. */
static void look(gp_watched *w)
{
    gp_error err = GP_ERROR_INIT;
    gp_watched_content *fresh = NULL;
    gp_filestamp stamp = gp_filestamp_take(w->path);
    if (gp_filestamp_equal(&stamp, &w->stamp))
        return;
    w->stamp = stamp;
    if (load(w, &fresh, &err) != GP_OK) {
        gp_log_error(w->log, "changed file cannot be used, what it said before stays in force",
                     GP_F_STR("what", w->kind->what), GP_F_STR("path", w->path), GP_F_STR("error", err.msg));
        return;
    }
    release(w, w->newest);
    w->newest = fresh;
    gp_log_info(w->log, "read a changed file", GP_F_STR("what", w->kind->what), GP_F_STR("path", w->path));
}

const void *gp_watched_take(gp_watched *w, gp_watched_content **handle)
{
    pthread_mutex_lock(&w->lock);
    int64_t now = gp_clock_ns();
    if (now >= w->next_look) {
        w->next_look = now + look_interval_ns;
        look(w);
    }
    *handle = w->newest;
    (*handle)->users++;
    pthread_mutex_unlock(&w->lock);
    return (*handle)->data;
}

void gp_watched_give(gp_watched *w, gp_watched_content *handle)
{
    pthread_mutex_lock(&w->lock);
    release(w, handle);
    pthread_mutex_unlock(&w->lock);
}

void gp_watched_refresh(gp_watched *w)
{
    pthread_mutex_lock(&w->lock);
    look(w);
    pthread_mutex_unlock(&w->lock);
}
