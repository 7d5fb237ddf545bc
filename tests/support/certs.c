#include "tests/support/certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include <cmocka.h>

struct gp_test_ca {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
    unsigned char serial;
};

static gnutls_x509_privkey_t new_key(void)
{
    gnutls_x509_privkey_t key;
    unsigned bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, bits, 0), 0);
    return key;
}

static gnutls_x509_crt_t new_crt(const char *name, gnutls_x509_privkey_t key, unsigned char serial)
{
    gnutls_x509_crt_t crt;
    time_t now = time(NULL);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(crt, &serial, 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(crt, now - 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, now + 86400), 0);
    assert_int_equal(
        gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)), 0);
    assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
    return crt;
}

static void append(FILE *f, gnutls_datum_t *text)
{
    assert_int_equal(fwrite(text->data, 1, text->size, f), text->size);
    gnutls_free(text->data);
}

static void write_pem(const char *path, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
    char fresh[256];
    gnutls_datum_t text;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *f = fopen(fresh, "we");
    assert_non_null(f);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text), 0);
    append(f, &text);
    if (key) {
        assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text), 0);
        append(f, &text);
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(fresh, path), 0);
}

gp_test_ca *gp_test_ca_new(const char *path)
{
    gp_test_ca *ca = calloc(1, sizeof *ca);
    assert_non_null(ca);
    ca->serial = 1;
    ca->key = new_key();
    ca->crt = new_crt(path, ca->key, ca->serial); /* the name tells one CA from another */
    assert_int_equal(gnutls_x509_crt_set_basic_constraints(ca->crt, 1, 0), 0);
    assert_int_equal(gnutls_x509_crt_set_key_usage(ca->crt, GNUTLS_KEY_KEY_CERT_SIGN), 0);
    assert_int_equal(gnutls_x509_crt_sign2(ca->crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0), 0);
    write_pem(path, ca->crt, NULL);
    return ca;
}

void gp_test_ca_free(gp_test_ca *ca)
{
    gnutls_x509_crt_deinit(ca->crt);
    gnutls_x509_privkey_deinit(ca->key);
    free(ca);
}

static void name_server(gnutls_x509_crt_t crt)
{
    static const unsigned char loopback[] = {127, 0, 0, 1};
    assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, 0), 0);
    assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, loopback,
                                                          sizeof loopback, GNUTLS_FSAN_APPEND),
                     0);
}

static void sign(gp_test_ca *ca, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *purpose,
                 const char *path)
{
    assert_int_equal(gnutls_x509_crt_set_key_purpose_oid(crt, purpose, 0), 0);
    assert_int_equal(gnutls_x509_crt_sign2(crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0), 0);
    write_pem(path, crt, key);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

void gp_test_ca_issue(gp_test_ca *ca, gp_test_cert_kind kind, const char *name, const char *path)
{
    gnutls_x509_privkey_t key = new_key();
    gnutls_x509_crt_t crt = new_crt(name, key, ++ca->serial);
    if (kind == GP_TEST_SERVER)
        name_server(crt);
    sign(ca, crt, key, kind == GP_TEST_SERVER ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, path);
}

/* One name of a SubjectAltName (RFC 5280, 4.2.1.6) in DER; GnuTLS would end it at a NUL. */
static size_t put_name(unsigned char *at, unsigned char tag, const char *name, size_t len)
{
    at[0] = tag;
    at[1] = (unsigned char)len;
    memcpy(at + 2, name, len);
    return len + 2;
}

void gp_test_ca_issue_client(gp_test_ca *ca, const char *name, const char *dns, size_t dns_len,
                             const char *uri, const char *path)
{
    enum { DNS_NAME = 0x82, URI_NAME = 0x86, SEQUENCE = 0x30, SHORT = 120 };
    gnutls_x509_privkey_t key = new_key();
    gnutls_x509_crt_t crt = new_crt(name, key, ++ca->serial);
    unsigned char names[SHORT + 8] = {SEQUENCE};
    size_t n = 2;
    assert_true(dns_len + (uri ? strlen(uri) : 0) < SHORT);
    if (dns)
        n += put_name(names + n, DNS_NAME, dns, dns_len);
    if (uri)
        n += put_name(names + n, URI_NAME, uri, strlen(uri));
    names[1] = (unsigned char)(n - 2);
    assert_int_equal(gnutls_x509_crt_set_extension_by_oid(crt, "2.5.29.17", names, n, 0), 0);
    sign(ca, crt, key, GNUTLS_KP_TLS_WWW_CLIENT, path);
}
