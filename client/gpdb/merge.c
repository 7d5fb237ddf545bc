#include "client/gpdb/gpdb.h"
#include "client/gpdb/rebuild.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/daypath.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEFAULT_TOLERANCE = 300, DEFAULT_INTERVAL = 300 }; /* seconds, as in v4 */

typedef struct merge {
    const options *o;
    const char *from, *to;
    int64_t tolerance; /* seconds */
    gp_stage *stage;   /* NULL in a dry run */
    size_t ifaces, copied, rebuilt, skipped;
    size_t kept_dest, kept_source; /* blocks that both sides have */
    progress progress;
} merge;

/* ---- a day --------------------------------------------------------------------------------------------- */

/* A day that both sides may have. */
typedef struct day_pair {
    const char *iface;
    int64_t day;
    gp_day *from, *to; /* to: NULL if the destination lacks the day */
} day_pair;

/* Whether the blocks reach, give or take the tolerance, from the day's start to its end. */
static bool is_complete(const gp_day *d, int64_t day, int64_t tolerance)
{
    const gp_blockmeta *m = gp_day_meta(d);
    size_t n = m->n_blocks;
    if (n == 0)
        return false;
    int64_t interval = n > 1 ? m->blocks[n - 1].ts - m->blocks[n - 2].ts : DEFAULT_INTERVAL;
    return m->blocks[0].ts <= day + tolerance &&
           m->blocks[n - 1].ts + interval >= day + GP_DAY_SECONDS - 1 - tolerance;
}

typedef enum action { ACTION_SKIP, ACTION_COPY, ACTION_REBUILD } action;

static action choose_action(const merge *m, const day_pair *p)
{
    bool from_complete = is_complete(p->from, p->day, m->tolerance);
    if (!p->to)
        return from_complete ? ACTION_COPY : ACTION_REBUILD;
    if (m->o->overwrite)
        return from_complete ? ACTION_COPY : ACTION_REBUILD;
    return from_complete && is_complete(p->to, p->day, m->tolerance) ? ACTION_SKIP : ACTION_REBUILD;
}

static void take_next(gp_block_ref *refs, size_t *n, gp_day *d, size_t *at)
{
    refs[(*n)++] = (gp_block_ref){d, (*at)++};
}

/* The blocks of both sides in time order; of two at the same time only one. refs holds enough. */
static size_t merge_blocks(merge *m, const day_pair *p, gp_block_ref *refs)
{
    const gp_blockmeta *a = gp_day_meta(p->from);
    const gp_blockmeta *b = p->to ? gp_day_meta(p->to) : NULL;
    size_t n = 0;
    size_t i = 0;
    size_t j = 0;
    size_t n_b = b ? b->n_blocks : 0;
    while (i < a->n_blocks || j < n_b) {
        if (j == n_b || (i < a->n_blocks && a->blocks[i].ts < b->blocks[j].ts)) {
            take_next(refs, &n, p->from, &i);
        } else if (i == a->n_blocks || b->blocks[j].ts < a->blocks[i].ts) {
            take_next(refs, &n, p->to, &j);
        } else if (m->o->overwrite) {
            take_next(refs, &n, p->from, &i);
            j++;
            m->kept_source++;
        } else {
            take_next(refs, &n, p->to, &j);
            i++;
            m->kept_dest++;
        }
    }
    return n;
}

static gp_code rebuild(merge *m, const day_pair *p, gp_error *err)
{
    size_t most = gp_day_meta(p->from)->n_blocks + (p->to ? gp_day_meta(p->to)->n_blocks : 0);
    gp_block_ref *refs = calloc(most + 1, sizeof *refs);
    if (!refs)
        return gp_fail(err, GP_ENOMEM, "out of memory for merging %zu blocks", most);
    size_t n = merge_blocks(m, p, refs);
    gp_code code = gp_stage_build(m->stage, p->iface, p->day, refs, n, err);
    free(refs);
    return code;
}

static gp_code apply(merge *m, const day_pair *p, action act, gp_error *err)
{
    gp_code code = act == ACTION_COPY ? gp_stage_copy(m->stage, p->iface, p->day, gp_day_path(p->from), err)
                                      : rebuild(m, p, err);
    if (code == GP_OK)
        code = gp_stage_commit(m->stage, p->iface, p->day, p->to ? gp_day_path(p->to) : NULL, err);
    if (code != GP_OK)
        gp_error_prefix(err, "failed to %s day for interface `%s` day `%lld`",
                        act == ACTION_COPY ? "copy" : "rebuild", p->iface, (long long)p->day);
    return code;
}

static gp_code merge_open_day(merge *m, const day_pair *p, gp_error *err)
{
    action act = choose_action(m, p);
    gp_code code = GP_OK;
    if (act == ACTION_SKIP) {
        m->skipped++;
        return GP_OK;
    }
    if (m->stage)
        code = apply(m, p, act, err);
    if (code == GP_OK && act == ACTION_COPY)
        m->copied++;
    else if (code == GP_OK)
        m->rebuilt++;
    return code;
}

static gp_code merge_day(merge *m, const char *iface, int64_t day, gp_error *err)
{
    day_pair p = {.iface = iface, .day = day};
    gp_code code = gp_day_open(&p.from, m->from, iface, day, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to read source day `%lld` for interface `%s`", (long long)day,
                               iface);
    if (gp_day_unfinished(p.from)) {
        gp_day_close(p.from);
        return GP_OK;
    }
    code = gp_day_open(&p.to, m->to, iface, day, err);
    if (code == GP_ENOTFOUND)
        code = GP_OK;
    if (code == GP_OK)
        code = merge_open_day(m, &p, err);
    else
        gp_error_prefix(err, "failed to read destination day `%lld` for interface `%s`", (long long)day,
                        iface);
    gp_day_close(p.from);
    gp_day_close(p.to);
    return code;
}

/* ---- databases ----------------------------------------------------------------------------------------- */

static gp_code merge_iface(merge *m, const char *iface, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    gp_code code = gp_db_list_days(m->from, iface, 0, GP_TIME_MAX, &days, &n, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to list source days for interface `%s`", iface);
    m->ifaces += n > 0;
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        progress_show(&m->progress, "%s: day %zu of %zu", iface, i + 1, n);
        code = check_interrupt(err);
        if (code == GP_OK)
            code = merge_day(m, iface, days[i].day, err);
    }
    free(days);
    return code;
}

static gp_code merge_ifaces(merge *m, gp_error *err)
{
    char **ifaces = NULL;
    size_t n = 0;
    gp_code code = select_ifaces(m->o, m->from, &ifaces, &n, err);
    if (code == GP_OK && n && !m->o->dry_run)
        code = gp_stage_new(&m->stage, m->to, err);
    progress_start(&m->progress);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = merge_iface(m, ifaces[i], err);
    progress_clear(&m->progress);
    gp_stage_free(m->stage);
    gp_strlist_free(ifaces, n);
    return code;
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x;
    struct stat y;
    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static gp_code check_paths(const merge *m, gp_error *err)
{
    struct stat st;
    if (!*m->from || !*m->to)
        return gp_fail(err, GP_EINVAL, "source and destination paths must be non-empty");
    if (same_folder(m->from, m->to))
        return gp_fail(err, GP_EINVAL, "source and destination paths must differ");
    if (stat(m->from, &st) != 0)
        return gp_fail_errno(err, errno, "failed to access source path `%s`", m->from);
    if (!S_ISDIR(st.st_mode))
        return gp_fail(err, GP_EINVAL, "source path `%s` is not a directory", m->from);
    return GP_OK;
}

/* One that is new is as private as the source. */
static gp_code make_destination(const merge *m, gp_error *err)
{
    gp_ownership own;
    struct stat st;
    if (stat(m->to, &st) == 0)
        return GP_OK;
    gp_code code = gp_folders_make(m->to, 0755, NULL, err);
    gp_ownership_of(m->from, &own);
    return code == GP_OK ? gp_own_folder(m->to, &own, err) : code;
}

static void print_summary(const merge *m)
{
    printf("Merge completed (dry-run=%s)\nInterfaces processed: %zu\nDays copied: %zu\nDays rebuilt: %zu\n"
           "Days skipped: %zu\nConflicts resolved by destination: %zu\nConflicts resolved by source: %zu\n",
           m->o->dry_run ? "true" : "false", m->ifaces, m->copied, m->rebuilt, m->skipped, m->kept_dest,
           m->kept_source);
}

gp_code run_merge(const options *o, int *exit_code, gp_error *err)
{
    (void)exit_code;
    merge m = {.o = o, .from = o->args[0], .to = o->args[1], .tolerance = o->tolerance_ns / GP_NS_PER_SEC};
    if (m.tolerance <= 0)
        m.tolerance = DEFAULT_TOLERANCE;
    gp_code code = check_paths(&m, err);
    if (code == GP_OK && !o->dry_run)
        code = make_destination(&m, err);
    if (code == GP_OK)
        code = merge_ifaces(&m, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to merge source DB `%s` into destination DB `%s`", m.from, m.to);
    print_summary(&m);
    return GP_OK;
}
