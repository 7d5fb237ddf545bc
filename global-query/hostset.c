#define PCRE2_CODE_UNIT_WIDTH 8

#include "global-query/hostset.h"

#include "proto/base/strlist.h"

#include <fnmatch.h>
#include <pcre2.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- lists --------------------------------------------------------------------------------------------- */

gp_code gp_host_list_add(gp_host_list *l, const char *name, const char *addr, gp_error *err)
{
    if ((l->n & (l->n - 1)) == 0) {
        gp_named_host *grown = realloc(l->items, (l->n ? l->n * 2 : 1) * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for a list of hosts");
        l->items = grown;
    }
    gp_named_host h = {strdup(name), addr ? strdup(addr) : NULL};
    if (!h.name || (addr && !h.addr)) {
        free(h.name);
        free(h.addr);
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of hosts");
    }
    l->items[l->n++] = h;
    return GP_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const gp_named_host *)a)->name, ((const gp_named_host *)b)->name);
}

void gp_host_list_sort(gp_host_list *l)
{
    size_t kept = 0;
    if (l->n)
        qsort(l->items, l->n, sizeof *l->items, by_name);
    for (size_t i = 0; i < l->n; i++) {
        if (kept && strcmp(l->items[kept - 1].name, l->items[i].name) == 0) {
            free(l->items[i].name);
            free(l->items[i].addr);
        } else {
            l->items[kept++] = l->items[i];
        }
    }
    l->n = kept;
}

void gp_host_list_free(gp_host_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].name);
        free(l->items[i].addr);
    }
    free(l->items);
    *l = (gp_host_list){0};
}

/* ---- sets ---------------------------------------------------------------------------------------------- */

typedef struct member {
    char *name;
    char *addr;
    char **labels;
    size_t n_labels;
    size_t index;
} member;

struct gp_hostset {
    member **items;
    size_t n;
    void *tree; /* members by name, tsearch(3) */
};

gp_code gp_hostset_new(gp_hostset **out, gp_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a list of hosts");
}

static int by_member(const void *a, const void *b)
{
    return strcmp(((const member *)a)->name, ((const member *)b)->name);
}

static void free_member(member *m)
{
    free(m->name);
    free(m->addr);
    gp_strlist_free(m->labels, m->n_labels);
    free(m);
}

void gp_hostset_free(gp_hostset *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        tdelete(s->items[i], &s->tree, by_member);
        free_member(s->items[i]);
    }
    free(s->items);
    free(s);
}

size_t gp_hostset_count(const gp_hostset *s)
{
    return s->n;
}

static member *find_or_add(gp_hostset *s, const char *name)
{
    const member key = {.name = (char *)(uintptr_t)name};
    member *const *found = tfind(&key, &s->tree, by_member);
    if (found)
        return *found;
    if ((s->n & (s->n - 1)) == 0) {
        member **grown = realloc(s->items, (s->n ? s->n * 2 : 1) * sizeof(member *));
        if (!grown)
            return NULL;
        s->items = grown;
    }
    member *m = calloc(1, sizeof *m);
    if (m)
        m->name = strdup(name);
    if (!m || !m->name || !tsearch(m, &s->tree, by_member)) {
        if (m)
            free_member(m);
        return NULL;
    }
    m->index = s->n;
    s->items[s->n++] = m;
    return m;
}

gp_code gp_hostset_add(gp_hostset *s, const char *name, const char *addr, gp_error *err)
{
    member *m = find_or_add(s, name);
    char *copy = addr ? strdup(addr) : NULL;
    if (!m || (addr && !copy)) {
        free(copy);
        return gp_fail(err, GP_ENOMEM, "out of memory for host %s", name);
    }
    if (copy) {
        free(m->addr);
        m->addr = copy;
    }
    return GP_OK;
}

gp_code gp_hostset_label(gp_hostset *s, const char *name, const char *label, gp_error *err)
{
    member *m = find_or_add(s, name);
    if (!m)
        return gp_fail(err, GP_ENOMEM, "out of memory for host %s", name);
    for (size_t i = 0; i < m->n_labels; i++)
        if (strcmp(m->labels[i], label) == 0)
            return GP_OK;
    return gp_strlist_add(&m->labels, &m->n_labels, label, err);
}

/* ---- choosing ------------------------------------------------------------------------------------------ */

static bool matches(const member *m, const char *pattern)
{
    if (fnmatch(pattern, m->name, 0) == 0)
        return true;
    for (size_t i = 0; i < m->n_labels; i++)
        if (fnmatch(pattern, m->labels[i], 0) == 0)
            return true;
    return false;
}

static size_t match_pattern(const gp_hostset *s, const char *pattern, bool *hit)
{
    bool all = strcasecmp(pattern, "any") == 0 || strcasecmp(pattern, "all") == 0;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        hit[i] = all || matches(s->items[i], pattern);
        n += hit[i];
    }
    return n;
}

static gp_code match_regex(const gp_hostset *s, const char *pattern, bool *hit, gp_error *err)
{
    enum { MATCH_LIMIT = 100000 };
    int code;
    size_t at;
    unsigned char text[128];
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
    if (!re) {
        (void)pcre2_get_error_message(code, text, sizeof text);
        return gp_fail(err, GP_EINVAL, "\"%s\" is no regular expression: %s at byte %zu", pattern, text,
                       at + 1);
    }
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    gp_code rc = data && limits ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a regular expression");
    if (limits)
        pcre2_set_match_limit(limits, MATCH_LIMIT);
    for (size_t i = 0; rc == GP_OK && i < s->n; i++)
        hit[i] =
            pcre2_match(re, (PCRE2_SPTR)s->items[i]->name, PCRE2_ZERO_TERMINATED, 0, 0, data, limits) >= 0;
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    return rc;
}

static void combine(bool *chosen, const bool *hit, size_t n, char how)
{
    for (size_t i = 0; i < n; i++)
        chosen[i] = how == '!'   ? chosen[i] && !hit[i]
                    : how == '&' ? chosen[i] && hit[i]
                                 : chosen[i] || hit[i];
}

static gp_code apply_term(const gp_hostset *s, const char *term, bool *chosen, bool *hit, gp_error *err)
{
    char how = *term == '!' || *term == '&' ? *term : '+';
    const char *pattern = how == '+' ? term : term + 1;
    if (*pattern == '~') {
        gp_code rc = match_regex(s, pattern + 1, hit, err);
        if (rc != GP_OK)
            return rc;
    } else if (match_pattern(s, pattern, hit) == 0 && !strpbrk(pattern, "*?[")) {
        return gp_fail(err, GP_ENOTFOUND, "no host, group or tag is called \"%s\"", pattern);
    }
    combine(chosen, hit, s->n, how);
    return GP_OK;
}

static gp_code apply_all(const gp_hostset *s, char *text, bool *chosen, bool *hit, gp_error *err)
{
    gp_code rc = GP_OK;
    bool first = true;
    char *rest = NULL;
    for (char *term = strtok_r(text, ",", &rest); term && rc == GP_OK; term = strtok_r(NULL, ",", &rest)) {
        term += strspn(term, " \t\r\n");
        size_t len = strlen(term);
        while (len && strchr(" \t\r\n", term[len - 1]))
            term[--len] = '\0';
        if (len == 0)
            continue;
        if (first && (*term == '!' || *term == '&'))
            memset(chosen, true, s->n);
        first = false;
        rc = apply_term(s, term, chosen, hit, err);
    }
    return rc;
}

gp_code gp_hostset_choose(const gp_hostset *s, const char *text, gp_host_list *out, gp_error *err)
{
    char *copy = strdup(text);
    bool *chosen = calloc(s->n + 1, sizeof *chosen);
    bool *hit = calloc(s->n + 1, sizeof *hit);
    *out = (gp_host_list){0};
    gp_code rc = copy && chosen && hit ? apply_all(s, copy, chosen, hit, err)
                                       : gp_fail(err, GP_ENOMEM, "out of memory for choosing hosts");
    for (size_t i = 0; rc == GP_OK && i < s->n; i++)
        if (chosen[i])
            rc = gp_host_list_add(out, s->items[i]->name, s->items[i]->addr, err);
    free(copy);
    free(chosen);
    free(hit);
    if (rc != GP_OK)
        gp_host_list_free(out);
    else
        gp_host_list_sort(out);
    return rc;
}
