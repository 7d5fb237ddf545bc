#include "proto/query/ifsel.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_NAME = 15, /* IFNAMSIZ - 1 (netdevice(7)) */
    MAX_REGEX = 1024,
    /* A name has 15 characters: a sane expression needs a few hundred steps, a hostile one is stopped. */
    REGEX_MATCH_LIMIT = 100000,
    REGEX_DEPTH_LIMIT = 1000,
    REGEX_HEAP_LIMIT_KIB = 1024,
    REGEX_NEST_LIMIT = 50
};

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == ':' || c == '_' || c == '-';
}

static bool valid_span(const char *s, size_t len)
{
    if (len > 0 && *s == '!') {
        s++;
        len--;
    }
    if (len < 1 || len > MAX_NAME)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!name_char(s[i]))
            return false;
    return true;
}

bool gp_iface_name_valid(const char *name)
{
    return valid_span(name, strlen(name));
}

bool gp_ifsel_is_regex(const char *text)
{
    size_t len = strlen(text);
    return len > 2 && text[0] == '/' && text[len - 1] == '/';
}

static gp_code validate_list(const char *text, gp_error *err)
{
    for (;; text++) {
        size_t len = strcspn(text, ",");
        if (len == 0)
            return gp_fail(err, GP_EINVAL, "interface list contains empty interface name");
        if (!valid_span(text, len))
            return gp_fail(err, GP_EINVAL, "interface name `%.*s` is invalid", (int)(len < 1000 ? len : 1000),
                           text);
        text += len;
        if (!*text)
            return GP_OK;
    }
}

/* The expression between the slashes of `text`, searched for anywhere in a name (no anchors implied). */
static gp_code compile(const char *text, pcre2_code **out, gp_error *err)
{
    size_t len = strlen(text) - 2;
    if (len > MAX_REGEX)
        return gp_fail(err, GP_EINVAL,
                       "error parsing regexp: %zu characters are too many, at most %d are allowed", len,
                       MAX_REGEX);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return gp_fail(err, GP_ENOMEM, "out of memory for the interface expression %s", text);
    pcre2_set_parens_nest_limit(context, REGEX_NEST_LIMIT);
    int error = 0;
    size_t offset = 0;
    /* RE2, which v4 uses: '$' is the end of the text only. */
    *out = pcre2_compile((PCRE2_SPTR)text + 1, len, PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF, &error, &offset,
                         context);
    pcre2_compile_context_free(context);
    if (*out)
        return GP_OK;
    char reason[256] = "";
    pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
    return gp_fail(err, GP_EINVAL, "error parsing regexp: %s at character %zu of `%.*s`", reason, offset + 1,
                   (int)len, text + 1);
}

gp_code gp_ifsel_validate(const char *text, gp_error *err)
{
    if (!gp_ifsel_is_regex(text))
        return validate_list(text, err);
    pcre2_code *code = NULL;
    gp_code result = compile(text, &code, err);
    pcre2_code_free(code);
    return result;
}

typedef struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
} matcher;

static gp_code matcher_init(matcher *m, gp_error *err)
{
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    if (!m->data || !m->context)
        return gp_fail(err, GP_ENOMEM, "out of memory for matching interface names");
    pcre2_set_match_limit(m->context, REGEX_MATCH_LIMIT);
    pcre2_set_depth_limit(m->context, REGEX_DEPTH_LIMIT);
    pcre2_set_heap_limit(m->context, REGEX_HEAP_LIMIT_KIB);
    return GP_OK;
}

static gp_code match_names(const pcre2_code *code, matcher *m, const char *const *available, size_t n,
                           bool *selected, gp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = pcre2_match(code, (PCRE2_SPTR)available[i], strlen(available[i]), 0, 0, m->data, m->context);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
            return gp_fail(err, GP_EINVAL,
                           "the interface expression takes too long to match '%s'; simplify its repetitions",
                           available[i]);
        selected[i] = rc >= 0;
    }
    return GP_OK;
}

static gp_code select_regex(const char *text, const char *const *available, size_t n, bool *selected,
                            gp_error *err)
{
    pcre2_code *code = NULL;
    matcher m = {NULL, NULL};
    gp_code result = compile(text, &code, err);
    if (result == GP_OK)
        result = matcher_init(&m, err);
    if (result == GP_OK)
        result = match_names(code, &m, available, n, selected, err);
    pcre2_match_context_free(m.context);
    pcre2_match_data_free(m.data);
    pcre2_code_free(code);
    return result;
}

/* Sets selected[i] to `value` for the names that equal the first len bytes of `name`, or all for "any". */
static void mark(const char *name, size_t len, bool value, const char *const *available, size_t n,
                 bool *selected)
{
    bool any = value && len == 3 && strncasecmp(name, "any", 3) == 0;
    for (size_t i = 0; i < n; i++)
        if (any || (strncmp(available[i], name, len) == 0 && available[i][len] == '\0'))
            selected[i] = value;
}

static void mark_all(const char *text, bool negative, const char *const *available, size_t n, bool *selected)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        if ((*text == '!') == negative)
            mark(text + negative, len - negative, !negative, available, n, selected);
        if (!text[len])
            return;
        text += len + 1;
    }
}

static gp_code select_list(const char *text, const char *const *available, size_t n, bool *selected,
                           gp_error *err)
{
    gp_code code = validate_list(text, err);
    if (code != GP_OK)
        return code;
    mark_all(text, false, available, n, selected);
    mark_all(text, true, available, n, selected); /* exclusions win, wherever they stand */
    return GP_OK;
}

gp_code gp_ifsel_select(const char *text, const char *const *available, size_t n, const char ***out,
                        size_t *n_out, gp_error *err)
{
    bool *selected = calloc(n ? n : 1, sizeof *selected);
    const char **names = calloc(n ? n : 1, sizeof *names);
    gp_code code = selected && names ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for %zu interfaces", n);
    if (code == GP_OK)
        code = gp_ifsel_is_regex(text) ? select_regex(text, available, n, selected, err)
                                       : select_list(text, available, n, selected, err);
    if (code != GP_OK) {
        free(selected);
        free(names);
        return code;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (selected[i])
            names[count++] = available[i];
    free(selected);
    *out = names;
    *n_out = count;
    return GP_OK;
}
