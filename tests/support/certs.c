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

void gp_test_ca_issue(gp_test_ca *ca, gp_test_cert_kind kind, const char *name, const char *path)
{
    gnutls_x509_privkey_t key = new_key();
    gnutls_x509_crt_t crt = new_crt(name, key, ++ca->serial);
    const char *purpose = kind == GP_TEST_SERVER ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
    if (kind == GP_TEST_SERVER)
        name_server(crt);
    assert_int_equal(gnutls_x509_crt_set_key_purpose_oid(crt, purpose, 0), 0);
    assert_int_equal(gnutls_x509_crt_sign2(crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0), 0);
    write_pem(path, crt, key);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}
