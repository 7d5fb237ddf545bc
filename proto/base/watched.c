#include "proto/base/watched.h"

#include "proto/base/filestamp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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
    gp_filewatch watch;
};

/* Nobody uses the content any more. */
static void release(gp_watched *w, gp_watched_content *c)
{
    if (!c || --c->users > 0)
        return;
    w->kind->free(c->data);
    free(c);
}

/* w->lock is held, or nobody else knows of w. */
static gp_code load(gp_watched *w, gp_error *err)
{
    gp_watched_content *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return gp_fail(err, GP_ENOMEM, "out of memory for %s", w->path);
    gp_filewatch_read(&w->watch, w->path);
    gp_code rc = w->kind->load(w->path, w->log, &fresh->data, err);
    if (rc != GP_OK) {
        free(fresh);
        return rc;
    }
    fresh->users = 1;
    release(w, w->newest);
    w->newest = fresh;
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
    gp_code rc = w->path ? load(w, err) : gp_fail(err, GP_ENOMEM, "out of memory for %s", path);
    if (rc != GP_OK) {
        gp_watched_close(w);
        return rc;
    }
    *out = w;
    return GP_OK;
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
    if (!gp_filewatch_changed(&w->watch, w->path))
        return;
    if (load(w, &err) == GP_OK)
        gp_log_info(w->log, "read a changed file", GP_F_STR("what", w->kind->what),
                    GP_F_STR("path", w->path));
    else
        gp_log_error(w->log, "changed file cannot be used, what it said before stays in force",
                     GP_F_STR("what", w->kind->what), GP_F_STR("path", w->path), GP_F_STR("error", err.msg));
}

const void *gp_watched_take(gp_watched *w, gp_watched_content **handle)
{
    pthread_mutex_lock(&w->lock);
    look(w);
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

gp_code gp_watched_reload(gp_watched *w, gp_error *err)
{
    pthread_mutex_lock(&w->lock);
    gp_code rc = load(w, err);
    pthread_mutex_unlock(&w->lock);
    return rc;
}
