#include "client/gpdb/gpdb.h"
#include "client/gpdb/text.h"
#include "proto/base/strlist.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/dayindex.h"
#include "sensor/godb/daypath.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

typedef struct indexing {
    const options *o;
    const char *db;
    gp_codec *codec;
    int64_t today;
    progress progress;
    size_t indexed, complete, left_alone, failed, damaged_blocks;
    uint64_t bytes;
} indexing;

/* ---- a day --------------------------------------------------------------------------------------------- */

static void print_day(indexing *x, const char *iface, int64_t day)
{
    char date[GP_UTC_STRLEN];
    format_utc_day(day, date);
    progress_clear(&x->progress);
    printf("%s %s: ", iface, date);
}

static void tell_report(indexing *x, const char *iface, int64_t day, const gp_day_index_report *report)
{
    if (report->added) {
        print_day(x, iface, day);
        printf("%s %zu record%s\n", x->o->dry_run ? "would add" : "added", report->added,
               report->added == 1 ? "" : "s");
    }
    if (report->damaged) {
        print_day(x, iface, day);
        printf("%zu damaged blocks passed over (see gpdb check): %s\n", report->damaged, report->damage.msg);
    }
    x->indexed += report->added > 0;
    x->complete += report->added == 0 && report->damaged == 0;
    x->damaged_blocks += report->damaged;
    x->bytes += report->bytes;
}

static gp_code index_open_day(indexing *x, const char *iface, int64_t day, gp_day *d, gp_error *err)
{
    gp_day_index_report report;
    gp_code code = gp_day_index(d, x->codec, x->o->dry_run, &report, err);
    tell_report(x, iface, day, &report);
    return code;
}

static gp_code index_day(indexing *x, const char *iface, const gp_day_ref *ref, gp_error *err)
{
    gp_day *d = NULL;
    gp_code code = gp_day_open(&d, x->db, iface, ref->day, err);
    if (code == GP_OK && !gp_day_unfinished(d))
        code = index_open_day(x, iface, ref->day, d, err);
    gp_day_close(d);
    return code;
}

/* What fails with one day is told; only lack of memory ends all. */
static gp_code try_day(indexing *x, const char *iface, const gp_day_ref *ref, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    if (ref->day >= x->today) {
        x->left_alone++;
        return GP_OK;
    }
    gp_code code = index_day(x, iface, ref, &why);
    if (code == GP_OK)
        return GP_OK;
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why.msg);
    x->failed++;
    print_day(x, iface, ref->day);
    printf("FAILED: %s\n", why.msg);
    return GP_OK;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

static gp_code index_iface(indexing *x, const char *iface, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    gp_code code = gp_db_list_days(x->db, iface, 0, GP_TIME_MAX, &days, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        progress_show(&x->progress, "%s: day %zu of %zu", iface, i + 1, n);
        code = check_interrupt(err);
        if (code == GP_OK)
            code = try_day(x, iface, &days[i], err);
    }
    free(days);
    return code;
}

static gp_code index_ifaces(indexing *x, gp_error *err)
{
    char **ifaces = NULL;
    size_t n = 0;
    gp_code code = select_ifaces(x->o, x->db, &ifaces, &n, err);
    if (code == GP_OK)
        code = gp_codec_new(&x->codec, err);
    progress_start(&x->progress);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = index_iface(x, ifaces[i], err);
    progress_clear(&x->progress);
    gp_codec_free(x->codec);
    gp_strlist_free(ifaces, n);
    return code;
}

gp_code run_index(const options *o, int *exit_code, gp_error *err)
{
    indexing x = {.o = o, .db = o->args[0], .today = gp_day_start((int64_t)time(NULL))};
    gp_code code = index_ifaces(&x, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to index DB `%s`", x.db);
    printf("Index completed (dry-run=%s)\nDays indexed: %zu\nDays with nothing to add: %zu\n"
           "Days left alone: %zu\nDays failed: %zu\nBlocks damaged: %zu\nBytes written: %" PRIu64 "\n",
           o->dry_run ? "true" : "false", x.indexed, x.complete, x.left_alone, x.failed, x.damaged_blocks,
           x.bytes);
    if (x.failed || x.damaged_blocks)
        *exit_code = EXIT_DAMAGED;
    return GP_OK;
}
