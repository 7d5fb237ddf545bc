/* Inventories in INI form, line by line: [group], [group:vars], [group:children]; host pattern and
 * variables. */
#include "global-query/inventory_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4096, MAX_NAME = 512 };

typedef enum section { SECTION_HOSTS, SECTION_VARS, SECTION_CHILDREN } section;

typedef struct ini {
    inventory *v;
    const char *name;
    unsigned line;
    section section;
    size_t group;
    gp_error *err;
} ini;

static gp_code complain(const ini *r, const char *what, const char *word)
{
    return gp_fail(r->err, GP_EINVAL, "%s:%u: %s: \"%.100s\"", r->name, r->line, what, word);
}

/* The next word, where quotes hold blanks together; NULL at the end or a comment. The text is changed. */
static char *next_word(char **at)
{
    char *in = *at + strspn(*at, " \t\r");
    char quote = '\0';
    if (*in == '\0' || *in == '#' || *in == ';')
        return NULL;
    char *word = in;
    char *out = in;
    for (; *in && (quote || !strchr(" \t\r", *in)); in++) {
        if (quote ? *in == quote : *in == '"' || *in == '\'')
            quote = quote ? '\0' : *in;
        else
            *out++ = *in;
    }
    *at = *in ? in + 1 : in;
    *out = '\0';
    return word;
}

static gp_code read_section(ini *r, char *text)
{
    char *end = strchr(text, ']');
    if (!end)
        return complain(r, "a section ends with ']'", text);
    *end = '\0';
    char *kind = strchr(++text, ':');
    r->section = SECTION_HOSTS;
    if (kind) {
        *kind++ = '\0';
        if (strcmp(kind, "vars") == 0)
            r->section = SECTION_VARS;
        else if (strcmp(kind, "children") == 0)
            r->section = SECTION_CHILDREN;
        else
            return complain(r, "sections are [group], [group:vars] and [group:children]", kind);
    }
    return inventory_group_at(r->v, text, &r->group, r->err);
}

static gp_code read_assignment(ini *r, inventory_vars *vars, char *word)
{
    char *value = strchr(word, '=');
    if (!value)
        return complain(r, "expected name=value", word);
    *value++ = '\0';
    return inventory_set(vars, word, value, r->err);
}

static gp_code read_vars_line(ini *r, char *text)
{
    /* In [group:vars] the value is the rest of the line, and blanks may stand around the sign. */
    char *equals = strchr(text, '=');
    if (!equals)
        return complain(r, "expected name=value", text);
    char *value = equals + 1 + strspn(equals + 1, " \t\"'");
    while (equals > text && strchr(" \t", equals[-1]))
        equals--;
    *equals = '\0';
    size_t n = strlen(value);
    while (n && strchr(" \t\r\"'", value[n - 1]))
        value[--n] = '\0';
    return inventory_set(&r->v->groups[r->group].vars, text, value, r->err);
}

/* ---- ranges -------------------------------------------------------------------------------------------- */

typedef struct range {
    unsigned long first, last, step;
    int width; /* digits, with leading zeros; 0: letters */
} range;

/* "01:50", "a:f", "0:100:10" */
static bool parse_range(const char *text, range *out)
{
    char *end;
    const char *colon = strchr(text, ':');
    *out = (range){.step = 1};
    if (!colon)
        return false;
    if (colon - text == 1 && *text >= 'a' && *text <= 'z') {
        out->first = (unsigned char)*text;
        out->last = (unsigned char)colon[1];
        return colon[1] >= *text && colon[1] <= 'z' && colon[2] == '\0';
    }
    if (strspn(text, "0123456789:") != strlen(text) || colon == text || colon - text > 9 ||
        strlen(colon) > 20)
        return false;
    out->first = strtoul(text, NULL, 10);
    out->width = (int)(colon - text);
    out->last = strtoul(colon + 1, &end, 10);
    if (*end == ':')
        out->step = strtoul(end + 1, &end, 10);
    return *end == '\0' && out->step > 0 && out->last >= out->first && out->last < 1000000000;
}

typedef struct host_line {
    ini *r;
    const char *vars[64]; /* "name=value" */
    size_t n_vars;
} host_line;

static gp_code add_host(const host_line *l, const char *name)
{
    ini *r = l->r;
    size_t host;
    gp_code rc = inventory_host_at(r->v, name, &host, r->err);
    if (rc == GP_OK)
        rc = inventory_join(r->v, r->group, host, r->err);
    for (size_t i = 0; i < l->n_vars && rc == GP_OK; i++) {
        char copy[MAX_NAME];
        snprintf(copy, sizeof copy, "%s", l->vars[i]);
        rc = read_assignment(r, &r->v->hosts[host].vars, copy);
    }
    return rc;
}

/* Expands the first range of the name, and so on with the rest. A square bracket that is none is an IPv6
 * address. */
static gp_code expand(const host_line *l, const char *name, unsigned depth)
{
    char inner[64];
    char one[MAX_NAME];
    range g;
    const char *open = strchr(name, '[');
    const char *close = open ? strchr(open, ']') : NULL;
    size_t len = close ? (size_t)(close - open) - 1 : 0;
    if (!close || len == 0 || len >= sizeof inner)
        return add_host(l, name);
    memcpy(inner, open + 1, len);
    inner[len] = '\0';
    if (!parse_range(inner, &g))
        return complain(l->r, "expected a range such as [01:50] or [a:f]", inner);
    if (depth > 3)
        return complain(l->r, "too many ranges in one name", name);
    if ((g.last - g.first) / g.step >= GP_INVENTORY_MAX_HOSTS)
        return complain(l->r, "a range of too many hosts", inner);
    gp_code rc = GP_OK;
    for (unsigned long i = g.first; i <= g.last && rc == GP_OK; i += g.step) {
        char number[24];
        int n = g.width ? snprintf(number, sizeof number, "%0*lu", g.width, i)
                        : snprintf(number, sizeof number, "%c", (char)i);
        n = snprintf(one, sizeof one, "%.*s%.*s%s", (int)(open - name), name, n, number, close + 1);
        rc = n > 0 && (size_t)n < sizeof one ? expand(l, one, depth + 1)
                                             : complain(l->r, "the name of a host is too long", name);
    }
    return rc;
}

static gp_code read_host_line(ini *r, char *text)
{
    host_line l = {.r = r};
    char *name = next_word(&text);
    if (!name || !*name)
        return GP_OK;
    for (char *word; (word = next_word(&text));) {
        if (l.n_vars == sizeof l.vars / sizeof l.vars[0] || strlen(word) >= MAX_NAME)
            return complain(r, "too many variables, or a very long one", word);
        if (!strchr(word, '='))
            return complain(r, "expected name=value", word);
        l.vars[l.n_vars++] = word;
    }
    return expand(&l, name, 0);
}

static gp_code read_line(ini *r, char *text)
{
    text += strspn(text, " \t\r");
    if (*text == '\0' || *text == '#' || *text == ';')
        return GP_OK;
    if (*text == '[')
        return read_section(r, text);
    if (r->section == SECTION_VARS)
        return read_vars_line(r, text);
    if (r->section == SECTION_HOSTS)
        return read_host_line(r, text);
    size_t child;
    char *name = next_word(&text);
    gp_code rc = inventory_group_at(r->v, name, &child, r->err);
    return rc == GP_OK ? inventory_nest(r->v, r->group, child, r->err) : rc;
}

gp_code inventory_read_ini(inventory *v, const char *name, const char *text, size_t len, gp_error *err)
{
    ini r = {.v = v, .name = name, .err = err};
    gp_error local = GP_ERROR_INIT;
    r.err = err ? err : &local;
    gp_code rc = inventory_group_at(v, "ungrouped", &r.group, r.err);
    const char *end = text + len;
    while (rc == GP_OK && text < end) {
        char line[MAX_LINE];
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        r.line++;
        if (n >= sizeof line || memchr(text, '\0', n))
            return complain(&r, "a line is too long, or no text", "");
        memcpy(line, text, n);
        line[n] = '\0';
        rc = read_line(&r, line);
        text += n + (stop != NULL);
    }
    return rc;
}
