/*
 * endpoints.h - how hosts are reached: the file that global-query (querier.config) and gpctl (--endpoints)
 * read.
 *
 *   hostA:
 *     addr: "unix:/var/run/goprobe"    # or host:port, http://host:port, nanomsg+tcp://host:port
 *     timeout: 5s                      # of an answer; default 30s
 *   hostB:
 *     addr: "https://hostB:8145"
 *     token_file: /etc/global-query/hostB.token
 *     tls: {ca: ca.pem, cert: me.pem, key: me.key}
 *   siteC:
 *     addr: "siteC:8146"               # another global-query
 *     hosts: "web1,web2"               # which of its hosts to ask; default any
 *
 * Read-only once loaded: any thread may look hosts up.
 */
#ifndef GP_CLIENT_ENDPOINTS_H
#define GP_CLIENT_ENDPOINTS_H

#include "proto/base/error.h"

#include <stdint.h>

typedef struct gp_endpoint {
    char *host;
    char *addr; /* as gp_client_new takes it */
    int64_t timeout_ns;
    char *token_file, *token;          /* what stands in it, once loaded */
    char *tls_ca, *tls_cert, *tls_key; /* NULL: none */
    char *hosts;                       /* which of its hosts an aggregator is to ask; NULL: any */
} gp_endpoint;

typedef struct gp_endpoints {
    gp_endpoint *items; /* sorted by host */
    size_t n;
    char **warnings; /* one sentence each: keys that nobody knows */
    size_t n_warnings;
} gp_endpoints;

/* With the tokens that it names files for. */
gp_code gp_endpoints_load(const char *path, gp_endpoints *out, gp_error *err);
/* Opens no file. */
gp_code gp_endpoints_parse(const char *name, const char *text, size_t len, gp_endpoints *out, gp_error *err);
/* Addresses without a scheme ("host:port", "unix:/path") mean nanomsg endpoints from now on: that is what the
 * "nanomsg" querier is. */
gp_code gp_endpoints_assume_nanomsg(gp_endpoints *e, gp_error *err);
void gp_endpoints_free(gp_endpoints *e);
const gp_endpoint *gp_endpoints_find(const gp_endpoints *e, const char *host); /* NULL: unknown */

#endif
