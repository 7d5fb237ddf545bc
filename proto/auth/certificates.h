/*
 * certificates.h - which scopes clients have by the names in their certificates, where certificates are asked
 * for. A line of the file names certificates and scopes, in the words of a tokens file (auth.h):
 *
 *   # name                        scopes
 *   global-query.example.org      query
 *   *.ops.example.org             query,control
 *   spiffe://example.org/grafana  query
 *
 * The name is a pattern (glob(7), fnmatch(3) without regard to case; '*' also matches dots and slashes), may
 * have blanks in it, and is looked for among all names of a certificate. The first line that fits counts; a
 * certificate that fits none has no scope.
 *
 * Thread-safety: gp_certificates may be used by any number of threads at a time.
 */
#ifndef GP_AUTH_CERTIFICATES_H
#define GP_AUTH_CERTIFICATES_H

#include "proto/auth/auth.h"

enum { GP_CERT_NAME_MAX = 255, GP_CERTIFICATES_MAX = 4096 };

typedef struct gp_certificates gp_certificates;

/* A file that is wrong is an error that names file and line. */
gp_code gp_certificates_new(gp_certificates **out, const char *path, gp_log *log, gp_error *err);
void gp_certificates_free(gp_certificates *c); /* NULL is fine */
/* Reads the file again. That happens by itself, too, at most once a second, after it has changed. A file that
 * is wrong leaves the old lines in force. */
gp_code gp_certificates_reload(gp_certificates *c, gp_error *err);
/* Of a certificate with these names; 0: none. */
gp_scopes gp_certificates_scopes(gp_certificates *c, const char *const *names, size_t n);

/* ---- the text of the file; for tests ------------------------------------------------------------------- */

typedef struct gp_certificate_line {
    char name[GP_CERT_NAME_MAX + 1];
    gp_scopes scopes;
} gp_certificate_line;

typedef struct gp_certificate_lines {
    gp_certificate_line *items;
    size_t n;
} gp_certificate_lines;

/* `file` is for messages. On failure *out is empty. */
gp_code gp_certificate_lines_parse(const char *file, const char *text, size_t len, gp_certificate_lines *out,
                                   gp_error *err);
void gp_certificate_lines_free(gp_certificate_lines *l);
gp_scopes gp_certificate_lines_scopes(const gp_certificate_lines *l, const char *const *names, size_t n);

#endif
