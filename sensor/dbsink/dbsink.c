#include "sensor/dbsink/dbsink.h"
#include "sensor/dbsink/flowlog.h"

#include "sensor/godb/dayindex.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct open_writer {
    char *iface;
    gp_writer *writer;
    int64_t day; /* of the last block; 0: none yet */
} open_writer;

struct gp_dbsink {
    gp_dbsink_config cfg;
    char *db;
    open_writer *open;
    size_t n;
    gp_flowlog *flowlog; /* NULL: none */
};

gp_code gp_dbsink_new(gp_dbsink **out, const gp_dbsink_config *cfg, gp_error *err)
{
    *out = NULL;
    gp_dbsink *w = calloc(1, sizeof *w);
    if (w)
        w->db = strdup(cfg->db);
    if (!w || !w->db) {
        gp_dbsink_free(w);
        return gp_fail(err, GP_ENOMEM, "out of memory for the database writers");
    }
    w->cfg = *cfg;
    gp_code rc = cfg->syslog_socket ? gp_flowlog_new(&w->flowlog, cfg->syslog_socket, cfg->log, err) : GP_OK;
    if (rc != GP_OK) {
        gp_dbsink_free(w);
        return rc;
    }
    *out = w;
    return GP_OK;
}

void gp_dbsink_free(gp_dbsink *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        gp_writer_free(w->open[i].writer);
        free(w->open[i].iface);
    }
    gp_flowlog_free(w->flowlog);
    free(w->open);
    free(w->db);
    free(w);
}

static gp_code open_one(gp_dbsink *w, const char *iface, open_writer **out, gp_error *err)
{
    open_writer *more = reallocarray(w->open, w->n + 1, sizeof *more);
    char *name = strdup(iface);
    if (more)
        w->open = more;
    if (!more || !name) {
        free(name);
        return gp_fail(err, GP_ENOMEM, "%s: out of memory for the database writers", iface);
    }
    const gp_writer_config cfg = {.db = w->db,
                                  .iface = name,
                                  .codec = w->cfg.codec,
                                  .level = w->cfg.level,
                                  .permissions = w->cfg.permissions,
                                  .no_sync = w->cfg.no_sync,
                                  .before_step = w->cfg.before_step,
                                  .before_step_ctx = w->cfg.before_step_ctx};
    gp_writer *writer = NULL;
    gp_code rc = gp_writer_new(&writer, &cfg, err);
    if (rc != GP_OK) {
        free(name);
        return rc;
    }
    w->open[w->n] = (open_writer){.iface = name, .writer = writer};
    *out = &w->open[w->n++];
    return GP_OK;
}

static gp_code writer_of(gp_dbsink *w, const char *iface, open_writer **out, gp_error *err)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->open[i].iface, iface) == 0) {
            *out = &w->open[i];
            return GP_OK;
        }
    }
    return open_one(w, iface, out, err);
}

/* The day before is complete once a block of the next one is written: it gets what can only be made of all of
 * its blocks, and what it lacks besides. Queries are slower without, that is all. */
static void finish_day_before(const gp_dbsink *w, const char *iface, int64_t day)
{
    gp_day_index_report report;
    gp_error err = GP_ERROR_INIT;
    const int64_t before = day - GP_DAY_SECONDS;
    if (gp_db_index_day(w->db, iface, before, &report, &err) != GP_OK)
        gp_log_warn(w->cfg.log, "day not indexed, queries of it are slower; see gpdb index",
                    GP_F_STR("iface", iface), GP_F_I64("day", before), GP_F_STR("error", err.msg));
    else if (report.added)
        gp_log_debug(w->cfg.log, "day indexed", GP_F_STR("iface", iface), GP_F_I64("day", before),
                     GP_F_U64("records", report.added), GP_F_U64("bytes", report.bytes));
}

gp_code gp_dbsink_write(void *dbsink, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                        const gp_capture_stats *stats, gp_error *err)
{
    gp_dbsink *w = dbsink;
    open_writer *to = NULL;
    gp_block_stats block = {0};
    gp_code rc = writer_of(w, iface, &to, err);
    if (rc != GP_OK)
        return rc;
    uint64_t drops = stats ? stats->dropped : 0;
    rc = gp_writer_write(to->writer, ts, flows, n, drops, &block, err);
    if (rc != GP_OK) {
        gp_error_prefix(err, "%s: %zu flows of the interval ending at %lld are not written", iface, n,
                        (long long)ts);
        return rc;
    }
    gp_log_debug(w->cfg.log, "flows written", GP_F_STR("iface", iface), GP_F_I64("ts", ts),
                 GP_F_U64("flows", block.flows), GP_F_U64("stored_bytes", block.stored_bytes));
    if (w->flowlog)
        (void)gp_flowlog_write(w->flowlog, iface, ts, flows, n); /* it logs what it loses */
    if (to->day != gp_day_start(ts)) {
        to->day = gp_day_start(ts);
        finish_day_before(w, iface, to->day);
    }
    return GP_OK;
}

/* Calls look with the metadata of a day, if there is one. */
static gp_code look_at_day(const gp_dbsink *w, const char *iface, int64_t ts,
                           void (*look)(const gp_blockmeta *m, void *arg), void *arg, gp_error *err)
{
    gp_day *day = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code rc = gp_day_open(&day, w->db, iface, gp_day_start(ts), &why);
    if (rc == GP_ENOTFOUND)
        return GP_OK;
    if (rc != GP_OK) {
        if (err)
            *err = why;
        return rc;
    }
    look(gp_day_meta(day), arg);
    gp_day_close(day);
    return GP_OK;
}

static void last_block(const gp_blockmeta *m, void *arg)
{
    int64_t *last = arg;
    if (m->n_blocks)
        *last = m->blocks[m->n_blocks - 1].ts;
}

gp_code gp_dbsink_place(void *dbsink, const char *iface, int64_t *ts, gp_error *err)
{
    for (;;) {
        int64_t last = -1;
        gp_code rc = look_at_day(dbsink, iface, *ts, last_block, &last, err);
        if (rc != GP_OK || last < *ts)
            return rc;
        *ts = last + 1;
        if (gp_day_start(*ts) == gp_day_start(last))
            return GP_OK;
    }
}

typedef struct wanted_block {
    int64_t ts;
    bool found;
} wanted_block;

static void find_block(const gp_blockmeta *m, void *arg)
{
    wanted_block *w = arg;
    for (size_t i = 0; i < m->n_blocks && !w->found; i++)
        w->found = m->blocks[i].ts == w->ts;
}

gp_code gp_dbsink_holds(void *dbsink, const char *iface, int64_t ts, bool *held, gp_error *err)
{
    wanted_block w = {.ts = ts};
    gp_code rc = look_at_day(dbsink, iface, ts, find_block, &w, err);
    *held = w.found;
    return rc;
}

bool gp_dbsink_apart(int64_t ts, int64_t other)
{
    return gp_day_start(ts) != gp_day_start(other);
}

static gp_code make_folders(char *path, gp_error *err)
{
    for (char *c = path + 1;; c++) {
        if (*c && *c != '/')
            continue;
        char end = *c;
        *c = '\0';
        int rc = mkdir(path, 0755);
        int sys = errno;
        if (rc != 0 && sys != EEXIST) {
            gp_code code = gp_fail_errno(err, sys, "cannot make the folder '%s' of the database", path);
            *c = end;
            return code;
        }
        *c = end;
        if (!end)
            return GP_OK;
    }
}

gp_code gp_dbsink_check_db(const char *path, gp_error *err)
{
    struct stat st;
    char *copy = strdup(path);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "out of memory for the path '%s'", path);
    gp_code rc = make_folders(copy, err);
    free(copy);
    if (rc != GP_OK)
        return rc;
    if (stat(path, &st) != 0)
        return gp_fail_errno(err, errno, "cannot use the database folder '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return gp_fail(err, GP_EINVAL, "'%s' (db.path) is a file: a folder is needed", path);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        return gp_fail_errno(
            err, errno,
            "no permission to write to the database folder '%s' (owner %u, mode %04o; we are "
            "user %u)",
            path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777), (unsigned)geteuid());
    return GP_OK;
}
