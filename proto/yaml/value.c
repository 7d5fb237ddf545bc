/* Looking values up, reading them as a type, and saying where they are wrong. */
#include "proto/yaml/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const gp_yaml_node *get_n(const gp_yaml_node *map, const char *key, size_t len)
{
    if (!map || map->kind != GP_YAML_MAP)
        return NULL;
    const gp_yaml_node *other_case = NULL;
    for (size_t i = 0; i < map->n; i++) {
        const char *k = map->entries[i].key;
        if (strlen(k) != len)
            continue;
        if (memcmp(k, key, len) == 0)
            return map->entries[i].value;
        if (!other_case && strncasecmp(k, key, len) == 0)
            other_case = map->entries[i].value;
    }
    return other_case;
}

const gp_yaml_node *gp_yaml_get(const gp_yaml_node *map, const char *key)
{
    return get_n(map, key, strlen(key));
}

const gp_yaml_node *gp_yaml_find(const gp_yaml_node *map, const char *path)
{
    const gp_yaml_node *found = gp_yaml_get(map, path);
    for (const char *dot = strchr(path, '.'); dot && !found; dot = strchr(dot + 1, '.')) {
        const gp_yaml_node *below = get_n(map, path, (size_t)(dot - path));
        if (below)
            found = gp_yaml_find(below, dot + 1);
    }
    return found;
}

enum { PATH_PARTS = GP_YAML_MAX_DEPTH + 2 };

void gp_yaml_path(const gp_yaml_node *n, gp_buf *out)
{
    const gp_yaml_node *parts[PATH_PARTS];
    size_t depth = 0;
    for (; n && n->parent && depth < PATH_PARTS; n = n->parent)
        parts[depth++] = n;
    bool first = true;
    while (depth > 0) {
        const gp_yaml_node *part = parts[--depth];
        if (!part->key) {
            gp_buf_printf(out, "[%zu]", part->index);
        } else {
            if (!first)
                gp_buf_putc(out, '.');
            gp_buf_puts(out, part->key);
        }
        first = false;
    }
}

#undef gp_yaml_fail
gp_code gp_yaml_fail(const gp_yaml_node *n, gp_error *err, const char *fmt, ...)
{
    gp_buf path = {.limit = 256};
    gp_yaml_path(n, &path);
    char what[GP_ERROR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    gp_fail(err, GP_EINVAL, "%s:%u:%u: %s%s%s", gp_yaml_name(n->doc), n->line, n->column,
            path.data ? path.data : "", path.len ? ": " : "", what);
    gp_buf_free(&path);
    return GP_EINVAL;
}

static bool absent(const gp_yaml_node *n)
{
    return !n || n->kind == GP_YAML_NULL;
}

static const char *kind_name(gp_yaml_kind kind)
{
    switch (kind) {
    case GP_YAML_SCALAR:
        return "a single value";
    case GP_YAML_LIST:
        return "a list";
    case GP_YAML_MAP:
        return "a mapping (key: value)";
    default:
        return "nothing";
    }
}

gp_code gp_yaml_expect(const gp_yaml_node *n, gp_yaml_kind kind, gp_error *err)
{
    if (absent(n) || n->kind == kind)
        return GP_OK;
    if (n->kind == GP_YAML_SCALAR)
        return gp_yaml_fail(n, err, "expected %s, found \"%.200s\"", kind_name(kind), n->text);
    return gp_yaml_fail(n, err, "expected %s, found %s", kind_name(kind), kind_name(n->kind));
}

gp_code gp_yaml_str(const gp_yaml_node *n, const char **out, gp_error *err)
{
    gp_code rc = gp_yaml_expect(n, GP_YAML_SCALAR, err);
    if (rc == GP_OK && !absent(n))
        *out = n->text;
    return rc;
}

gp_code gp_yaml_strdup(const gp_yaml_node *n, char **out, gp_error *err)
{
    const char *text = NULL;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    char *copy = strdup(text);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "%s: out of memory", gp_yaml_name(n->doc));
    free(*out);
    *out = copy;
    return GP_OK;
}

/* The spellings that Go's strconv.ParseBool knows, since v4 reads booleans with it. */
static bool parse_bool(const char *s, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", "1", "t", "T"};
    static const char *const no[] = {"false", "False", "FALSE", "0", "f", "F"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool is_yes = strcmp(s, yes[i]) == 0;
        if (!is_yes && strcmp(s, no[i]) != 0)
            continue;
        *out = is_yes;
        return true;
    }
    return false;
}

static int base_of(const char **digits)
{
    const char *d = *digits;
    if (d[0] != '0' || !d[1])
        return 10;
    char kind = d[1];
    if (kind == 'x' || kind == 'X' || kind == 'o' || kind == 'O' || kind == 'b' || kind == 'B') {
        *digits = d + 2;
        return kind == 'x' || kind == 'X' ? 16 : kind == 'o' || kind == 'O' ? 8 : 2;
    }
    return strspn(d, "01234567_") == strlen(d) ? 8 : 10;
}

/* A number without a fraction: 42, -7, 1_000, 0x1f, 0o17, 017, 0b11. */
static bool parse_int(const char *text, int64_t *out)
{
    char plain[80];
    size_t n = 0;
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    int base = base_of(&text);
    if (*text == '_')
        return false;
    for (; *text; text++) {
        if (*text == '_')
            continue;
        bool digit = (*text >= '0' && *text <= '9') || (base == 16 && strchr("abcdefABCDEF", *text));
        if (!digit || n + 1 == sizeof plain)
            return false;
        plain[n++] = *text;
    }
    plain[n] = '\0';
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(plain, &end, base);
    uint64_t most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (n == 0 || *end || errno || v > most)
        return false;
    *out = negative ? (int64_t)(0 - (uint64_t)v) : (int64_t)v;
    return true;
}

gp_code gp_yaml_bool(const gp_yaml_node *n, bool *out, gp_error *err)
{
    const char *text = NULL;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    int64_t number;
    if (parse_bool(text, out))
        return GP_OK;
    if (n->quoted || !parse_int(text, &number))
        return gp_yaml_fail(n, err, "\"%.200s\" is not a boolean (allowed: true, false)", text);
    *out = number != 0;
    return GP_OK;
}

static bool parse_f64(const char *text, double *out)
{
    if (!*text || !strchr("+-.0123456789", *text) || strlen(text) > 64 ||
        strspn(text, "+-.eE0123456789") != strlen(text))
        return false;
    char *end = NULL;
    double v = strtod(text, &end);
    if (*end || !isfinite(v))
        return false;
    *out = v;
    return true;
}

static bool parse_whole(const char *text, int64_t *out)
{
    if (parse_int(text, out))
        return true;
    double v; /* 1e6 and 4.0 are whole numbers, too */
    if (!parse_f64(text, &v) || v != trunc(v) || fabs(v) > 9007199254740992.0)
        return false;
    *out = (int64_t)v;
    return true;
}

gp_code gp_yaml_int(const gp_yaml_node *n, int64_t min, int64_t max, int64_t *out, gp_error *err)
{
    const char *text = NULL;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    int64_t v;
    if (!parse_whole(text, &v))
        return gp_yaml_fail(n, err, "\"%.200s\" is not an integer (allowed: %lld to %lld)", text,
                            (long long)min, (long long)max);
    if (v < min || v > max)
        return gp_yaml_fail(n, err, "%.200s is out of range (allowed: %lld to %lld)", text, (long long)min,
                            (long long)max);
    *out = v;
    return GP_OK;
}

gp_code gp_yaml_f64(const gp_yaml_node *n, double min, double max, double *out, gp_error *err)
{
    const char *text = NULL;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    int64_t whole;
    double v;
    if (parse_int(text, &whole))
        v = (double)whole;
    else if (!parse_f64(text, &v))
        return gp_yaml_fail(n, err, "\"%.200s\" is not a number (allowed: %g to %g)", text, min, max);
    if (v < min || v > max)
        return gp_yaml_fail(n, err, "%.200s is out of range (allowed: %g to %g)", text, min, max);
    *out = v;
    return GP_OK;
}

gp_code gp_yaml_choice(const gp_yaml_node *node, const char *const *names, size_t n, size_t *out,
                       gp_error *err)
{
    const char *text = NULL;
    gp_code rc = gp_yaml_str(node, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    gp_buf allowed = {.limit = 512};
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *out = i;
            gp_buf_free(&allowed);
            return GP_OK;
        }
        gp_buf_printf(&allowed, "%s%s", i ? ", " : "", names[i]);
    }
    rc = gp_yaml_fail(node, err, "unknown value \"%.200s\" (allowed: %s)", text,
                      allowed.data ? allowed.data : "");
    gp_buf_free(&allowed);
    return rc;
}

void gp_yaml_strlist_free(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static gp_code split_commas(const gp_yaml_node *node, char ***out, size_t *n, gp_error *err)
{
    size_t parts = 0;
    const char *text = node->text;
    if (*text) {
        parts = 1;
        for (const char *c = text; *c; c++)
            parts += *c == ',';
    }
    char **list = calloc(parts ? parts : 1, sizeof *list);
    for (size_t i = 0; list && i < parts; i++) {
        size_t len = strcspn(text, ",");
        list[i] = strndup(text, len);
        if (!list[i]) {
            gp_yaml_strlist_free(list, i);
            list = NULL;
        }
        text += len + 1;
    }
    if (!list)
        return gp_fail(err, GP_ENOMEM, "%s: out of memory", gp_yaml_name(node->doc));
    *out = list;
    *n = parts;
    return GP_OK;
}

static gp_code copy_items(const gp_yaml_node *node, char ***out, size_t *n, gp_error *err)
{
    char **list = calloc(node->n ? node->n : 1, sizeof *list);
    if (!list)
        return gp_fail(err, GP_ENOMEM, "%s: out of memory", gp_yaml_name(node->doc));
    for (size_t i = 0; i < node->n; i++) {
        const gp_yaml_node *item = node->entries[i].value;
        gp_code rc = gp_yaml_expect(item, GP_YAML_SCALAR, err);
        if (rc == GP_OK) {
            list[i] = strdup(absent(item) ? "" : item->text);
            if (!list[i])
                rc = gp_fail(err, GP_ENOMEM, "%s: out of memory", gp_yaml_name(node->doc));
        }
        if (rc != GP_OK) {
            gp_yaml_strlist_free(list, i);
            return rc;
        }
    }
    *out = list;
    *n = node->n;
    return GP_OK;
}

gp_code gp_yaml_strlist(const gp_yaml_node *node, char ***out, size_t *n, gp_error *err)
{
    if (absent(node))
        return GP_OK;
    char **list = NULL;
    size_t count = 0;
    gp_code rc;
    if (node->kind == GP_YAML_SCALAR)
        rc = split_commas(node, &list, &count, err);
    else if (node->kind == GP_YAML_LIST)
        rc = copy_items(node, &list, &count, err);
    else
        rc = gp_yaml_expect(node, GP_YAML_LIST, err);
    if (rc != GP_OK)
        return rc;
    gp_yaml_strlist_free(*out, *n);
    *out = list;
    *n = count;
    return GP_OK;
}

enum { TYPO_MAX = 32 };

/* Edit distance (Levenshtein) of two short words; large for long ones. */
static unsigned typo_distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    if (strlen(a) > TYPO_MAX || n > TYPO_MAX)
        return TYPO_MAX;
    unsigned row[TYPO_MAX + 1];
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 1; j <= n; j++) {
            unsigned replaced = diagonal + (a[i] != b[j - 1]);
            unsigned shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[n];
}

static const char *nearest(const char *key, const char *const *known, size_t n)
{
    const char *best = NULL;
    unsigned least = 3; /* two slips of the finger at most */
    for (size_t i = 0; i < n; i++) {
        unsigned d = typo_distance(key, known[i]);
        if (d >= least || d >= strlen(known[i]))
            continue;
        least = d;
        best = known[i];
    }
    return best;
}

static bool is_known(const char *key, const char *const *known, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(key, known[i]) == 0)
            return true;
    return false;
}

void gp_yaml_unknown(const gp_yaml_node *map, const char *const *known, size_t n,
                     void (*report)(void *ctx, const char *sentence), void *ctx)
{
    if (!map || map->kind != GP_YAML_MAP)
        return;
    gp_buf path = {.limit = 256};
    gp_yaml_path(map, &path);
    for (size_t i = 0; i < map->n; i++) {
        const gp_yaml_entry *e = &map->entries[i];
        if (is_known(e->key, known, n))
            continue;
        const char *hint = nearest(e->key, known, n);
        char sentence[1024];
        snprintf(sentence, sizeof sentence, "%.300s:%u:%u: unknown key '%s%s%.200s'%s%s%s",
                 gp_yaml_name(map->doc), e->line, e->column, path.data ? path.data : "", path.len ? "." : "",
                 e->key, hint ? " (did you mean '" : "", hint ? hint : "", hint ? "'?)" : "");
        report(ctx, sentence);
    }
    gp_buf_free(&path);
}

void gp_yaml_unknown_below(const gp_yaml_node *root, const char *section, const char *const *keys, size_t n,
                           void (*report)(void *ctx, const char *sentence), void *ctx)
{
    enum { MOST = 256, PART = 64 };
    char parts[MOST][PART];
    const char *known[MOST];
    size_t n_known = 0;
    size_t skip = strlen(section);
    for (size_t i = 0; i < n && n_known + 2 <= MOST; i++) {
        const char *key = keys[i];
        if (skip && (strncmp(key, section, skip) != 0 || key[skip] != '.'))
            continue;
        key += skip ? skip + 1 : 0;
        snprintf(parts[n_known], PART, "%.*s", (int)strcspn(key, "."), key);
        known[n_known] = parts[n_known];
        n_known++;
        if (strchr(key, '.')) /* the dotted spelling is a key, too */
            known[n_known++] = key;
    }
    gp_yaml_unknown(skip ? gp_yaml_find(root, section) : root, known, n_known, report, ctx);
}
