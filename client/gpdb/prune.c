#include "client/gpdb/gpdb.h"
#include "client/gpdb/text.h"
#include "proto/base/strlist.h"
#include "sensor/godb/retention.h"

#include <inttypes.h>
#include <time.h>

typedef struct prune {
    const options *o;
    const char *db;
    gp_retention_limits limits;
    int64_t now;
    progress progress;
    size_t days, kept_days;
    uint64_t bytes, kept_bytes;
    bool too_big; /* an interface that cannot be made small enough */
} prune;

static gp_code prune_day(prune *p, const char *iface, const gp_retention_day *day, gp_error *err)
{
    char date[GP_UTC_STRLEN];
    format_utc_day(day->day, date);
    gp_code code = p->o->dry_run ? GP_OK : gp_retention_remove(p->db, iface, day, err);
    if (code != GP_OK)
        return code;
    progress_clear(&p->progress);
    printf("%s %s: %s %" PRIu64 " bytes (%s)\n", iface, date, p->o->dry_run ? "would remove" : "removed",
           day->bytes, gp_retention_reason_name(day->reason));
    p->days++;
    p->bytes += day->bytes;
    return GP_OK;
}

static gp_code prune_iface(prune *p, const char *iface, gp_error *err)
{
    gp_retention_plan plan = {0};
    gp_code code = p->o->dry_run ? GP_OK : gp_retention_clean(p->db, iface, err);
    if (code == GP_OK)
        code = gp_retention_plan_make(&plan, p->db, iface, &p->limits, p->now, err);
    for (size_t i = 0; i < plan.n && code == GP_OK; i++) {
        progress_show(&p->progress, "%s: day %zu of %zu", iface, i + 1, plan.n);
        code = check_interrupt(err);
        if (code == GP_OK)
            code = prune_day(p, iface, &plan.days[i], err);
    }
    p->kept_days += plan.kept_days;
    p->kept_bytes += plan.kept_bytes;
    p->too_big = p->too_big || (p->limits.max_size > 0 && plan.kept_bytes > (uint64_t)p->limits.max_size);
    gp_retention_plan_free(&plan);
    return code;
}

static gp_code prune_ifaces(prune *p, gp_error *err)
{
    char **ifaces = NULL;
    size_t n = 0;
    gp_code code = select_ifaces(p->o, p->db, &ifaces, &n, err);
    progress_start(&p->progress);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = prune_iface(p, ifaces[i], err);
    progress_clear(&p->progress);
    gp_strlist_free(ifaces, n);
    return code;
}

gp_code run_prune(const options *o, int *exit_code, gp_error *err)
{
    prune p = {.o = o,
               .db = o->args[0],
               .limits = {.max_age_s = o->max_age_s, .max_size = o->max_size},
               .now = (int64_t)time(NULL)};
    if (o->max_age_s == 0 && o->max_size == 0)
        return gp_fail(err, GP_EINVAL,
                       "prune needs a limit: give --max-age (for example 90d), --max-size "
                       "(for example 20G) or both");
    gp_code code = prune_ifaces(&p, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to prune DB `%s`", p.db);
    printf("Prune completed (dry-run=%s)\nDays removed: %zu\nBytes removed: %" PRIu64
           "\nDays kept: %zu\nBytes kept: %" PRIu64 "\n",
           o->dry_run ? "true" : "false", p.days, p.bytes, p.kept_days, p.kept_bytes);
    if (p.too_big)
        *exit_code = EXIT_DAMAGED;
    return GP_OK;
}
