/* What the journals of an earlier life hold. */
#include "sensor/capture/journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* The sessions of a file, by lane. */
typedef struct lanes {
    gp_flowtable *table[GP_JOURNAL_LANES];
    gp_error err;
    gp_code code;
} lanes;

typedef struct recovery {
    const char *dir;
    gp_journal_holds_fn holds;
    void *ctx;
    gp_log *log;
    gp_journal_recovered *list;
    size_t n;
} recovery;

static void set_session(void *ctx, uint16_t lane, const gp_session *s)
{
    lanes *l = ctx;
    if (l->code == GP_OK && !l->table[lane])
        l->code = gp_flowtable_new(&l->table[lane], NULL, 0, &l->err);
    if (l->code == GP_OK && !gp_flowtable_put(l->table[lane], s, false))
        l->code = gp_fail(&l->err, GP_ENOMEM, "out of memory for the flows of a journal");
}

static void free_lanes(lanes *l)
{
    for (unsigned i = 0; i < GP_JOURNAL_LANES; i++)
        gp_flowtable_free(l->table[i]);
}

static gp_code add_lane(gp_flowtable *to, const gp_flowtable *from, gp_error *err)
{
    gp_session s;
    for (gp_flowtable_walk w = {0}; w.stage < GP_WALK_END;)
        if (gp_flowtable_list(from, &w, &s, 1) == 1 && !gp_flowtable_put(to, &s, true))
            return gp_fail(err, GP_ENOMEM, "out of memory for the flows of a journal");
    return GP_OK;
}

/* All lanes into one table, which is taken out of *l. */
static gp_code join_lanes(lanes *l, gp_flowtable **out, gp_error *err)
{
    gp_code code = l->code;
    if (code != GP_OK && err)
        *err = l->err;
    *out = NULL;
    for (unsigned i = 0; i < GP_JOURNAL_LANES && code == GP_OK; i++) {
        if (!l->table[i])
            continue;
        if (*out)
            code = add_lane(*out, l->table[i], err);
        else {
            *out = l->table[i];
            l->table[i] = NULL;
        }
    }
    if (code == GP_OK)
        return GP_OK;
    gp_flowtable_free(*out);
    *out = NULL;
    return code;
}

static gp_code remember(recovery *r, const gp_journal_recovered *item, gp_error *err)
{
    gp_journal_recovered *more = reallocarray(r->list, r->n + 1, sizeof *more);
    if (!more)
        return gp_fail(err, GP_ENOMEM, "out of memory for the list of journals");
    r->list = more;
    more[r->n++] = *item;
    return GP_OK;
}

/* Is the block in the database already? Then only the removal of the file is missing. */
static gp_code is_written(const recovery *r, const gp_journal_content *c, bool *held, gp_error *err)
{
    *held = false;
    return c->committed && r->holds ? r->holds(r->ctx, c->iface, c->committed, held, err) : GP_OK;
}

static void drop(const recovery *r, const char *path, const char *why)
{
    gp_log_info(r->log, "journal dropped", GP_F_STR("path", path), GP_F_STR("reason", why));
    if (unlink(path) != 0)
        gp_log_warn(r->log, "journal not removed", GP_F_STR("path", path),
                    GP_F_STR("error", strerror(errno)));
}

/* Takes over the file. */
static gp_code keep_content(recovery *r, gp_journalfile *f, const gp_journal_content *c, lanes *l,
                            gp_error *err)
{
    gp_journal_recovered item = {.block_ts = c->block_ts, .dropped = c->dropped, .file = f};
    snprintf(item.iface, sizeof item.iface, "%s", c->iface);
    gp_code code = join_lanes(l, &item.table, err);
    if (code == GP_OK)
        code = gp_journalfile_resume(f, c->good, c->frames, err);
    if (code == GP_OK)
        code = remember(r, &item, err);
    if (code != GP_OK)
        gp_journal_recovered_free(&item);
    return code;
}

static void set_aside(const recovery *r, const char *name, const char *path)
{
    char to[PATH_SIZE];
    snprintf(to, sizeof to, "%s/" GP_JOURNAL_BAD_PREFIX "%s", r->dir, name + strlen(GP_JOURNAL_PREFIX));
    if (rename(path, to) != 0)
        gp_log_warn(r->log, "damaged journal not renamed", GP_F_STR("path", path),
                    GP_F_STR("error", strerror(errno)));
    else
        gp_log_warn(r->log, "damaged journal set aside", GP_F_STR("path", to));
}

/* Takes over the file, which is locked. */
static gp_code recover_file(recovery *r, gp_journalfile *f, const char *name, const char *path, gp_error *err)
{
    lanes l = {.code = GP_OK};
    gp_journal_content c;
    bool held = false;
    gp_code code = gp_journal_read(path, set_session, &l, &c, err);
    if (code == GP_ECORRUPT)
        set_aside(r, name, path);
    if (code == GP_OK)
        code = is_written(r, &c, &held, err);
    if (code == GP_OK && c.damaged)
        gp_log_warn(r->log, "journal has a torn or damaged end: everything before it counts",
                    GP_F_STR("path", path), GP_F_U64("good_bytes", c.good));
    if (code == GP_OK && (held || c.sessions == 0))
        drop(r, path, held ? "its block is in the database" : "it is empty");
    if (code == GP_OK && !held && c.sessions > 0)
        code = keep_content(r, f, &c, &l, err);
    else
        gp_journalfile_close(f);
    free_lanes(&l);
    return code;
}

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static void recover_entry(recovery *r, const char *name)
{
    char path[PATH_SIZE];
    gp_error err = GP_ERROR_INIT;
    gp_journalfile *f = NULL;
    const bool begun = has_prefix(name, GP_JOURNAL_NEW_PREFIX);
    if (!begun && !has_prefix(name, GP_JOURNAL_PREFIX))
        return;
    if (snprintf(path, sizeof path, "%s/%s", r->dir, name) >= (int)sizeof path)
        return;
    gp_code code = gp_journalfile_claim(&f, r->dir, name, &err);
    if (code == GP_OK && begun) {
        drop(r, path, "it was never finished");
        gp_journalfile_close(f);
    } else if (code == GP_OK)
        code = recover_file(r, f, name, path, &err);
    if (code == GP_EBUSY)
        gp_log_warn(r->log, "journal left alone: another goprobe keeps it", GP_F_STR("path", path));
    else if (code != GP_OK && code != GP_ENOTFOUND)
        gp_log_error(r->log, "journal not replayed", GP_F_STR("path", path), GP_F_STR("error", err.msg));
}

static int by_time(const void *a, const void *b)
{
    const gp_journal_recovered *x = a;
    const gp_journal_recovered *y = b;
    return (x->block_ts > y->block_ts) - (x->block_ts < y->block_ts);
}

gp_code gp_journal_recover(const char *dir, gp_journal_holds_fn holds, void *ctx, gp_log *log,
                           gp_journal_recovered **out, size_t *n, gp_error *err)
{
    recovery r = {.dir = dir, .holds = holds, .ctx = ctx, .log = log};
    DIR *d = opendir(dir);
    *out = NULL;
    *n = 0;
    if (!d)
        return gp_fail_errno(err, errno, "cannot open the folder '%s' of the journal", dir);
    for (struct dirent *e; (e = readdir(d));)
        recover_entry(&r, e->d_name);
    closedir(d);
    if (r.n)
        qsort(r.list, r.n, sizeof *r.list, by_time);
    *out = r.list;
    *n = r.n;
    return GP_OK;
}

void gp_journal_recovered_free(gp_journal_recovered *r)
{
    gp_flowtable_free(r->table);
    gp_journalfile_close(r->file);
    *r = (gp_journal_recovered){0};
}
