#include "proto/query/args.h"

#include "proto/query/args_internal.h"
#include "proto/query/ifsel.h"
#include "proto/query/timeparse.h"
#include "proto/query/token_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static void add_number(gp_problem *p, const char *location, int64_t value, const char *message)
{
    char json[24];
    snprintf(json, sizeof json, "%" PRId64, value);
    gp_problem_add(p, location, json, "%s", message);
}

static void add_error(gp_problem *p, const char *location, const char *value, const char *what,
                      const gp_error *err)
{
    /* v4 sets what marks a position apart by an empty line. */
    const char *gap = gp_is_token_error(err) ? "\n\n" : "";
    args_problem_text(p, location, value, "%s: %s%s", what, gap, err->msg);
}

static void prepare_type(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    gp_error err = GP_ERROR_INIT;
    if (gp_query_type_parse(or_empty(a->query), &s->type, &err) != GP_OK)
        add_error(p, "body.query", a->query, "invalid query type", &err);
}

static void prepare_format(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    static const char *const names[] = {
        [GP_FORMAT_TXT] = "txt", [GP_FORMAT_JSON] = "json", [GP_FORMAT_CSV] = "csv"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(or_empty(a->format), names[i]) == 0) {
            s->format = (gp_format)i;
            return;
        }
    }
    args_problem_text(p, "body.format", a->format, "unknown format: [csv json txt]");
}

static void prepare_sort(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    const char *name = a->sort_by && *a->sort_by ? a->sort_by : "packets";
    s->sort_ascending = a->sort_ascending;
    for (gp_sort by = GP_SORT_BYTES; by <= GP_SORT_TIME; by++) {
        if (strcmp(name, gp_sort_name(by)) == 0) {
            s->sort_by = by;
            return;
        }
    }
    args_problem_text(p, "body.sort_by", a->sort_by, "unknown sort order: [bytes packets time]");
}

/* More than one interface may answer: several names, "any" or an expression. */
static bool selects_several(const char *ifaces)
{
    return strchr(ifaces, ',') || strcasecmp(ifaces, "any") == 0 || gp_ifsel_is_regex(ifaces);
}

static void prepare_ifaces(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    gp_error err = GP_ERROR_INIT;
    const char *ifaces = or_empty(a->ifaces);
    if (!*ifaces)
        args_problem_text(p, "body.ifaces", ifaces, "empty interface name");
    if (gp_ifsel_validate(ifaces, &err) != GP_OK)
        add_error(p, "body.ifaces", ifaces, "invalid interface name", &err);
    if (selects_several(ifaces))
        s->type.label_mask |= GP_LABEL_IFACE;
}

static bool prepare_time(const char *text, int64_t now, int64_t preset, const char *location, int64_t *out,
                         gp_problem *p)
{
    gp_error err = GP_ERROR_INIT;
    *out = preset;
    if (!text || !*text || gp_time_parse(text, now, out, &err) == GP_OK)
        return true;
    add_error(p, location, text, "invalid time format", &err);
    return false;
}

static void prepare_range(const gp_args *a, int64_t now, gp_stmt *s, gp_problem *p)
{
    bool first = prepare_time(a->first, now, 0, "body.first", &s->first, p);
    bool last = prepare_time(a->last, now, now, "body.last", &s->last, p);
    if (first && last && s->first > s->last)
        args_problem_text(p, "body.first", a->first,
                          "invalid time interval: the lower time bound cannot be greater than the upper time "
                          "bound");
}

/* Whole seconds: a resolution that is a multiple of the write interval is always one. */
static void prepare_resolution(const char *text, gp_stmt *s, gp_problem *p)
{
    const int64_t step = GP_DB_WRITE_INTERVAL * GP_NS_PER_SEC;
    int64_t ns;
    if (strcmp(text, "auto") == 0) {
        int64_t duration;
        if (__builtin_sub_overflow(s->last, s->first, &duration))
            duration = INT64_MAX;
        s->bin_size = gp_time_bin_auto(duration);
    } else if (gp_duration_parse(text, &ns, NULL) != GP_OK)
        args_problem_text(p, "body.time_resolution", text,
                          "invalid time resolution: %.200s (must be 'auto' or a valid duration like '5m', "
                          "'10m', '1h')",
                          text);
    else if (ns < step)
        args_problem_text(p, "body.time_resolution", text, "time resolution must be at least 5m0s");
    else if (ns % step != 0)
        args_problem_text(p, "body.time_resolution", text, "time resolution must be a multiple of 5m0s");
    else
        s->bin_size = ns / GP_NS_PER_SEC;
}

static void prepare_times(const gp_args *a, int64_t now, gp_stmt *s, gp_problem *p)
{
    s->bin_size = GP_DB_WRITE_INTERVAL;
    prepare_range(a, now, s, p);
    if (!(s->type.label_mask & GP_LABEL_TIME))
        return;
    /* Series are always in the order of time. */
    s->sort_by = GP_SORT_TIME;
    s->sort_ascending = true;
    if (a->time_resolution && *a->time_resolution)
        prepare_resolution(a->time_resolution, s, p);
}

static void prepare_direction(const gp_args *a, gp_stmt *s)
{
    if (a->sum)
        s->direction = GP_DIR_SUM;
    else if (a->in != a->out)
        s->direction = a->in ? GP_DIR_IN : GP_DIR_OUT;
    else
        s->direction = GP_DIR_BOTH;
}

static void prepare_dns(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    s->dns = a->dns;
    if (!a->dns.enabled)
        return;
    if (a->dns.timeout_ns <= 0)
        add_number(p, "body.dns_resolution.timeout", a->dns.timeout_ns, "invalid resolution timeout");
    if (a->dns.max_rows <= 0)
        add_number(p, "body.dns_resolution.max_rows", a->dns.max_rows,
                   "invalid number of rows to resolve: must be > 0");
}

static void prepare_condition(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    gp_error err = GP_ERROR_INIT;
    char *plain = NULL;
    if (!a->condition || gp_cond_parse(a->condition, a->dns.timeout_ns, &s->cond, &err) == GP_OK)
        return;
    if (gp_cond_plain(a->condition, &plain, NULL) != GP_OK)
        plain = NULL;
    add_error(p, "body.condition", plain ? plain : a->condition, "invalid condition", &err);
    free(plain);
}

static void prepare_limits(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    if (a->max_mem_pct < 1 || a->max_mem_pct > 100)
        add_number(p, "body.max_mem_pct", a->max_mem_pct,
                   "invalid max memory percentage: must be in (0, 100]");
    else
        s->max_mem_pct = (int)a->max_mem_pct;
    if (a->keepalive_ns < 0)
        add_number(p, "body.keepalive", a->keepalive_ns, "invalid keepalive duration: must be >0");
    s->keepalive_ns = a->keepalive_ns;
    if (a->num_results == 0)
        add_number(p, "body.num_results", 0, "invalid number of result rows: must be > 0");
    s->num_results = a->num_results;
    if (a->live && s->last != GP_TIME_MAX)
        add_number(p, "live", s->last, "query not possible: last timestamp unsupported");
    s->live = a->live;
    s->low_mem = a->low_mem;
}

static void prepare_narrowing(const gp_args *a, gp_stmt *s, gp_problem *p)
{
    gp_error err = GP_ERROR_INIT;
    s->sum_hosts = a->sum_hosts;
    s->narrow.skip = a->skip_results;
    s->narrow.min_value = a->min_value;
    s->narrow.digest = a->digest;
    if (!a->only_rows)
        return;
    if (gp_fingerprints_from_text(a->only_rows, strlen(a->only_rows), &s->narrow.only, &s->narrow.n_only,
                                  &err) == GP_OK)
        gp_fingerprints_sort(s->narrow.only, s->narrow.n_only);
    else
        args_problem_text(p, "body.only_rows", "", "%s", err.msg);
}

static bool copy_texts(const gp_args *a, gp_stmt *s)
{
    return gp_args_set(&s->query_text, or_empty(a->query), NULL) == GP_OK &&
           gp_args_set(&s->ifaces, or_empty(a->ifaces), NULL) == GP_OK &&
           gp_args_set(&s->caller, a->caller, NULL) == GP_OK;
}

gp_code gp_args_prepare(const gp_args *a, int64_t now, gp_stmt *out, gp_problem *problem)
{
    gp_stmt s = {.query_text = NULL};
    prepare_type(a, &s, problem);
    prepare_format(a, &s, problem);
    prepare_sort(a, &s, problem);
    prepare_ifaces(a, &s, problem);
    prepare_times(a, now, &s, problem);
    prepare_direction(a, &s);
    prepare_dns(a, &s, problem);
    prepare_condition(a, &s, problem);
    prepare_limits(a, &s, problem);
    prepare_narrowing(a, &s, problem);
    bool copied = copy_texts(a, &s);
    if (copied && problem->n_errors == 0) {
        *out = s;
        return GP_OK;
    }
    gp_stmt_free(&s);
    *out = s;
    if (problem->n_errors == 0) {
        gp_problem_set(problem, 500, "out of memory for the query");
        return GP_ENOMEM;
    }
    gp_problem_set(problem, 422, "query preparation failed");
    return GP_EINVAL;
}

void gp_stmt_free(gp_stmt *s)
{
    free(s->query_text);
    free(s->ifaces);
    free(s->caller);
    gp_cond_free(s->cond);
    gp_narrow_free(&s->narrow);
    *s = (gp_stmt){.query_text = NULL};
}

int64_t gp_time_bin_auto(int64_t duration)
{
    enum { BINS = 86400 / GP_DB_WRITE_INTERVAL };
    /* v4 counts durations in nanoseconds of 64 bits, which end after 292 years. */
    const int64_t longest = INT64_MAX / GP_NS_PER_SEC;
    const int64_t unit = (int64_t)BINS * GP_DB_WRITE_INTERVAL;
    if (duration <= 0)
        return GP_DB_WRITE_INTERVAL;
    if (duration > longest)
        duration = longest;
    return (duration + unit - 1) / unit * GP_DB_WRITE_INTERVAL;
}

const char *gp_direction_name(gp_direction d)
{
    switch (d) {
    case GP_DIR_SUM:
        return "sum";
    case GP_DIR_IN:
        return "in";
    case GP_DIR_OUT:
        return "out";
    case GP_DIR_BOTH:
        return "bi-directional";
    }
    return "unknown";
}

const char *gp_sort_name(gp_sort s)
{
    switch (s) {
    case GP_SORT_BYTES:
        return "bytes";
    case GP_SORT_PACKETS:
        return "packets";
    case GP_SORT_TIME:
        return "time";
    }
    return "unknown";
}
