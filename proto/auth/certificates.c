#include "proto/auth/certificates.h"

#include "proto/auth/lines.h"
#include "proto/base/watched.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char what[] = "file of clients' certificates";
static const char blanks[] = " \t\r";

/* ---- lines --------------------------------------------------------------------------------------------- */

static gp_code append(gp_certificate_lines *l, const char *name, gp_scopes scopes, gp_error *err)
{
    size_t len = strlen(name);
    if (len > GP_CERT_NAME_MAX)
        return gp_fail(err, GP_EINVAL, "a name of %zu characters; at most %d", len, GP_CERT_NAME_MAX);
    if (l->n >= GP_CERTIFICATES_MAX)
        return gp_fail(err, GP_ELIMIT, "more than %d names", GP_CERTIFICATES_MAX);
    gp_certificate_line *more = reallocarray(l->items, l->n + 1, sizeof *more);
    if (!more)
        return gp_fail(err, GP_ENOMEM, "out of memory for names of certificates");
    l->items = more;
    gp_certificate_line *line = &l->items[l->n++];
    line->scopes = scopes;
    memcpy(line->name, name, len + 1);
    return GP_OK;
}

/* Cuts off what is blank at the end. */
static void trim(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && strchr(blanks, text[len - 1]))
        text[--len] = '\0';
}

/* The last word is the scopes, all before is the name; blank lines and comments are nothing. */
static gp_code parse_line(void *ctx, char *text, gp_error *err)
{
    gp_scopes scopes;
    char *name = text + strspn(text, blanks);
    trim(name);
    if (*name == '\0' || *name == '#')
        return GP_OK;
    char *end = name + strcspn(name, blanks);
    if (*end == '\0')
        return gp_fail(err, GP_EINVAL, "a line is: name, scopes");
    char *word = name + strlen(name);
    while (!strchr(blanks, word[-1]))
        word--;
    gp_code rc = gp_scopes_parse(word, &scopes, err);
    if (rc != GP_OK)
        return rc;
    word[-1] = '\0';
    trim(name);
    return append(ctx, name, scopes, err);
}

gp_code gp_certificate_lines_parse(const char *file, const char *text, size_t len, gp_certificate_lines *out,
                                   gp_error *err)
{
    *out = (gp_certificate_lines){0};
    gp_code rc = gp_lines_parse(file, text, len, parse_line, out, err);
    if (rc != GP_OK)
        gp_certificate_lines_free(out);
    return rc;
}

void gp_certificate_lines_free(gp_certificate_lines *l)
{
    free(l->items);
    *l = (gp_certificate_lines){0};
}

static bool fits(const gp_certificate_line *line, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fnmatch(line->name, names[i], FNM_CASEFOLD | FNM_NOESCAPE) == 0)
            return true;
    return false;
}

gp_scopes gp_certificate_lines_scopes(const gp_certificate_lines *l, const char *const *names, size_t n)
{
    for (size_t i = 0; i < l->n; i++)
        if (fits(&l->items[i], names, n))
            return l->items[i].scopes;
    return 0;
}

/* ---- file ---------------------------------------------------------------------------------------------- */

struct gp_certificates {
    gp_watched *file; /* gp_certificate_lines */
};

static gp_code load_file(const char *path, gp_log *log, void **content, gp_error *err)
{
    gp_certificate_lines *l = calloc(1, sizeof *l);
    (void)log;
    if (!l)
        return gp_fail(err, GP_ENOMEM, "out of memory for the %s", what);
    gp_code rc = gp_lines_load(path, what, parse_line, l, err);
    if (rc != GP_OK) {
        gp_certificate_lines_free(l);
        free(l);
        return rc;
    }
    *content = l;
    return GP_OK;
}

static void free_file(void *content)
{
    gp_certificate_lines_free(content);
    free(content);
}

static const gp_watched_kind certificates_file = {what, load_file, free_file};

gp_code gp_certificates_new(gp_certificates **out, const char *path, gp_log *log, gp_error *err)
{
    gp_certificates *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for the %s", what);
    gp_code rc = gp_watched_open(&c->file, &certificates_file, path, log, err);
    if (rc != GP_OK) {
        free(c);
        return rc;
    }
    *out = c;
    return GP_OK;
}

void gp_certificates_free(gp_certificates *c)
{
    if (!c)
        return;
    gp_watched_close(c->file);
    free(c);
}

gp_code gp_certificates_reload(gp_certificates *c, gp_error *err)
{
    return gp_watched_reload(c->file, err);
}

gp_scopes gp_certificates_scopes(gp_certificates *c, const char *const *names, size_t n)
{
    gp_watched_content *handle;
    const gp_certificate_lines *lines = gp_watched_take(c->file, &handle);
    gp_scopes scopes = gp_certificate_lines_scopes(lines, names, n);
    gp_watched_give(c->file, handle);
    return scopes;
}
