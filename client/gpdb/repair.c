#include "client/gpdb/check.h"
#include "client/gpdb/rebuild.h"
#include "client/gpdb/text.h"
#include "sensor/godb/daypath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct repair {
    const options *o;
    const char *db;
    char aside[GP_DB_PATH_MAX]; /* where damaged folders go */
    checker check;
    gp_stage *stage;
    size_t repaired, emptied, renamed, left_alone, lost_blocks;
} repair;

/* All folders of one day: one, if nothing is wrong. */
typedef struct day_group {
    const char *iface;
    int64_t day;
    const gp_day_folder *folders;
    gp_day_verdict *verdicts;
    size_t n;
} day_group;

/* ---- what is wrong with a day -------------------------------------------------------------------------- */

static bool is_damaged(const day_group *g)
{
    size_t damages = 0;
    for (size_t i = 0; i < g->n; i++)
        damages += g->verdicts[i].n_damages;
    return damages > 0 || g->n > 1;
}

static bool is_misnamed(const day_group *g)
{
    const gp_day_verdict *v = &g->verdicts[0];
    const gp_day_folder *f = &g->folders[0];
    return v->readable && f->has_sum && memcmp(&v->sum, &f->sum, sizeof v->sum) != 0;
}

/* ---- keeping what is intact ---------------------------------------------------------------------------- */

static int compare_refs(const void *a, const void *b)
{
    const gp_block_ref *x = a;
    const gp_block_ref *y = b;
    int64_t tx = gp_day_meta(x->day)->blocks[x->block].ts;
    int64_t ty = gp_day_meta(y->day)->blocks[y->block].ts;
    return (tx > ty) - (tx < ty);
}

/* Several folders may have a block of the same time: one is enough. */
static size_t drop_repeated(gp_block_ref *refs, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || compare_refs(&refs[kept - 1], &refs[i]) != 0)
            refs[kept++] = refs[i];
    return kept;
}

static size_t gather(const day_group *g, gp_day **days, gp_block_ref *refs)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        for (size_t b = 0; b < g->verdicts[i].n_blocks; b++)
            if (g->verdicts[i].intact[b])
                refs[n++] = (gp_block_ref){days[i], b};
    if (n)
        qsort(refs, n, sizeof *refs, compare_refs);
    return drop_repeated(refs, n);
}

static gp_code open_days(const day_group *g, gp_day **days, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < g->n && code == GP_OK; i++)
        if (g->verdicts[i].readable)
            code = gp_day_open_path(&days[i], g->folders[i].path, err);
    return code;
}

/* Stages a day of all intact blocks; *kept tells how many there are. */
static gp_code stage_intact(repair *r, const day_group *g, size_t *kept, gp_error *err)
{
    size_t most = 0;
    for (size_t i = 0; i < g->n; i++)
        most += g->verdicts[i].n_intact;
    gp_day **days = calloc(g->n + 1, sizeof(gp_day *));
    gp_block_ref *refs = calloc(most + 1, sizeof *refs);
    gp_code code =
        days && refs ? open_days(g, days, err) : gp_fail(err, GP_ENOMEM, "out of memory for a repair");
    if (code == GP_OK) {
        *kept = gather(g, days, refs);
        if (*kept)
            code = gp_stage_build(r->stage, g->iface, g->day, refs, *kept, err);
    }
    for (size_t i = 0; days && i < g->n; i++)
        gp_day_close(days[i]);
    free((void *)days);
    free(refs);
    return code;
}

/* ---- moving aside -------------------------------------------------------------------------------------- */

/* A path below the folder for what is damaged that nothing has yet. */
static gp_code aside_path(const repair *r, const char *path, char *dst, gp_error *err)
{
    enum { MOST = 1000 };
    struct stat st;
    const char *below = path + strlen(r->db);
    for (unsigned i = 0; i < MOST; i++) {
        int n = i ? snprintf(dst, GP_DB_PATH_MAX, "%s%s.%u", r->aside, below, i)
                  : snprintf(dst, GP_DB_PATH_MAX, "%s%s", r->aside, below);
        if (n >= GP_DB_PATH_MAX)
            return gp_fail(err, GP_EINVAL, "the path '%s%s' is too long", r->aside, below);
        if (lstat(dst, &st) != 0)
            return errno == ENOENT ? GP_OK : gp_fail_errno(err, errno, "cannot access '%s'", dst);
    }
    return gp_fail(err, GP_EEXIST, "'%s%s' exists already, many times", r->aside, below);
}

/* Copied under another name first, so that a folder with the right name is whole. */
static gp_code put_aside(const repair *r, const char *path, gp_error *err)
{
    char to[GP_DB_PATH_MAX];
    char part[GP_DB_PATH_MAX];
    gp_ownership above;
    gp_ownership_of(r->db, &above);
    gp_code code = aside_path(r, path, to, err);
    if (code != GP_OK)
        return code;
    if (snprintf(part, sizeof part, "%s.part-%ld", to, (long)getpid()) >= (int)sizeof part)
        return gp_fail(err, GP_EINVAL, "the path '%s' is too long", to);
    code = gp_copy_folder(path, part, &above, err);
    if (code == GP_OK && rename(part, to) != 0)
        code = gp_fail_errno(err, errno, "cannot rename '%s' to '%s'", part, to);
    if (code == GP_OK)
        printf("  the damaged folder is kept as %s\n", to);
    return code;
}

/* 0: there is none. */
static ino_t meta_inode(const gp_day_folder *folder)
{
    char path[GP_DB_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/" GP_BLOCKMETA_FILE, folder->path);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void remember(const day_group *g, ino_t *before)
{
    for (size_t i = 0; i < g->n; i++)
        before[i] = meta_inode(&g->folders[i]);
}

/* A writer that adds a block replaces .blockmeta: then what was checked is no longer what is there. */
static gp_code check_unchanged(const day_group *g, const ino_t *before, gp_error *err)
{
    for (size_t i = 0; i < g->n; i++)
        if (meta_inode(&g->folders[i]) != before[i])
            return gp_fail(err, GP_EBUSY,
                           "'%s' was written to while it was repaired; stop goprobe and repair again",
                           g->folders[i].path);
    return GP_OK;
}

/* ---- a damaged day ------------------------------------------------------------------------------------- */

static gp_code replace(repair *r, const day_group *g, size_t kept, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < g->n && code == GP_OK; i++)
        code = put_aside(r, g->folders[i].path, err);
    if (code == GP_OK && kept)
        code = gp_stage_commit(r->stage, g->iface, g->day, g->folders[0].path, err);
    for (size_t i = kept ? 1 : 0; i < g->n && code == GP_OK; i++)
        code = gp_stage_remove(r->stage, g->folders[i].path, err);
    return code;
}

static void tell_plan(const repair *r, const day_group *g, size_t kept, size_t had)
{
    char day[GP_UTC_STRLEN];
    format_utc_day(g->day, day);
    printf("%s %s: %s %zu of %zu blocks%s\n", g->iface, day, r->o->dry_run ? "would keep" : "keeping", kept,
           had, kept ? "" : ": nothing of the day can be read");
}

static size_t count_intact(const day_group *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        n += g->verdicts[i].n_intact;
    return n;
}

static gp_code rescue(repair *r, const day_group *g, gp_error *err)
{
    size_t had = 0;
    size_t kept = count_intact(g);
    for (size_t i = 0; i < g->n; i++)
        had += g->verdicts[i].n_blocks;
    r->lost_blocks += had - kept;
    r->repaired += kept > 0;
    r->emptied += kept == 0;
    tell_plan(r, g, kept, had);
    if (r->o->dry_run)
        return GP_OK;
    ino_t *before = calloc(g->n + 1, sizeof *before);
    if (!before)
        return gp_fail(err, GP_ENOMEM, "out of memory for a repair");
    remember(g, before);
    gp_code code = stage_intact(r, g, &kept, err);
    if (code == GP_OK)
        code = check_unchanged(g, before, err);
    if (code == GP_OK)
        code = replace(r, g, kept, err);
    free(before);
    return code;
}

/* ---- days ---------------------------------------------------------------------------------------------- */

static gp_code give_right_name(repair *r, const day_group *g, gp_error *err)
{
    char name[GP_DAYNAME_MAX];
    char to[GP_DB_PATH_MAX];
    const char *path = g->folders[0].path;
    r->renamed++;
    gp_dayname_format(g->day, &g->verdicts[0].sum, name);
    printf("%s: %s %s\n", path, r->o->dry_run ? "would be renamed to" : "renamed to", name);
    if (r->o->dry_run)
        return GP_OK;
    snprintf(to, sizeof to, "%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
    return rename(path, to) == 0 ? GP_OK : gp_fail_errno(err, errno, "cannot rename '%s' to '%s'", path, to);
}

static bool may_be_written_to(const repair *r, const day_group *g)
{
    return !r->o->today && gp_day_start(time(NULL)) == g->day;
}

static gp_code repair_group(repair *r, const day_group *g, gp_error *err)
{
    bool damaged = is_damaged(g);
    bool misnamed = !damaged && is_misnamed(g);
    progress_clear(&r->check.progress);
    if (!damaged && !misnamed)
        return GP_OK;
    if (may_be_written_to(r, g)) {
        r->left_alone++;
        printf("%s: is of today and left alone: goprobe may be writing to it (--today repairs it)\n",
               g->folders[0].path);
        return GP_OK;
    }
    return damaged ? rescue(r, g, err) : give_right_name(r, g, err);
}

static gp_code verify_group(repair *r, day_group *g, gp_error *err)
{
    const gp_finding_sink sink = checker_sink(&r->check);
    gp_code code = GP_OK;
    g->verdicts = calloc(g->n, sizeof *g->verdicts);
    if (!g->verdicts)
        return gp_fail(err, GP_ENOMEM, "out of memory for a repair");
    for (size_t i = 0; i < g->n && code == GP_OK; i++)
        code = gp_day_verify(&g->folders[i], r->check.codec, &sink, &g->verdicts[i], err);
    if (code == GP_OK)
        code = repair_group(r, g, err);
    for (size_t i = 0; i < g->n; i++)
        gp_day_verdict_free(&g->verdicts[i]);
    free(g->verdicts);
    return code;
}

static gp_code repair_days(repair *r, const char *iface, const gp_day_folder *folders, size_t n,
                           gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < n && code == GP_OK;) {
        day_group g = {.iface = iface, .day = folders[i].day, .folders = &folders[i]};
        while (i + g.n < n && folders[i + g.n].day == g.day)
            g.n++;
        progress_show(&r->check.progress, "%s: day %zu of %zu", iface, i + 1, n);
        i += g.n;
        code = check_interrupt(err);
        if (code == GP_OK)
            code = verify_group(r, &g, err);
    }
    return code;
}

static gp_code repair_iface(repair *r, const char *iface, gp_error *err)
{
    const gp_finding_sink sink = checker_sink(&r->check);
    gp_day_folder *folders = NULL;
    size_t n = 0;
    gp_code code = gp_day_folders_list(r->db, iface, &sink, &folders, &n, err);
    if (code == GP_OK)
        code = repair_days(r, iface, folders, n, err);
    gp_day_folders_free(folders, n);
    return code;
}

static gp_code repair_ifaces(repair *r, gp_error *err)
{
    char **ifaces = NULL;
    size_t n = 0;
    gp_code code = select_ifaces(r->o, r->db, &ifaces, &n, err);
    if (code == GP_OK)
        code = gp_codec_new(&r->check.codec, err);
    if (code == GP_OK && !r->o->dry_run)
        code = gp_stage_new(&r->stage, r->db, err);
    progress_start(&r->check.progress);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = repair_iface(r, ifaces[i], err);
    progress_clear(&r->check.progress);
    gp_stage_free(r->stage);
    gp_codec_free(r->check.codec);
    gp_strlist_free(ifaces, n);
    return code;
}

/* Damaged folders go beside the database, where no reader takes them for an interface. */
static gp_code choose_aside(repair *r, gp_error *err)
{
    size_t len = strlen(r->db);
    while (len > 1 && r->db[len - 1] == '/')
        len--;
    int n = r->o->aside ? snprintf(r->aside, sizeof r->aside, "%s", r->o->aside)
                        : snprintf(r->aside, sizeof r->aside, "%.*s.damaged", (int)len, r->db);
    if (n <= 0 || n >= (int)sizeof r->aside)
        return gp_fail(err, GP_EINVAL, "--aside: the path is empty or too long");
    return GP_OK;
}

gp_code run_repair(const options *o, int *exit_code, gp_error *err)
{
    repair *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a repair");
    r->o = o;
    r->db = o->args[0];
    gp_code code = choose_aside(r, err);
    if (code == GP_OK)
        code = repair_ifaces(r, err);
    if (code != GP_OK) {
        gp_error_prefix(err, "failed to repair DB `%s`", r->db);
    } else {
        bool dry = o->dry_run;
        printf("Repair completed (dry-run=%s)\nDays repaired: %zu\nDays removed: %zu\nDays renamed: %zu\n"
               "Days left alone: %zu\nBlocks lost: %zu\n",
               dry ? "true" : "false", r->repaired, r->emptied, r->renamed, r->left_alone, r->lost_blocks);
        if ((dry && r->repaired + r->emptied + r->renamed > 0) || r->left_alone)
            *exit_code = EXIT_DAMAGED;
    }
    free(r);
    return code;
}
