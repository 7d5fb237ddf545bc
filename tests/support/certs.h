/* certs.h - a CA and certificates for one test, made on the spot; PEM files. Fails the running cmocka test if
 * something does not work. */
#ifndef GP_TESTS_CERTS_H
#define GP_TESTS_CERTS_H

#include <stddef.h>

typedef struct gp_test_ca gp_test_ca;

/* Writes the CA's certificate to `path`. */
gp_test_ca *gp_test_ca_new(const char *path);
void gp_test_ca_free(gp_test_ca *ca);

typedef enum gp_test_cert_kind { GP_TEST_SERVER, GP_TEST_CLIENT } gp_test_cert_kind;

/* A certificate for `name` (a server's also for localhost and 127.0.0.1) with its key, both in the file,
 * which is replaced in one step. */
void gp_test_ca_issue(gp_test_ca *ca, gp_test_cert_kind kind, const char *name, const char *path);
/* A client's, with these alternative names beside it. A `dns` of NULL is none; one may have a NUL in it. */
void gp_test_ca_issue_client(gp_test_ca *ca, const char *name, const char *dns, size_t dns_len,
                             const char *uri, const char *path);

#endif
