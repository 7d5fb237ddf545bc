#include "proto/http/tls.h"

#include "proto/auth/certificates.h"
#include "proto/base/filestamp.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/x509.h>

enum { N_FILES = 3, MAX_FILE = 1 << 20 };

/* Credentials in use: one reference for being current, one for each connection. */
struct gp_tls_set {
    atomic_uint refs;
    gnutls_certificate_credentials_t cred;
    bool asks_clients; /* there is a CA for them */
};

typedef struct pem {
    gnutls_datum_t files[N_FILES]; /* cert, key, client CA; data == NULL: none */
} pem;

struct gp_tls {
    char *paths[N_FILES]; /* as in pem */
    gp_log *log;
    gp_certificates *scopes; /* of the clients; NULL: they have all */
    pem first;               /* as read at the start */
    pthread_mutex_t lock;
    gp_tls_set *current; /* guarded by lock, as are the following */
    gp_filewatch watches[N_FILES];
};

static const char *const what[N_FILES] = {"certificate", "key", "CA of the clients"};

/* ---- files --------------------------------------------------------------------------------------------- */

static void forget(gnutls_datum_t *d)
{
    if (d->data)
        gnutls_memset(d->data, 0, d->size);
    free(d->data);
    *d = (gnutls_datum_t){0};
}

static void pem_free(pem *p)
{
    for (size_t i = 0; i < N_FILES; i++)
        forget(&p->files[i]);
}

static gp_code read_file(const char *path, const char *name, gnutls_datum_t *out, gp_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return gp_fail_errno(err, errno, "cannot read the TLS %s '%s'", name, path);
    unsigned char *data = malloc(MAX_FILE);
    size_t n = data ? fread(data, 1, MAX_FILE, f) : 0;
    bool failed = ferror(f) != 0;
    int sys = errno;
    (void)fclose(f);
    if (!data)
        return gp_fail(err, GP_ENOMEM, "out of memory for the TLS %s '%s'", name, path);
    *out = (gnutls_datum_t){data, (unsigned)n};
    if (!failed && n > 0 && n < MAX_FILE) {
        data[n] = '\0';
        return GP_OK;
    }
    forget(out);
    if (failed)
        return gp_fail_errno(err, sys, "cannot read the TLS %s '%s'", name, path);
    return gp_fail(err, GP_EINVAL, "the TLS %s '%s' is %s", name, path,
                   n ? "too large to be one" : "an empty file");
}

static gp_code read_pem(const gp_tls *t, pem *out, gp_error *err)
{
    gp_code rc = GP_OK;
    *out = (pem){0};
    for (size_t i = 0; i < N_FILES && rc == GP_OK; i++)
        if (t->paths[i])
            rc = read_file(t->paths[i], what[i], &out->files[i], err);
    if (rc != GP_OK)
        pem_free(out);
    return rc;
}

static void begin_watching(gp_tls *t)
{
    for (size_t i = 0; i < N_FILES; i++)
        gp_filewatch_read(&t->watches[i], t->paths[i]);
}

static bool has_changed(gp_tls *t)
{
    bool changed = false;
    for (size_t i = 0; i < N_FILES; i++)
        changed = gp_filewatch_changed(&t->watches[i], t->paths[i]) || changed;
    return changed;
}

/* ---- credentials --------------------------------------------------------------------------------------- */

/* Called in the handshake: a client's certificate must be good for a client and signed by our CA. */
static int verify_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID,
                                     (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
    unsigned status = 0;
    int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    return rc == GNUTLS_E_SUCCESS && status == 0 ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static gp_code fill_set(const gp_tls *t, const pem *p, gp_tls_set *set, gp_error *err)
{
    int rc = gnutls_certificate_allocate_credentials(&set->cred);
    if (rc != GNUTLS_E_SUCCESS)
        return gp_fail(err, GP_ENOMEM, "TLS: %s", gnutls_strerror(rc));
    rc = gnutls_certificate_set_x509_key_mem(set->cred, &p->files[0], &p->files[1], GNUTLS_X509_FMT_PEM);
    if (rc < 0)
        return gp_fail(err, GP_EINVAL, "cannot use the TLS certificate '%s' with the key '%s': %s",
                       t->paths[0], t->paths[1], gnutls_strerror(rc));
    if (!p->files[2].data)
        return GP_OK;
    rc = gnutls_certificate_set_x509_trust_mem(set->cred, &p->files[2], GNUTLS_X509_FMT_PEM);
    if (rc <= 0)
        return gp_fail(err, GP_EINVAL, "cannot use the CA of the clients '%s': %s", t->paths[2],
                       rc < 0 ? gnutls_strerror(rc) : "no certificate in it");
    gnutls_certificate_set_verify_function(set->cred, verify_client);
    set->asks_clients = true;
    return GP_OK;
}

static gp_code make_set(const gp_tls *t, const pem *p, gp_tls_set **out, gp_error *err)
{
    gp_tls_set *set = calloc(1, sizeof *set);
    if (!set)
        return gp_fail(err, GP_ENOMEM, "out of memory for TLS");
    atomic_init(&set->refs, 1);
    gp_code rc = fill_set(t, p, set, err);
    if (rc == GP_OK)
        *out = set;
    else
        gp_tls_release(set);
    return rc;
}

void gp_tls_release(gp_tls_set *set)
{
    if (!set || atomic_fetch_sub(&set->refs, 1) != 1)
        return;
    if (set->cred)
        gnutls_certificate_free_credentials(set->cred);
    free(set);
}

/* A certificate that ran out is still served, as the clients decide; but somebody should know. */
static void log_validity(const gp_tls *t, const pem *p)
{
    gnutls_x509_crt_t crt;
    if (gnutls_x509_crt_init(&crt) < 0)
        return;
    if (gnutls_x509_crt_import(crt, &p->files[0], GNUTLS_X509_FMT_PEM) >= 0) {
        time_t end = gnutls_x509_crt_get_expiration_time(crt);
        int64_t days = (int64_t)(end - time(NULL)) / 86400;
        if (end < time(NULL))
            gp_log_warn(t->log, "the TLS certificate has expired", GP_F_STR("file", t->paths[0]),
                        GP_F_I64("days", days));
        else
            gp_log_info(t->log, "TLS certificate loaded", GP_F_STR("file", t->paths[0]),
                        GP_F_I64("valid_days", days), GP_F_BOOL("client_ca", t->paths[2] != NULL));
    }
    gnutls_x509_crt_deinit(crt);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static gp_code copy_paths(gp_tls *t, const gp_http_tls *cfg, gp_error *err)
{
    const char *const paths[N_FILES] = {cfg->cert, cfg->key ? cfg->key : cfg->cert, cfg->client_ca};
    for (size_t i = 0; i < N_FILES; i++)
        if (paths[i] && !(t->paths[i] = strdup(paths[i])))
            return gp_fail(err, GP_ENOMEM, "out of memory for TLS");
    return GP_OK;
}

gp_code gp_tls_new(gp_tls **out, const gp_http_tls *cfg, gp_log *log, gp_error *err)
{
    gp_tls *t = calloc(1, sizeof *t);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for TLS");
    t->log = log;
    pthread_mutex_init(&t->lock, NULL);
    gp_code rc = copy_paths(t, cfg, err);
    if (rc == GP_OK) {
        begin_watching(t); /* before reading: a later change is then seen as one */
        rc = read_pem(t, &t->first, err);
    }
    if (rc == GP_OK)
        rc = make_set(t, &t->first, &t->current, err);
    if (rc == GP_OK && cfg->client_scopes)
        rc = gp_certificates_new(&t->scopes, cfg->client_scopes, log, err);
    if (rc != GP_OK) {
        gp_tls_free(t);
        return rc;
    }
    log_validity(t, &t->first);
    *out = t;
    return GP_OK;
}

void gp_tls_free(gp_tls *t)
{
    if (!t)
        return;
    gp_tls_release(t->current);
    gp_certificates_free(t->scopes);
    pem_free(&t->first);
    for (size_t i = 0; i < N_FILES; i++)
        free(t->paths[i]);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* t->lock is held. */
static gp_code load(gp_tls *t, gp_error *err)
{
    pem p;
    gp_tls_set *set = NULL;
    begin_watching(t);
    gp_code rc = read_pem(t, &p, err);
    if (rc != GP_OK)
        return rc;
    rc = make_set(t, &p, &set, err);
    if (rc == GP_OK) {
        gp_tls_release(t->current);
        t->current = set;
        log_validity(t, &p);
    }
    pem_free(&p);
    return rc;
}

gp_code gp_tls_reload(gp_tls *t, gp_error *err)
{
    pthread_mutex_lock(&t->lock);
    gp_code rc = load(t, err);
    pthread_mutex_unlock(&t->lock);
    gp_code scopes = t->scopes ? gp_certificates_reload(t->scopes, rc == GP_OK ? err : NULL) : GP_OK;
    return rc != GP_OK ? rc : scopes;
}

/* t->lock is held. A change that is half written does not load; the rest of it is a change again. */
static void look_again(gp_tls *t)
{
    gp_error err = GP_ERROR_INIT;
    if (has_changed(t) && load(t, &err) != GP_OK)
        gp_log_error(t->log, "TLS files have changed but cannot be used; the old ones stay in force",
                     GP_F_STR("error", err.msg));
}

gp_tls_set *gp_tls_attach(gp_tls *t, gnutls_session_t session)
{
    pthread_mutex_lock(&t->lock);
    look_again(t);
    gp_tls_set *set = t->current;
    atomic_fetch_add(&set->refs, 1);
    pthread_mutex_unlock(&t->lock);
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, set->cred) != GNUTLS_E_SUCCESS) {
        gp_tls_release(set);
        return NULL;
    }
    if (set->asks_clients)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    return set;
}

void gp_tls_pem(const gp_tls *t, const char **cert, const char **key)
{
    *cert = (const char *)t->first.files[0].data;
    *key = (const char *)t->first.files[1].data;
}

/* ---- who the client is --------------------------------------------------------------------------------- */

enum { NAMES = 32, LOOKED_AT = 256 };

/* Names of a certificate; more than there is room for are left out. */
typedef struct cert_names {
    char text[NAMES][GP_CERT_NAME_MAX + 1];
    const char *list[NAMES];
    size_t n;
} cert_names;

/* A name with a NUL in it would be read as another name. */
static void add_name(cert_names *names, int rc, size_t len)
{
    if (rc >= 0 && len > 0 && strlen(names->text[names->n]) == len) {
        names->list[names->n] = names->text[names->n];
        names->n++;
    }
}

static bool is_text(int kind)
{
    return kind == GNUTLS_SAN_DNSNAME || kind == GNUTLS_SAN_URI || kind == GNUTLS_SAN_RFC822NAME;
}

static void read_names(gnutls_x509_crt_t crt, cert_names *names)
{
    size_t len = sizeof names->text[0];
    int rc =
        gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, names->text[names->n], &len);
    add_name(names, rc, len);
    for (unsigned i = 0; i < LOOKED_AT && names->n < NAMES; i++) {
        char *text = names->text[names->n];
        len = sizeof names->text[0] - 1;
        int kind = gnutls_x509_crt_get_subject_alt_name(crt, i, text, &len, NULL);
        if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return;
        if (!is_text(kind))
            continue;
        text[len] = '\0';
        add_name(names, kind, len);
    }
}

/* libmicrohttpd's handshake has verified the certificate (verify_client). */
static void peer_names(gnutls_session_t session, cert_names *names)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    gnutls_x509_crt_t crt;
    names->n = 0;
    if (!chain || n == 0 || gnutls_x509_crt_init(&crt) < 0)
        return;
    if (gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) >= 0)
        read_names(crt, names);
    gnutls_x509_crt_deinit(crt);
}

void gp_tls_peer_name(gnutls_session_t session, char *dst, size_t size)
{
    cert_names names;
    peer_names(session, &names);
    snprintf(dst, size, "%s", names.n ? names.list[0] : "");
}

gp_scopes gp_tls_peer_scopes(gp_tls *t, gnutls_session_t session)
{
    cert_names names;
    if (!t->scopes)
        return GP_SCOPE_ALL;
    peer_names(session, &names);
    return gp_certificates_scopes(t->scopes, names.list, names.n);
}
