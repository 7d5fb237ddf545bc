#include "proto/query/args.h"

#include "proto/query/args_internal.h"
#include "proto/query/timeparse.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT(member) offsetof(gp_args, member)

const args_field args_fields[] = {
    {.json = "query",
     .param = "query",
     .type = ARGS_STRING,
     .offset = AT(query),
     .required = true,
     .min_length = 3},
    {.json = "ifaces",
     .param = "ifaces",
     .type = ARGS_STRING,
     .offset = AT(ifaces),
     .required = true,
     .min_length = 2},
    {.json = "query_hosts", .param = "query_hosts", .type = ARGS_STRING, .offset = AT(query_hosts)},
    {.json = "query_hosts_resolver_type",
     .param = "hosts_resolver",
     .type = ARGS_STRING,
     .offset = AT(query_hosts_resolver_type)},
    {.json = "hostname", .param = "hostname", .type = ARGS_STRING, .offset = AT(hostname)},
    {.json = "host_id", .param = "host_id", .type = ARGS_UNSIGNED, .offset = AT(host_id)},
    {.json = "condition", .param = "condition", .type = ARGS_STRING, .offset = AT(condition)},
    {.json = "in", .param = "in", .type = ARGS_BOOL, .offset = AT(in)},
    {.json = "out", .param = "out", .type = ARGS_BOOL, .offset = AT(out)},
    {.json = "sum", .param = "sum", .type = ARGS_BOOL, .offset = AT(sum)},
    {.json = "first", .param = "first", .type = ARGS_STRING, .offset = AT(first)},
    {.json = "last", .param = "last", .type = ARGS_STRING, .offset = AT(last)},
    {.json = "time_resolution",
     .param = "time_resolution",
     .type = ARGS_STRING,
     .offset = AT(time_resolution)},
    {.json = "format",
     .param = "format",
     .type = ARGS_STRING,
     .offset = AT(format),
     .choices = "json, txt, csv"},
    {.json = "sort_by",
     .param = "sort_by",
     .type = ARGS_STRING,
     .offset = AT(sort_by),
     .choices = "bytes, packets"},
    {.json = "num_results",
     .param = "num_results",
     .type = ARGS_UNSIGNED,
     .offset = AT(num_results),
     .min = 1,
     .preset = GP_DEFAULT_NUM_RESULTS},
    {.json = "sort_ascending", .param = "sort_ascending", .type = ARGS_BOOL, .offset = AT(sort_ascending)},
    {.json = "list", .param = "list", .type = ARGS_BOOL, .offset = AT(list)},
    {.json = "version", .param = "version", .type = ARGS_BOOL, .offset = AT(version)},
    {.json = "dns_resolution", .type = ARGS_DNS},
    {.json = "max_mem_pct",
     .param = "max_mem_pct",
     .type = ARGS_SIGNED,
     .offset = AT(max_mem_pct),
     .min = 1,
     .max = 100,
     .preset = GP_DEFAULT_MAX_MEM_PCT},
    {.json = "low_mem", .param = "low_mem", .type = ARGS_BOOL, .offset = AT(low_mem)},
    {.json = "keepalive", .param = "keepalive", .type = ARGS_SIGNED, .offset = AT(keepalive_ns)},
    {.json = "caller", .param = "caller", .type = ARGS_STRING, .offset = AT(caller)},
    {.json = "live", .param = "live", .type = ARGS_BOOL, .offset = AT(live)},
    {.json = "sum_hosts", .param = "sum_hosts", .type = ARGS_BOOL, .offset = AT(sum_hosts)},
    {.json = "via", .param = "via", .type = ARGS_STRING, .offset = AT(via)},
    {.json = "skip_results", .type = ARGS_UNSIGNED, .offset = AT(skip_results)},
    {.json = "min_value", .type = ARGS_UNSIGNED, .offset = AT(min_value)},
    {.json = "only_rows", .type = ARGS_STRING, .offset = AT(only_rows)},
    {.json = "digest", .type = ARGS_BOOL, .offset = AT(digest)},
};
const size_t args_n_fields = sizeof args_fields / sizeof args_fields[0];

const args_field args_dns_fields[] = {
    {.json = "enabled",
     .param = "dns_enabled",
     .type = ARGS_BOOL,
     .offset = AT(dns.enabled),
     .required = true},
    {.json = "timeout",
     .param = "dns_timeout",
     .type = ARGS_SIGNED,
     .offset = AT(dns.timeout_ns),
     .preset = GP_DEFAULT_RESOLVE_TIMEOUT_NS},
    {.json = "max_rows", .param = "dns_max_rows", .type = ARGS_SIGNED, .offset = AT(dns.max_rows), .min = 1},
};
const size_t args_n_dns_fields = sizeof args_dns_fields / sizeof args_dns_fields[0];

void *args_place(gp_args *a, const args_field *f)
{
    return (char *)a + f->offset;
}

const void *args_place_const(const gp_args *a, const args_field *f)
{
    return (const char *)a + f->offset;
}

void gp_args_init(gp_args *a)
{
    *a = (gp_args){.query = NULL};
}

void gp_args_free(gp_args *a)
{
    for (size_t i = 0; i < args_n_fields; i++)
        if (args_fields[i].type == ARGS_STRING)
            free(*(char **)args_place(a, &args_fields[i]));
    gp_args_init(a);
}

gp_code gp_args_set(char **field, const char *value, gp_error *err)
{
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query argument of %zu bytes", strlen(value));
    free(*field);
    *field = copy;
    return GP_OK;
}

gp_code gp_args_copy(const gp_args *from, gp_args *to, gp_error *err)
{
    gp_args copy = *from;
    gp_code code = GP_OK;
    for (size_t i = 0; i < args_n_fields; i++)
        if (args_fields[i].type == ARGS_STRING)
            *(char **)args_place(&copy, &args_fields[i]) = NULL;
    for (size_t i = 0; code == GP_OK && i < args_n_fields; i++)
        if (args_fields[i].type == ARGS_STRING)
            code = gp_args_set(args_place(&copy, &args_fields[i]),
                               *(char *const *)args_place_const(from, &args_fields[i]), err);
    if (code == GP_OK)
        *to = copy;
    else
        gp_args_free(&copy);
    return code;
}

/* One month before `now` in local time, as asctime(3) writes it. */
static bool month_ago(int64_t now, char *dst, size_t size)
{
    time_t t = (time_t)now;
    struct tm tm;
    if (!localtime_r(&t, &tm))
        return false;
    tm.tm_mon--;
    tm.tm_isdst = -1;
    if (mktime(&tm) == (time_t)-1)
        return false;
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int n = snprintf(dst, size, "%.3s %.3s %2d %02d:%02d:%02d %04d", days + (size_t)tm.tm_wday * 3,
                     months + (size_t)tm.tm_mon * 3, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     tm.tm_year + 1900);
    return n > 0 && (size_t)n < size;
}

static gp_code default_times(gp_args *a, int64_t now, gp_error *err)
{
    char text[64];
    if (!a->first || !*a->first) {
        if (!month_ago(now, text, sizeof text))
            return gp_fail(err, GP_EINVAL, "cannot go back one month from %" PRId64 " seconds since 1970",
                           now);
        gp_code code = gp_args_set(&a->first, text, err);
        if (code != GP_OK)
            return code;
    }
    if (a->last && *a->last)
        return GP_OK;
    snprintf(text, sizeof text, "%" PRId64, (int64_t)GP_TIME_MAX);
    return gp_args_set(&a->last, text, err);
}

gp_code gp_args_set_defaults(gp_args *a, int64_t now, gp_error *err)
{
    gp_code code = default_times(a, now, err);
    if (code == GP_OK && (!a->sort_by || !*a->sort_by))
        code = gp_args_set(&a->sort_by, "bytes", err);
    if (a->max_mem_pct == 0)
        a->max_mem_pct = GP_DEFAULT_MAX_MEM_PCT;
    if (a->num_results == 0)
        a->num_results = GP_DEFAULT_NUM_RESULTS;
    if (a->dns.timeout_ns == 0)
        a->dns.timeout_ns = GP_DEFAULT_RESOLVE_TIMEOUT_NS;
    if (a->dns.max_rows == 0)
        a->dns.max_rows = GP_DEFAULT_RESOLVE_ROWS;
    return code;
}

static gp_code resolve_local_time(char **field, gp_error *err)
{
    char text[GP_TIME_STRLEN];
    int64_t t;
    if (!*field || !gp_time_parse_local(*field, &t))
        return GP_OK;
    if (t >= 0)
        snprintf(text, sizeof text, "%" PRId64, t);
    else /* before 1970: a number with a sign would be a relative time */
        (void)gp_time_format_rfc3339(t, 0, text);
    return gp_args_set(field, text, err);
}

gp_code gp_args_resolve_local_times(gp_args *a, gp_error *err)
{
    gp_code code = resolve_local_time(&a->first, err);
    return code == GP_OK ? resolve_local_time(&a->last, err) : code;
}

static void preset_numbers(gp_args *a, const args_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *place = args_place(a, &fields[i]);
        if (!fields[i].preset)
            continue;
        if (fields[i].type == ARGS_UNSIGNED && *(uint64_t *)place == 0)
            *(uint64_t *)place = (uint64_t)fields[i].preset;
        if (fields[i].type == ARGS_SIGNED && *(int64_t *)place == 0)
            *(int64_t *)place = fields[i].preset;
    }
}

gp_code args_apply_presets(gp_args *a, gp_error *err)
{
    preset_numbers(a, args_fields, args_n_fields);
    preset_numbers(a, args_dns_fields, args_n_dns_fields);
    return a->sort_by ? GP_OK : gp_args_set(&a->sort_by, "bytes", err);
}

/* ---- checks shared by bodies and parameters ------------------------------------------------------------ */

void args_problem_text(gp_problem *problem, const char *location, const char *value, const char *fmt, ...)
{
    char *message = NULL;
    gp_buf json = GP_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&message, fmt, ap) < 0)
        message = NULL;
    va_end(ap);
    gp_buf_json_str(&json, value ? value : "");
    gp_problem_add(problem, location, json.failed ? NULL : json.data, "%s", message ? message : fmt);
    gp_buf_free(&json);
    free(message);
}

/* Characters, not bytes: the continuation bytes of UTF-8 do not count. */
static size_t count_characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *c = choices; c;) {
        size_t n = strcspn(c, ",");
        if (n == len && memcmp(c, value, n) == 0)
            return true;
        c = c[n] ? c + n + 2 : NULL;
    }
    return false;
}

void args_check_string(const args_field *f, const char *location, const char *value, gp_problem *problem)
{
    if (count_characters(value) < f->min_length)
        args_problem_text(problem, location, value, "expected length >= %u", f->min_length);
    if (f->choices && !is_choice(f->choices, value))
        args_problem_text(problem, location, value, "expected value to be one of \"%s\"", f->choices);
}

void args_check_number(const args_field *f, const char *location, double value, const char *value_json,
                       gp_problem *problem)
{
    if (value < (double)f->min)
        gp_problem_add(problem, location, value_json, "expected number >= %" PRId64, f->min);
    if (f->max && value > (double)f->max)
        gp_problem_add(problem, location, value_json, "expected number <= %" PRId64, f->max);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void json_name(gp_buf *out, const char *name)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        gp_buf_putc(out, ',');
    gp_buf_json_str(out, name);
    gp_buf_putc(out, ':');
}

static void number_to_json(gp_buf *out, const args_field *f, const void *place)
{
    if (f->type == ARGS_UNSIGNED && *(const uint64_t *)place) {
        json_name(out, f->json);
        gp_buf_u64(out, *(const uint64_t *)place);
    } else if (f->type == ARGS_SIGNED && *(const int64_t *)place) {
        json_name(out, f->json);
        gp_buf_i64(out, *(const int64_t *)place);
    }
}

static void fields_to_json(const gp_args *a, const args_field *fields, size_t n, gp_buf *out);

static void field_to_json(const gp_args *a, const args_field *f, gp_buf *out)
{
    const void *place = args_place_const(a, f);
    const char *text = f->type == ARGS_STRING ? *(char *const *)place : NULL;
    switch (f->type) {
    case ARGS_STRING:
        if ((!text || !*text) && !f->required)
            return;
        json_name(out, f->json);
        gp_buf_json_str(out, text ? text : "");
        return;
    case ARGS_BOOL:
        if (!*(const bool *)place && !f->required)
            return;
        json_name(out, f->json);
        gp_buf_puts(out, *(const bool *)place ? "true" : "false");
        return;
    case ARGS_UNSIGNED:
    case ARGS_SIGNED:
        number_to_json(out, f, place);
        return;
    case ARGS_DNS:
        json_name(out, f->json);
        fields_to_json(a, args_dns_fields, args_n_dns_fields, out);
        return;
    }
}

static void fields_to_json(const gp_args *a, const args_field *fields, size_t n, gp_buf *out)
{
    gp_buf_putc(out, '{');
    for (size_t i = 0; i < n; i++)
        field_to_json(a, &fields[i], out);
    gp_buf_putc(out, '}');
}

void gp_args_to_json(const gp_args *a, gp_buf *out)
{
    fields_to_json(a, args_fields, args_n_fields, out);
}
