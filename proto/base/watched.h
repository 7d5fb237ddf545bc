/*
 * watched.h - what a file says, read again when the file changes.
 *
 * Whoever uses it takes the newest contents and gives them back; they stay as they are in between, whatever
 * happens to the file. The file is looked at (filestamp.h) at most once a second, when somebody takes. A new
 * file that cannot be used leaves the old contents in force, and says so in the log once.
 *
 * Thread-safety: take and give from any thread.
 */
#ifndef GP_BASE_WATCHED_H
#define GP_BASE_WATCHED_H

#include "proto/base/error.h"
#include "proto/base/log.h"

typedef struct gp_watched gp_watched;

typedef struct gp_watched_kind {
    const char *what; /* for messages: "endpoints" */
    /* log: for what happens to the content later; may be NULL. */
    gp_code (*load)(const char *path, gp_log *log, void **content, gp_error *err);
    void (*free)(void *content);
} gp_watched_kind;

/* Loads the file; the failure of that is the caller's. log may be NULL. */
gp_code gp_watched_open(gp_watched **out, const gp_watched_kind *kind, const char *path, gp_log *log,
                        gp_error *err);
void gp_watched_close(gp_watched *w); /* everything must have been given back */

/* *content is valid until it is given back. */
typedef struct gp_watched_content gp_watched_content;
const void *gp_watched_take(gp_watched *w, gp_watched_content **handle);
void gp_watched_give(gp_watched *w, gp_watched_content *handle);
/* Reads the file now, changed or not. If that fails, the old contents stay. */
gp_code gp_watched_reload(gp_watched *w, gp_error *err);

#endif
