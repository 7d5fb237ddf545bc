#include "proto/query/args_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields of both tables, one after the other. */
static const args_field *field_at(size_t i)
{
    if (i < args_n_fields)
        return &args_fields[i];
    i -= args_n_fields;
    return i < args_n_dns_fields ? &args_dns_fields[i] : NULL;
}

enum { MAX_PARAMS = 48 };

/* The first value of each parameter; unknown names are ignored, as by v4. Values are copied, because
 * those of the caller need not outlive the next call. */
typedef struct values {
    char *text[MAX_PARAMS];
} values;

static void values_free(values *v)
{
    for (size_t i = 0; i < MAX_PARAMS; i++)
        free(v->text[i]);
}

static bool keep(values *v, const char *key, const char *value)
{
    const args_field *f;
    for (size_t i = 0; i < MAX_PARAMS && (f = field_at(i)); i++) {
        if (!f->param || strcmp(f->param, key) != 0 || v->text[i])
            continue;
        v->text[i] = strdup(value ? value : "");
        return v->text[i] != NULL;
    }
    return true;
}

/* strconv.ParseBool */
static bool read_bool(const char *text, bool *out)
{
    static const char *const words[2][6] = {{"0", "f", "F", "false", "False", "FALSE"},
                                            {"1", "t", "T", "true", "True", "TRUE"}};
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < 6; i++) {
            if (strcmp(text, words[v][i]) == 0) {
                *out = v == 1;
                return true;
            }
        }
    }
    return false;
}

static bool is_number(const char *text, bool is_signed)
{
    if (is_signed && (*text == '-' || *text == '+'))
        text++;
    return *text && strspn(text, "0123456789") == strlen(text);
}

static bool read_unsigned(const char *text, uint64_t *out)
{
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return is_number(text, false) && errno == 0;
}

static bool read_signed(const char *text, int64_t *out)
{
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return is_number(text, true) && errno == 0;
}

static bool read_number(const args_field *f, const char *location, const char *text, gp_args *out,
                        gp_problem *problem)
{
    char json[24];
    uint64_t u;
    int64_t s;
    if (f->type == ARGS_UNSIGNED && read_unsigned(text, &u)) {
        *(uint64_t *)args_place(out, f) = u;
        snprintf(json, sizeof json, "%" PRIu64, u);
        args_check_number(f, location, (double)u, json, problem);
        return true;
    }
    if (f->type == ARGS_SIGNED && read_signed(text, &s)) {
        *(int64_t *)args_place(out, f) = s;
        snprintf(json, sizeof json, "%" PRId64, s);
        args_check_number(f, location, (double)s, json, problem);
        return true;
    }
    args_problem_text(problem, location, text, "invalid integer");
    return true;
}

/* False when out of memory. */
static bool read_value(const args_field *f, const char *text, gp_args *out, gp_problem *problem)
{
    char location[64];
    snprintf(location, sizeof location, "query.%s", f->param);
    switch (f->type) {
    case ARGS_STRING:
        args_check_string(f, location, text, problem);
        return gp_args_set(args_place(out, f), text, NULL) == GP_OK;
    case ARGS_BOOL:
        if (!read_bool(text, args_place(out, f)))
            args_problem_text(problem, location, text, "invalid boolean");
        return true;
    case ARGS_UNSIGNED:
    case ARGS_SIGNED:
        return read_number(f, location, text, out, problem);
    case ARGS_DNS:
        break;
    }
    return true;
}

gp_code gp_args_from_params(gp_param_next next, void *ctx, gp_args *out, gp_problem *problem)
{
    values v = {{NULL}};
    const char *key = NULL;
    const char *value = NULL;
    bool ok = true;
    gp_args_init(out);
    while (ok && next(ctx, &key, &value))
        ok = keep(&v, key, value);
    const args_field *f;
    for (size_t i = 0; ok && i < MAX_PARAMS && (f = field_at(i)); i++)
        if (v.text[i] && *v.text[i])
            ok = read_value(f, v.text[i], out, problem);
    values_free(&v);
    if (ok && problem->n_errors == 0 && args_apply_presets(out, NULL) == GP_OK)
        return GP_OK;
    gp_args_free(out);
    if (problem->n_errors > 0) {
        gp_problem_set(problem, 422, "validation failed");
        return GP_EINVAL;
    }
    gp_problem_set(problem, 500, "out of memory for the query arguments");
    return GP_ENOMEM;
}
