#include "client/endpoints.h"

#include "client/gpclient.h"
#include "proto/base/strlist.h"
#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"

#include <stdlib.h>
#include <string.h>

static const int64_t default_timeout_ns = INT64_C(30000000000);

static int by_host(const void *a, const void *b)
{
    return strcmp(((const gp_endpoint *)a)->host, ((const gp_endpoint *)b)->host);
}

static gp_code check_addr(const gp_yaml_node *node, const char *addr, gp_error *err)
{
    char *url = NULL;
    char *socket = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code rc = gp_client_parse_addr(addr, &url, &socket, &why);
    free(url);
    free(socket);
    return rc == GP_EINVAL ? gp_yaml_fail(node, err, "%s", why.msg) : GP_OK;
}

static gp_code read_timeout(const gp_yaml_node *node, int64_t *out, gp_error *err)
{
    const char *text = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code rc = gp_yaml_str(node, &text, err);
    *out = default_timeout_ns;
    if (rc != GP_OK || !text)
        return rc;
    if (gp_duration_parse(text, out, &why) != GP_OK || *out < 0)
        return gp_yaml_fail(node, err, "\"%s\" is not a duration (for example 15s)", text);
    if (*out == 0)
        *out = default_timeout_ns;
    return GP_OK;
}

static gp_code read_access(const gp_yaml_node *node, gp_endpoint *e, gp_error *err)
{
    gp_code rc = gp_yaml_strdup(gp_yaml_find(node, "tls.ca"), &e->tls_ca, err);
    if (rc == GP_OK)
        rc = gp_yaml_strdup(gp_yaml_find(node, "tls.cert"), &e->tls_cert, err);
    if (rc == GP_OK)
        rc = gp_yaml_strdup(gp_yaml_find(node, "tls.key"), &e->tls_key, err);
    return rc == GP_OK ? gp_yaml_strdup(gp_yaml_get(node, "token_file"), &e->token_file, err) : rc;
}

static gp_code read_endpoint(const gp_yaml_entry *entry, gp_endpoint *e, gp_error *err)
{
    const gp_yaml_node *addr = gp_yaml_get(entry->value, "addr");
    gp_code rc = gp_yaml_expect(entry->value, GP_YAML_MAP, err);
    if (rc == GP_OK)
        rc = gp_yaml_strdup(addr, &e->addr, err);
    if (rc == GP_OK && !e->addr)
        return gp_yaml_fail(entry->value, err, "host %s has no addr", entry->key);
    if (rc == GP_OK)
        rc = check_addr(addr, e->addr, err);
    if (rc == GP_OK)
        rc = read_timeout(gp_yaml_get(entry->value, "timeout"), &e->timeout_ns, err);
    if (rc == GP_OK)
        if (rc == GP_OK)
            rc = read_access(entry->value, e, err);
    if (rc == GP_OK)
        rc = gp_yaml_strdup(gp_yaml_get(entry->value, "hosts"), &e->hosts, err);
    if (rc == GP_OK && !(e->host = strdup(entry->key)))
        rc = gp_fail(err, GP_ENOMEM, "out of memory for the endpoints");
    return rc;
}

/* Out of memory the warning is lost, and nothing else. */
static void warn(void *endpoints, const char *sentence)
{
    gp_endpoints *e = endpoints;
    (void)gp_strlist_add(&e->warnings, &e->n_warnings, sentence, NULL);
}

/* "log" is v4's, and nothing here; its "scheme" and "key" would be missed. */
static void warn_unknown(const gp_yaml_node *host, gp_endpoints *out)
{
    static const char *const known[] = {"addr",   "timeout",  "token_file", "hosts", "tls",
                                        "tls.ca", "tls.cert", "tls.key",    "log"};
    static const char *const tls[] = {"ca", "cert", "key"};
    gp_yaml_unknown(host, known, sizeof known / sizeof *known, warn, out);
    gp_yaml_unknown(gp_yaml_get(host, "tls"), tls, sizeof tls / sizeof *tls, warn, out);
}

static gp_code read_all(const gp_yaml_node *root, gp_endpoints *out, gp_error *err)
{
    gp_code rc = gp_yaml_expect(root, GP_YAML_MAP, err);
    if (rc != GP_OK || root->kind == GP_YAML_NULL)
        return rc;
    out->items = calloc(root->n ? root->n : 1, sizeof *out->items);
    if (!out->items)
        return gp_fail(err, GP_ENOMEM, "out of memory for the endpoints");
    for (size_t i = 0; i < root->n && rc == GP_OK; i++) {
        rc = read_endpoint(&root->entries[i], &out->items[out->n++], err);
        warn_unknown(root->entries[i].value, out);
    }
    if (rc == GP_OK && out->n)
        qsort(out->items, out->n, sizeof *out->items, by_host);
    return rc;
}

static gp_code read_doc(gp_yaml_doc *doc, gp_endpoints *out, gp_error *err)
{
    gp_code rc = read_all(gp_yaml_root(doc), out, err);
    gp_yaml_free(doc);
    if (rc != GP_OK)
        gp_endpoints_free(out);
    return rc;
}

static gp_code read_tokens(gp_endpoints *e, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < e->n && rc == GP_OK; i++)
        if (e->items[i].token_file) {
            rc = gp_client_token_from_file(e->items[i].token_file, &e->items[i].token, err);
            if (rc != GP_OK)
                gp_error_prefix(err, "host %s", e->items[i].host);
        }
    if (rc != GP_OK)
        gp_endpoints_free(e);
    return rc;
}

gp_code gp_endpoints_load(const char *path, gp_endpoints *out, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    *out = (gp_endpoints){0};
    gp_code rc = gp_yaml_load(&doc, path, err);
    if (rc == GP_OK)
        rc = read_doc(doc, out, err);
    return rc == GP_OK ? read_tokens(out, err) : rc;
}

gp_code gp_endpoints_parse(const char *name, const char *text, size_t len, gp_endpoints *out, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    *out = (gp_endpoints){0};
    gp_code rc = gp_yaml_parse(&doc, name, text, len, err);
    return rc == GP_OK ? read_doc(doc, out, err) : rc;
}

/* What stands before the address instead of its own beginning; NULL: it says itself how it is reached. */
static const char *nanomsg_scheme(const char *addr, size_t *skip)
{
    *skip = 0;
    if (strncmp(addr, "unix:", 5) == 0) {
        *skip = 5;
        return "nanomsg+ipc://";
    }
    return strstr(addr, "://") ? NULL : addr[0] == ':' ? "nanomsg+tcp://localhost" : "nanomsg+tcp://";
}

gp_code gp_endpoints_assume_nanomsg(gp_endpoints *e, gp_error *err)
{
    for (size_t i = 0; i < e->n; i++) {
        size_t skip;
        gp_buf addr = GP_BUF_INIT;
        const char *scheme = nanomsg_scheme(e->items[i].addr, &skip);
        if (!scheme)
            continue;
        gp_buf_puts(&addr, scheme);
        gp_buf_puts(&addr, e->items[i].addr + skip);
        char *text = gp_buf_detach(&addr);
        if (!text)
            return gp_fail(err, GP_ENOMEM, "out of memory for the endpoints");
        free(e->items[i].addr);
        e->items[i].addr = text;
    }
    return GP_OK;
}

void gp_endpoints_free(gp_endpoints *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->items[i].host);
        free(e->items[i].addr);
        free(e->items[i].token_file);
        free(e->items[i].token);
        free(e->items[i].tls_ca);
        free(e->items[i].tls_cert);
        free(e->items[i].tls_key);
        free(e->items[i].hosts);
    }
    free(e->items);
    gp_strlist_free(e->warnings, e->n_warnings);
    *e = (gp_endpoints){0};
}

const gp_endpoint *gp_endpoints_find(const gp_endpoints *e, const char *host)
{
    size_t low = 0;
    size_t high = e->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = strcmp(host, e->items[mid].host);
        if (c == 0)
            return &e->items[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}
