/*
 * tls.h - certificates of a server, replaced while it runs. Internal to proto/http.
 *
 * libmicrohttpd knows one certificate for its whole life. We give every connection its credentials ourselves,
 * before its handshake begins (MHD_CONNECTION_NOTIFY_STARTED), from the set that is current then. A set lives
 * until its last connection ends, so a new certificate disturbs nobody.
 *
 * Files are PEM. They are looked at again, at most once a second, when a connection begins: a change is taken
 * up without a signal. Files that cannot be used are logged once, and the old set stays in force.
 *
 * Thread-safety: all functions may be called from any thread, gp_tls_free when no connection is left.
 */
#ifndef GP_HTTP_TLS_H
#define GP_HTTP_TLS_H

#include "proto/http/server.h"

#include <gnutls/gnutls.h>

/* TLS 1.2 with forward secrecy and authenticated encryption, and 1.3. */
#define GP_TLS_PRIORITIES                                                                                    \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-256-CBC:-AES-128-CBC:-SHA1:%SERVER_PRECEDENCE"

typedef struct gp_tls gp_tls;
typedef struct gp_tls_set gp_tls_set;

/* Loads the files; the messages name the file and what is wrong with it. Strings of *cfg are copied. */
gp_code gp_tls_new(gp_tls **out, const gp_http_tls *cfg, gp_log *log, gp_error *err);
void gp_tls_free(gp_tls *t);
/* Loads the files again, changed or not. */
gp_code gp_tls_reload(gp_tls *t, gp_error *err);

/* Gives a session that has not begun its handshake the current credentials; gp_tls_release them when its
 * connection ends. NULL when the session does not take them: then it will fail its handshake. */
gp_tls_set *gp_tls_attach(gp_tls *t, gnutls_session_t session);
void gp_tls_release(gp_tls_set *set);

/* The text of certificate and key, which libmicrohttpd wants to see at its start. */
void gp_tls_pem(const gp_tls *t, const char **cert, const char **key);

/* Common name (or else the first of the other names) of the certificate that the peer proved to have; "" if
 * none. */
void gp_tls_peer_name(gnutls_session_t session, char *dst, size_t size);
/* What the peer may do by that certificate: everything, where nothing else is configured. */
gp_scopes gp_tls_peer_scopes(gp_tls *t, gnutls_session_t session);

#endif
