/* Capture settings as JSON: written for peers, read leniently from peers and strictly from requests. */
#include "proto/control/capconfig.h"
#include "proto/control/json.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *json_bool(bool b)
{
    return b ? "true" : "false";
}

static void bpf_to_json(const gp_capconfig *c, gp_buf *out)
{
    if (c->n_extra_bpf == 0) {
        gp_buf_puts(out, "null");
        return;
    }
    for (size_t i = 0; i < c->n_extra_bpf; i++) {
        const gp_bpf_insn *in = &c->extra_bpf[i];
        gp_buf_printf(out, "%s{\"Op\":%u,\"Jt\":%u,\"Jf\":%u,\"K\":%lu}", i ? "," : "[", in->op, in->jt,
                      in->jf, (unsigned long)in->k);
    }
    gp_buf_putc(out, ']');
}

static void ring_to_json(const gp_capconfig *c, gp_buf *out)
{
    if (!c->has_ring) {
        gp_buf_puts(out, "null");
        return;
    }
    gp_buf_printf(out, "{\"block_size\":%lld,\"num_blocks\":%lld", (long long)c->block_size,
                  (long long)c->num_blocks);
    if (c->num_rings)
        gp_buf_printf(out, ",\"num_rings\":%lld", (long long)c->num_rings);
    gp_buf_putc(out, '}');
}

static void capconfig_to_json(const gp_capconfig *c, gp_buf *out)
{
    gp_buf_printf(out, "{\"ignore_vlans\":%s,\"promisc\":%s,\"ring_buffer\":", json_bool(c->ignore_vlans),
                  json_bool(c->promisc));
    ring_to_json(c, out);
    gp_buf_puts(out, ",\"extra_bpf_filters\":");
    bpf_to_json(c, out);
    gp_buf_printf(out, ",\"disable\":%s", json_bool(c->disable));
    if (c->max_flows)
        gp_buf_printf(out, ",\"max_flows\":%lld", (long long)c->max_flows);
    if (c->in_kernel)
        gp_buf_puts(out, ",\"in_kernel\":true");
    gp_buf_putc(out, '}');
}

void gp_capconfig_map_to_json(const gp_capconfig_map *m, gp_buf *out)
{
    gp_buf_putc(out, '{');
    for (size_t i = 0; i < m->n; i++) {
        if (i)
            gp_buf_putc(out, ',');
        gp_buf_json_str(out, m->entries[i].name);
        gp_buf_putc(out, ':');
        capconfig_to_json(&m->entries[i].cfg, out);
    }
    gp_buf_putc(out, '}');
}

void gp_config_response_to_json(int status_code, const gp_capconfig_map *m, gp_buf *out)
{
    gp_buf_printf(out, "{\"status_code\":%d,\"ifaces\":", status_code);
    gp_capconfig_map_to_json(m, out);
    gp_buf_putc(out, '}');
}

static gp_code insn_from_json(const cJSON *o, const char *what, gp_bpf_insn *out, gp_error *err)
{
    static const struct {
        const char *name;
        int64_t max;
    } members[] = {{"Op", UINT16_MAX}, {"Jt", UINT8_MAX}, {"Jf", UINT8_MAX}, {"K", UINT32_MAX}};
    int64_t v[4] = {0};
    if (!cJSON_IsObject(o))
        return gp_fail(err, GP_ECORRUPT, "%s: each of \"extra_bpf_filters\" must be an object", what);
    for (size_t i = 0; i < 4; i++) {
        const cJSON *m = cJSON_GetObjectItem(o, members[i].name); /* v4 writes "Op", YAML files "op" */
        gp_code rc = m ? gp_member_i64(o, what, m->string, &v[i], err) : GP_OK;
        if (rc != GP_OK)
            return rc;
        if (v[i] < 0 || v[i] > members[i].max)
            return gp_fail(err, GP_ECORRUPT, "%s: BPF \"%s\" must be between 0 and %lld, is %lld", what,
                           members[i].name, (long long)members[i].max, (long long)v[i]);
    }
    *out = (gp_bpf_insn){(uint16_t)v[0], (uint8_t)v[1], (uint8_t)v[2], (uint32_t)v[3]};
    return GP_OK;
}

static gp_code bpf_from_json(const cJSON *list, const char *what, gp_capconfig *out, gp_error *err)
{
    if (!list || cJSON_IsNull(list))
        return GP_OK;
    if (!cJSON_IsArray(list))
        return gp_fail(err, GP_ECORRUPT, "%s: \"extra_bpf_filters\" must be an array", what);
    int n = cJSON_GetArraySize(list);
    if (n == 0)
        return GP_OK;
    if (n > GP_MAX_EXTRA_BPF)
        return gp_fail(err, GP_ELIMIT, "%s: %d BPF instructions, at most %d are possible", what, n,
                       GP_MAX_EXTRA_BPF);
    out->extra_bpf = calloc((size_t)n, sizeof *out->extra_bpf);
    if (!out->extra_bpf)
        return gp_fail(err, GP_ENOMEM, "%s: out of memory for %d BPF instructions", what, n);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        gp_code rc = insn_from_json(item, what, &out->extra_bpf[out->n_extra_bpf++], err);
        if (rc != GP_OK)
            return rc;
    }
    return GP_OK;
}

static gp_code ring_from_json(const cJSON *ring, const char *what, gp_capconfig *out, gp_error *err)
{
    if (!ring || cJSON_IsNull(ring))
        return GP_OK;
    if (!cJSON_IsObject(ring))
        return gp_fail(err, GP_ECORRUPT, "%s: \"ring_buffer\" must be an object", what);
    out->has_ring = true;
    gp_code rc = gp_member_i64(ring, what, "block_size", &out->block_size, err);
    if (rc == GP_OK)
        rc = gp_member_i64(ring, what, "num_blocks", &out->num_blocks, err);
    return rc == GP_OK ? gp_member_i64(ring, what, "num_rings", &out->num_rings, err) : rc;
}

static gp_code capconfig_from_json(const cJSON *o, const char *name, gp_capconfig *out, gp_error *err)
{
    if (!cJSON_IsObject(o))
        return gp_fail(err, GP_ECORRUPT, "%s: expected an object with capture settings", name);
    gp_code rc = gp_member_bool(o, name, "ignore_vlans", &out->ignore_vlans, err);
    if (rc == GP_OK)
        rc = gp_member_bool(o, name, "promisc", &out->promisc, err);
    if (rc == GP_OK)
        rc = gp_member_bool(o, name, "disable", &out->disable, err);
    if (rc == GP_OK)
        rc = ring_from_json(cJSON_GetObjectItemCaseSensitive(o, "ring_buffer"), name, out, err);
    if (rc == GP_OK)
        rc = gp_member_i64(o, name, "max_flows", &out->max_flows, err);
    if (rc == GP_OK)
        rc = gp_member_bool(o, name, "in_kernel", &out->in_kernel, err);
    if (rc == GP_OK)
        rc = bpf_from_json(cJSON_GetObjectItemCaseSensitive(o, "extra_bpf_filters"), name, out, err);
    return rc;
}

static int cmp_entry(const void *a, const void *b)
{
    return strcmp(((const gp_capconfig_entry *)a)->name, ((const gp_capconfig_entry *)b)->name);
}

/* Sorted once at the end: putting one by one would be quadratic for an unsorted peer. */
static gp_code sort_entries(gp_capconfig_map *m, gp_error *err)
{
    qsort(m->entries, m->n, sizeof *m->entries, cmp_entry);
    for (size_t i = 1; i < m->n; i++)
        if (strcmp(m->entries[i - 1].name, m->entries[i].name) == 0)
            return gp_fail(err, GP_ECORRUPT, "%s: interface is given twice", m->entries[i].name);
    return GP_OK;
}

static gp_code entries_from_object(const cJSON *root, gp_capconfig_map *m, gp_error *err)
{
    size_t n = (size_t)cJSON_GetArraySize(root);
    m->entries = calloc(n ? n : 1, sizeof *m->entries);
    if (!m->entries)
        return gp_fail(err, GP_ENOMEM, "out of memory for the settings of %zu interfaces", n);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, root)
    {
        gp_capconfig_entry *e = &m->entries[m->n++];
        e->name = strdup(item->string);
        if (!e->name)
            return gp_fail(err, GP_ENOMEM, "out of memory for the settings of '%s'", item->string);
        gp_code rc = capconfig_from_json(item, e->name, &e->cfg, err);
        if (rc != GP_OK)
            return rc;
    }
    return sort_entries(m, err);
}

static gp_code map_from_object(const cJSON *root, gp_capconfig_map *out, gp_error *err)
{
    gp_capconfig_map map = {0};
    gp_code rc = entries_from_object(root, &map, err);
    if (rc == GP_OK)
        *out = map;
    else
        gp_capconfig_map_free(&map);
    return rc;
}

gp_code gp_capconfig_map_from_json(const char *text, size_t len, gp_capconfig_map *out, gp_error *err)
{
    cJSON *root = gp_cjson_object(text, len, "interface configuration", err);
    if (!root)
        return GP_ECORRUPT;
    gp_code rc = map_from_object(root, out, err);
    cJSON_Delete(root);
    return rc;
}

gp_code gp_config_response_from_json(const char *text, size_t len, gp_capconfig_map *out, gp_error *err)
{
    cJSON *root = gp_cjson_object(text, len, "configuration response", err);
    if (!root)
        return GP_ECORRUPT;
    const cJSON *ifaces = cJSON_GetObjectItemCaseSensitive(root, "ifaces");
    gp_code rc = GP_OK;
    if (!ifaces || cJSON_IsNull(ifaces))
        *out = (gp_capconfig_map){0};
    else if (cJSON_IsObject(ifaces))
        rc = map_from_object(ifaces, out, err);
    else
        rc = gp_fail(err, GP_ECORRUPT, "configuration response: \"ifaces\" must be an object");
    cJSON_Delete(root);
    return rc;
}

/*
 * Strict checking. v4 validates a body against the schema of its structs; the tables below are that
 * schema, members in the order in which it reports them. What v4 does not have may be left out.
 */
typedef enum kind { KIND_BOOL, KIND_INT, KIND_BPF, KIND_RING } kind;

typedef struct rule {
    const char *name;
    kind kind;
    int64_t min, max; /* of KIND_INT */
    bool optional;
} rule;

static const rule capture_rules[] = {{"disable", KIND_BOOL, 0, 0, false},
                                     {"extra_bpf_filters", KIND_BPF, 0, 0, false},
                                     {"ignore_vlans", KIND_BOOL, 0, 0, false},
                                     {"in_kernel", KIND_BOOL, 0, 0, true},
                                     {"max_flows", KIND_INT, 1, GP_MAX_FLOWS, true},
                                     {"promisc", KIND_BOOL, 0, 0, false},
                                     {"ring_buffer", KIND_RING, 0, 0, false}};
static const rule ring_rules[] = {{"block_size", KIND_INT, 1, INT64_MAX, false},
                                  {"num_blocks", KIND_INT, 1, INT64_MAX, false},
                                  {"num_rings", KIND_INT, 1, GP_RING_MAX_RINGS, true}};
static const rule bpf_rules[] = {{"Jf", KIND_INT, 0, UINT8_MAX, false},
                                 {"Jt", KIND_INT, 0, UINT8_MAX, false},
                                 {"K", KIND_INT, 0, UINT32_MAX, false},
                                 {"Op", KIND_INT, 0, UINT16_MAX, false}};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A request full of mistakes must not be answered by something much larger than itself: long names are cut,
 * large values left out. */
enum { MAX_COMPLAINTS = 100, MAX_PATH = 512, MAX_VALUE = 4096 };

static void complain(gp_problem *p, const char *path, const cJSON *value, const char *message)
{
    if (p->n_errors >= MAX_COMPLAINTS)
        return;
    char text[MAX_VALUE];
    bool shown = value && !cJSON_IsNull(value) &&
                 cJSON_PrintPreallocated((cJSON *)(uintptr_t)value, text, sizeof text, false);
    gp_problem_add(p, path, shown ? text : NULL, "%s", message);
}

static void complain_number(gp_problem *p, const char *path, const cJSON *value, const char *op, int64_t n)
{
    char message[64];
    snprintf(message, sizeof message, "expected number %s %lld", op, (long long)n);
    complain(p, path, value, message);
}

static void check_int(const cJSON *v, const rule *r, const char *path, gp_problem *p)
{
    int64_t n = 0;
    if (!gp_cjson_to_i64(v, &n))
        complain(p, path, v, "expected integer");
    else if (n < r->min)
        complain_number(p, path, v, ">=", r->min);
    else if (n > r->max)
        complain_number(p, path, v, "<=", r->max);
}

static void check_object(const cJSON *o, const rule *rules, size_t n, const char *path, gp_problem *p);

static void check_bpf(const cJSON *v, const char *path, gp_problem *p)
{
    if (cJSON_IsNull(v))
        return;
    if (!cJSON_IsArray(v)) {
        complain(p, path, v, "expected array");
        return;
    }
    if (cJSON_GetArraySize(v) > GP_MAX_EXTRA_BPF) {
        char message[64];
        snprintf(message, sizeof message, "expected array length <= %d", GP_MAX_EXTRA_BPF);
        complain(p, path, NULL, message);
        return;
    }
    unsigned at = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, v)
    {
        char sub[MAX_PATH];
        snprintf(sub, sizeof sub, "%.300s[%u]", path, at++);
        check_object(item, bpf_rules, COUNT_OF(bpf_rules), sub, p);
    }
}

static void check_member(const cJSON *v, const rule *r, const char *path, gp_problem *p)
{
    switch (r->kind) {
    case KIND_BOOL:
        if (!cJSON_IsBool(v))
            complain(p, path, v, "expected boolean");
        break;
    case KIND_INT:
        check_int(v, r, path, p);
        break;
    case KIND_BPF:
        check_bpf(v, path, p);
        break;
    case KIND_RING:
        check_object(v, ring_rules, COUNT_OF(ring_rules), path, p);
        break;
    }
}

static const rule *find_rule(const rule *rules, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rules[i].name, name) == 0)
            return &rules[i];
    return NULL;
}

static void check_object(const cJSON *o, const rule *rules, size_t n, const char *path, gp_problem *p)
{
    if (!cJSON_IsObject(o)) {
        complain(p, path, o, "expected object");
        return;
    }
    char sub[MAX_PATH];
    for (size_t i = 0; i < n; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, rules[i].name);
        if (v) {
            snprintf(sub, sizeof sub, "%.300s.%.200s", path, rules[i].name);
            check_member(v, &rules[i], sub, p);
            continue;
        }
        if (rules[i].optional)
            continue;
        char message[96];
        snprintf(message, sizeof message, "expected required property %s to be present", rules[i].name);
        complain(p, path, o, message);
    }
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, o)
    {
        if (find_rule(rules, n, item->string))
            continue;
        snprintf(sub, sizeof sub, "%.300s.%.200s", path, item->string);
        complain(p, sub, o, "unexpected property");
    }
}

static void check_request(const cJSON *root, gp_problem *p)
{
    if (!cJSON_IsObject(root)) {
        complain(p, "body", root, "expected object");
        return;
    }
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, root)
    {
        /* A JSON pointer to the schema may come along in the body, as v4's own answers carry it. */
        if (strcmp(item->string, "$schema") == 0)
            continue;
        char path[MAX_PATH];
        snprintf(path, sizeof path, "body.%.200s", item->string);
        check_object(item, capture_rules, COUNT_OF(capture_rules), path, p);
    }
}

gp_code gp_capconfig_map_from_request(const char *text, size_t len, gp_capconfig_map *out,
                                      gp_problem *problem)
{
    if (len == 0) {
        gp_problem_set(problem, 400, "request body is required");
        return GP_EINVAL;
    }
    cJSON *root = cJSON_ParseWithLength(text, len);
    if (!root) {
        gp_problem_set(problem, 400, "validation failed");
        gp_problem_add(problem, "body", NULL, "the body is not valid JSON");
        return GP_EINVAL;
    }
    gp_problem_set(problem, 422, "validation failed");
    check_request(root, problem);
    gp_error err = GP_ERROR_INIT;
    gp_code rc = problem->n_errors ? GP_EINVAL : GP_OK;
    if (rc == GP_OK) {
        cJSON_DeleteItemFromObjectCaseSensitive(root, "$schema");
        rc = map_from_object(root, out, &err);
        if (rc != GP_OK)
            gp_problem_add(problem, "body", NULL, "%s", err.msg);
    }
    cJSON_Delete(root);
    if (rc == GP_OK)
        gp_problem_free(problem);
    return rc == GP_OK ? GP_OK : GP_EINVAL;
}
