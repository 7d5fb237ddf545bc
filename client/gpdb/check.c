#include "client/gpdb/check.h"

#include "client/gpdb/gpdb.h"
#include "client/gpdb/rebuild.h"
#include "client/gpdb/text.h"
#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <string.h>

/* ---- findings ------------------------------------------------------------------------------------------ */

static void print_finding(void *ctx, const gp_finding *f)
{
    checker *c = ctx;
    progress_clear(&c->progress);
    if (f->damage)
        c->damages++;
    else
        c->notes++;
    printf("%s: ", f->damage ? "DAMAGE" : "note");
    print_place(stdout, f->path, f->block);
    printf(": %s\n", f->text);
}

gp_finding_sink checker_sink(checker *c)
{
    return (gp_finding_sink){print_finding, c};
}

/* ---- check --------------------------------------------------------------------------------------------- */

static gp_code check_days(checker *c, const gp_day_folder *folders, size_t n, gp_error *err)
{
    const gp_finding_sink sink = checker_sink(c);
    gp_code code = GP_OK;
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        gp_day_verdict v = {0};
        progress_show(&c->progress, "%s: day %zu of %zu, %zu damages so far", c->iface, i + 1, n, c->damages);
        code = check_interrupt(err);
        if (code == GP_OK)
            code = gp_day_verify(&folders[i], c->codec, &sink, &v, err);
        c->days++;
        c->blocks += v.n_blocks;
        c->intact += v.n_intact;
        gp_day_verdict_free(&v);
    }
    return code;
}

static gp_code check_iface(checker *c, const char *db, const char *iface, gp_error *err)
{
    const gp_finding_sink sink = checker_sink(c);
    gp_day_folder *folders = NULL;
    size_t n = 0;
    c->iface = iface;
    gp_code code = gp_day_folders_list(db, iface, &sink, &folders, &n, err);
    if (code == GP_OK)
        code = check_days(c, folders, n, err);
    gp_day_folders_free(folders, n);
    return code;
}

/* What a gpdb that was killed leaves; nobody reads it. */
static void check_stages(checker *c, const char *db)
{
    const gp_finding_sink sink = checker_sink(c);
    DIR *dir = opendir(db);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[GP_DB_PATH_MAX];
        if (strncmp(e->d_name, GP_STAGE_PREFIX, strlen(GP_STAGE_PREFIX)) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", db, e->d_name);
        const gp_finding f = {false, path, -1,
                              "was left by a gpdb that was interrupted; look into it and remove it"};
        sink.take(sink.ctx, &f);
    }
    if (dir)
        closedir(dir);
}

gp_code run_check(const options *o, int *exit_code, gp_error *err)
{
    checker c = {0};
    char **ifaces = NULL;
    size_t n = 0;
    gp_code code = select_ifaces(o, o->args[0], &ifaces, &n, err);
    if (code == GP_OK)
        code = gp_codec_new(&c.codec, err);
    progress_start(&c.progress);
    if (code == GP_OK)
        check_stages(&c, o->args[0]);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = check_iface(&c, o->args[0], ifaces[i], err);
    progress_clear(&c.progress);
    gp_codec_free(c.codec);
    gp_strlist_free(ifaces, n);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to check DB `%s`", o->args[0]);
    printf(
        "Interfaces checked: %zu\nDays checked: %zu\nBlocks checked: %zu\nBlocks intact: %zu\nDamages: %zu\n"
        "Notes: %zu\n",
        n, c.days, c.blocks, c.intact, c.damages, c.notes);
    *exit_code = c.damages ? EXIT_DAMAGED : 0;
    return GP_OK;
}
