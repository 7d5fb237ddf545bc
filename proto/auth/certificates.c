#include "proto/auth/certificates.h"

#include "proto/auth/lines.h"
#include "proto/base/filestamp.h"

#include <fnmatch.h>
#include <pthread.h>
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
    char *path;
    gp_log *log;
    pthread_mutex_t lock;
    gp_certificate_lines lines; /* guarded by lock, as is */
    gp_filewatch watch;
};

/* c->lock is held, or nobody else knows of c. */
static gp_code load(gp_certificates *c, gp_error *err)
{
    gp_certificate_lines fresh = {0};
    gp_filewatch_read(&c->watch, c->path);
    gp_code rc = gp_lines_load(c->path, what, parse_line, &fresh, err);
    if (rc != GP_OK) {
        gp_certificate_lines_free(&fresh);
        return rc;
    }
    gp_certificate_lines_free(&c->lines);
    c->lines = fresh;
    return GP_OK;
}

gp_code gp_certificates_new(gp_certificates **out, const char *path, gp_log *log, gp_error *err)
{
    gp_certificates *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for the %s", what);
    pthread_mutex_init(&c->lock, NULL);
    c->log = log;
    c->path = strdup(path);
    gp_code rc = c->path ? load(c, err) : gp_fail(err, GP_ENOMEM, "out of memory for the %s", what);
    if (rc != GP_OK) {
        gp_certificates_free(c);
        return rc;
    }
    *out = c;
    return GP_OK;
}

void gp_certificates_free(gp_certificates *c)
{
    if (!c)
        return;
    gp_certificate_lines_free(&c->lines);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

gp_code gp_certificates_reload(gp_certificates *c, gp_error *err)
{
    pthread_mutex_lock(&c->lock);
    gp_code rc = load(c, err);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* c->lock is held. */
static void look_again(gp_certificates *c)
{
    gp_error err = GP_ERROR_INIT;
    if (!gp_filewatch_changed(&c->watch, c->path))
        return;
    if (load(c, &err) == GP_OK)
        gp_log_info(c->log, "file of clients' certificates read again", GP_F_STR("file", c->path),
                    GP_F_U64("names", c->lines.n));
    else
        gp_log_error(c->log,
                     "the file of clients' certificates has changed but cannot be used; the old one stays "
                     "in force",
                     GP_F_STR("error", err.msg));
}

gp_scopes gp_certificates_scopes(gp_certificates *c, const char *const *names, size_t n)
{
    pthread_mutex_lock(&c->lock);
    look_again(c);
    gp_scopes scopes = gp_certificate_lines_scopes(&c->lines, names, n);
    pthread_mutex_unlock(&c->lock);
    return scopes;
}
