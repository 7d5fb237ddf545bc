#include "proto/query/args_internal.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The greatest integer up to which a double, and so most JSON libraries, is exact (RFC 8259, section 6). */
#define EXACT_MAX 9007199254740991.0

/* An object is echoed for every unknown member, so both are limited. */
enum { MAX_UNKNOWN = 32, MAX_ECHO = 16384 };

typedef struct reader {
    gp_args *out;
    gp_problem *problem;
    gp_buf *unknown; /* takes the names of unknown members; NULL: they are refused */
    bool out_of_memory;
} reader;

typedef struct schema {
    const args_field *fields;
    size_t n;
    const char *location;
} schema;

/* The text of a value for a problem; NULL for null and for what is too long. Release with cJSON_free. */
static char *echo_of(const cJSON *value)
{
    char *text = value && !cJSON_IsNull(value) ? cJSON_PrintUnformatted(value) : NULL;
    if (text && strlen(text) > MAX_ECHO) {
        cJSON_free(text);
        return NULL;
    }
    return text;
}

static void refuse(reader *r, const char *location, const cJSON *value, const char *message)
{
    char *text = echo_of(value);
    gp_problem_add(r->problem, location, text, "%s", message);
    cJSON_free(text);
}

static void read_string(reader *r, const args_field *f, const char *location, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    if (!text) {
        refuse(r, location, value, "expected string");
        return;
    }
    args_check_string(f, location, text, r->problem);
    if (gp_args_set(args_place(r->out, f), text, NULL) != GP_OK)
        r->out_of_memory = true;
}

static void read_bool(reader *r, const args_field *f, const char *location, const cJSON *value)
{
    if (cJSON_IsBool(value))
        *(bool *)args_place(r->out, f) = cJSON_IsTrue(value);
    else
        refuse(r, location, value, "expected boolean");
}

/* Checks what all numbers must fulfil; false if a problem was added. */
static bool check_number(reader *r, const args_field *f, const char *location, const cJSON *value)
{
    size_t before = r->problem->n_errors;
    double number = value->valuedouble;
    if (isfinite(number) && number != trunc(number))
        refuse(r, location, value, "expected integer");
    char *text = echo_of(value);
    args_check_number(f, location, number, text, r->problem);
    cJSON_free(text);
    if (f->type == ARGS_UNSIGNED && !f->max && number > 0x1p64)
        refuse(r, location, value, "expected number <= 18446744073709551615");
    if (f->type == ARGS_SIGNED && !f->max && number > 0x1p63)
        refuse(r, location, value, "expected number <= 9223372036854775807");
    /* Limits above are as good as none, but an identifier must be exact. */
    if (f->offset == offsetof(gp_args, host_id) && number > EXACT_MAX)
        refuse(r, location, value, "expected number <= 9007199254740991");
    return r->problem->n_errors == before;
}

static void read_number(reader *r, const args_field *f, const char *location, const cJSON *value)
{
    if (!cJSON_IsNumber(value)) {
        refuse(r, location, value, "expected integer");
        return;
    }
    if (!check_number(r, f, location, value))
        return;
    double number = value->valuedouble;
    void *place = args_place(r->out, f);
    if (f->type == ARGS_UNSIGNED)
        *(uint64_t *)place = number < 0x1p64 ? (uint64_t)number : UINT64_MAX;
    else
        *(int64_t *)place = number < 0x1p63 ? (int64_t)number : INT64_MAX;
}

static void read_object(reader *r, const schema *s, const cJSON *object);

static void read_dns(reader *r, const char *location, const cJSON *value)
{
    const schema s = {args_dns_fields, args_n_dns_fields, location};
    if (cJSON_IsObject(value))
        read_object(r, &s, value);
    else
        refuse(r, location, value, "expected object");
}

static void read_field(reader *r, const args_field *f, const char *location, const cJSON *value)
{
    switch (f->type) {
    case ARGS_STRING:
        read_string(r, f, location, value);
        break;
    case ARGS_BOOL:
        read_bool(r, f, location, value);
        break;
    case ARGS_UNSIGNED:
    case ARGS_SIGNED:
        read_number(r, f, location, value);
        break;
    case ARGS_DNS:
        read_dns(r, location, value);
        break;
    }
}

/* Names match without regard to case, and the last of several wins, as in Go. */
static const cJSON *find_member(const cJSON *object, const char *name)
{
    const cJSON *found = NULL;
    for (const cJSON *i = object->child; i; i = i->next)
        if (strcasecmp(i->string, name) == 0)
            found = i;
    return found;
}

static void read_member(reader *r, const schema *s, const args_field *f, const cJSON *object)
{
    const cJSON *value = find_member(object, f->json);
    char text[128];
    if (!value && f->required) {
        snprintf(text, sizeof text, "expected required property %s to be present", f->json);
        refuse(r, s->location, object, text);
    }
    if (!value || (cJSON_IsNull(value) && !f->required))
        return;
    snprintf(text, sizeof text, "%s.%s", s->location, f->json);
    read_field(r, f, text, value);
}

static bool is_known(const schema *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcasecmp(s->fields[i].json, name) == 0)
            return true;
    /* v4's clients may name the schema of what they send. */
    return s->fields == args_fields && strcasecmp(name, "$schema") == 0;
}

static void refuse_unknown(reader *r, const schema *s, const cJSON *object)
{
    char *echo = NULL;
    unsigned n = 0;
    for (const cJSON *i = object->child; i && n < MAX_UNKNOWN; i = i->next) {
        if (is_known(s, i->string))
            continue;
        gp_buf location = GP_BUF_INIT;
        gp_buf_printf(&location, "%s.%.200s", s->location, i->string);
        if (n++ == 0)
            echo = echo_of(object);
        gp_problem_add(r->problem, location.failed ? s->location : location.data, echo,
                       "unexpected property");
        gp_buf_free(&location);
    }
    cJSON_free(echo);
}

static void note_unknown(reader *r, const schema *s, const cJSON *object)
{
    unsigned n = 0;
    for (const cJSON *i = object->child; i && n < MAX_UNKNOWN; i = i->next) {
        if (is_known(s, i->string))
            continue;
        n++;
        gp_buf_puts(r->unknown, r->unknown->len ? ", " : "");
        gp_buf_json_str(r->unknown, i->string);
    }
}

/* Problems are listed by name. */
static const args_field *next_by_name(const schema *s, const char *after)
{
    const args_field *next = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->fields[i].json, after) > 0 && (!next || strcmp(s->fields[i].json, next->json) < 0))
            next = &s->fields[i];
    return next;
}

static void read_object(reader *r, const schema *s, const cJSON *object)
{
    for (const args_field *f = next_by_name(s, ""); f; f = next_by_name(s, f->json))
        read_member(r, s, f, object);
    if (r->unknown)
        note_unknown(r, s, object);
    else
        refuse_unknown(r, s, object);
}

/* cJSON ends strings at an escaped NUL; what comes behind it must not be lost silently. */
static bool has_escaped_nul(const char *text)
{
    for (; *text; text++) {
        if (*text != '\\')
            continue;
        if (strncmp(text, "\\u0000", 6) == 0)
            return true;
        if (*++text == '\0')
            break;
    }
    return false;
}

static cJSON *parse_body(const char *text, size_t len, gp_problem *problem)
{
    const char *end = NULL;
    char *copy = strndup(text, len);
    cJSON *body = NULL;
    if (!copy) {
        gp_problem_set(problem, 500, "out of memory for a body of %zu bytes", len);
        return NULL;
    }
    bool plain = strlen(copy) == len && !has_escaped_nul(copy);
    if (plain)
        body = cJSON_ParseWithLengthOpts(copy, len + 1, &end, true);
    if (!body) {
        gp_problem_set(problem, 400, "validation failed");
        if (!plain)
            args_problem_text(problem, "body", copy, "invalid JSON: NUL characters are not allowed");
        else
            args_problem_text(problem, "body", copy, "invalid JSON at byte %zu of %zu",
                              end ? (size_t)(end - copy) + 1 : 1, len);
    }
    free(copy);
    return body;
}

static gp_code from_json(const char *text, size_t len, gp_args *out, gp_buf *unknown, gp_problem *problem)
{
    gp_args_init(out);
    if (len == 0) {
        gp_problem_set(problem, 400, "request body is required");
        return GP_EINVAL;
    }
    cJSON *body = parse_body(text, len, problem);
    if (!body)
        return GP_EINVAL;
    reader r = {out, problem, unknown, false};
    const schema s = {args_fields, args_n_fields, "body"};
    if (cJSON_IsObject(body))
        read_object(&r, &s, body);
    else
        refuse(&r, s.location, body, "expected object");
    cJSON_Delete(body);
    if (problem->n_errors == 0 && !r.out_of_memory && args_apply_presets(out, NULL) == GP_OK)
        return GP_OK;
    if (problem->n_errors > 0)
        gp_problem_set(problem, 422, "validation failed");
    else
        gp_problem_set(problem, 500, "out of memory for the query arguments");
    gp_args_free(out);
    return problem->n_errors > 0 ? GP_EINVAL : GP_ENOMEM;
}

gp_code gp_args_from_json(const char *text, size_t len, gp_args *out, gp_problem *problem)
{
    return from_json(text, len, out, NULL, problem);
}

gp_code gp_args_from_file(const char *text, size_t len, gp_args *out, gp_buf *unknown, gp_problem *problem)
{
    return from_json(text, len, out, unknown, problem);
}
