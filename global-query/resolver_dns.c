/*
 * Hosts from SRV records (RFC 2782), by the C library's resolver: the query names records, separated by
 * commas, "any" those of the configuration file:
 *
 *   names: [_goprobe._tcp.example.com]
 *   server: "192.0.2.53:53"     # default: those of /etc/resolv.conf
 *   timeout: 2s                 # of one attempt; there are two
 *
 * Each target is a host, reached at the port of its record. Answers are kept for as long as they say (at
 * least a second, at most an hour), and beyond that while no server answers.
 */
#include "global-query/resolver.h"
#include "proto/base/clock.h"
#include "proto/base/strlist.h"
#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { MAX_KEPT = 64, MAX_ANSWER = 65535, MAX_TTL = 3600, ATTEMPTS = 2, DNS_PORT = 53 };

typedef struct kept_answer {
    char *name;
    gp_host_list hosts;
    int64_t until; /* CLOCK_MONOTONIC, s */
    struct kept_answer *next;
} kept_answer;

typedef struct dns_resolver {
    gp_resolver base;
    gp_log *log;
    char **names;
    size_t n_names;
    struct sockaddr_in server; /* sin_family 0: the system's */
    int timeout_s;             /* 0: the system's */
    pthread_mutex_t lock;      /* guards what follows */
    kept_answer *kept;
    size_t n_kept;
} dns_resolver;

static int64_t monotonic_s(void)
{
    return gp_clock_ns() / GP_NS_PER_SEC;
}

/* ---- answers that are kept ----------------------------------------------------------------------------- */

static gp_code copy_hosts(const gp_host_list *from, gp_host_list *to, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < from->n && rc == GP_OK; i++)
        rc = gp_host_list_add(to, from->items[i].name, from->items[i].addr, err);
    return rc;
}

/* r->lock is held. */
static kept_answer *find_kept(dns_resolver *r, const char *name)
{
    kept_answer *k = r->kept;
    while (k && strcasecmp(k->name, name) != 0)
        k = k->next;
    return k;
}

static bool take_kept(dns_resolver *r, const char *name, bool even_old, gp_host_list *out)
{
    pthread_mutex_lock(&r->lock);
    const kept_answer *k = find_kept(r, name);
    bool good = k && (even_old || k->until > monotonic_s()) && copy_hosts(&k->hosts, out, NULL) == GP_OK;
    pthread_mutex_unlock(&r->lock);
    return good;
}

/* Without memory for it, the next query asks again. */
static void keep(dns_resolver *r, const char *name, const gp_host_list *hosts, unsigned long ttl)
{
    gp_host_list copy = {0};
    if (copy_hosts(hosts, &copy, NULL) != GP_OK) {
        gp_host_list_free(&copy);
        return;
    }
    pthread_mutex_lock(&r->lock);
    kept_answer *k = find_kept(r, name);
    if (!k && r->n_kept < MAX_KEPT && (k = calloc(1, sizeof *k)) && !(k->name = strdup(name))) {
        free(k);
        k = NULL;
    } else if (k && k->until == 0) {
        k->next = r->kept;
        r->kept = k;
        r->n_kept++;
    }
    if (k) {
        gp_host_list old = k->hosts;
        k->hosts = copy;
        copy = old;
        k->until = monotonic_s() + (int64_t)(ttl < 1 ? 1 : ttl > MAX_TTL ? MAX_TTL : ttl);
    }
    pthread_mutex_unlock(&r->lock);
    gp_host_list_free(&copy);
}

/* ---- asking -------------------------------------------------------------------------------------------- */

static gp_code open_state(const dns_resolver *r, res_state state, gp_error *err)
{
    memset(state, 0, sizeof *state);
    if (res_ninit(state) != 0)
        return gp_fail(err, GP_EIO, "cannot set up the resolver of the C library");
    state->retry = ATTEMPTS;
    if (r->timeout_s)
        state->retrans = r->timeout_s;
    if (r->server.sin_family == AF_INET) {
        state->nscount = 1;
        state->nsaddr_list[0] = r->server;
    }
    return GP_OK;
}

static gp_code add_record(ns_msg *msg, const ns_rr *record, gp_host_list *out, gp_error *err)
{
    enum { PRIORITY_WEIGHT = 4, FIXED = 6 };
    char target[NS_MAXDNAME];
    char addr[NS_MAXDNAME + 8];
    const unsigned char *data = ns_rr_rdata(*record);
    if (ns_rr_rdlen(*record) <= FIXED ||
        ns_name_uncompress(ns_msg_base(*msg), ns_msg_end(*msg), data + FIXED, target, sizeof target) < 0)
        return gp_fail(err, GP_ECORRUPT, "a malformed SRV record");
    unsigned port = (unsigned)data[PRIORITY_WEIGHT] << 8 | data[PRIORITY_WEIGHT + 1];
    size_t len = strlen(target);
    while (len && target[len - 1] == '.')
        target[--len] = '\0';
    if (len == 0) /* "." says that the service is decidedly not there */
        return GP_OK;
    snprintf(addr, sizeof addr, "%s:%u", target, port);
    return gp_host_list_add(out, target, addr, err);
}

static gp_code read_answer(const unsigned char *answer, int len, gp_host_list *out, unsigned long *ttl,
                           gp_error *err)
{
    ns_msg msg;
    gp_code rc = GP_OK;
    *ttl = MAX_TTL;
    if (ns_initparse(answer, len, &msg) != 0)
        return gp_fail(err, GP_ECORRUPT, "a malformed answer");
    for (int i = 0; i < ns_msg_count(msg, ns_s_an) && rc == GP_OK; i++) {
        ns_rr record;
        if (ns_parserr(&msg, ns_s_an, i, &record) != 0)
            return gp_fail(err, GP_ECORRUPT, "a malformed answer");
        if (ns_rr_type(record) != ns_t_srv)
            continue;
        *ttl = ns_rr_ttl(record) < *ttl ? ns_rr_ttl(record) : *ttl;
        rc = add_record(&msg, &record, out, err);
    }
    if (rc == GP_OK)
        gp_host_list_sort(out);
    return rc;
}

static gp_code ask(const dns_resolver *r, const char *name, gp_host_list *out, unsigned long *ttl,
                   gp_error *err)
{
    struct __res_state state;
    unsigned char *answer = malloc(MAX_ANSWER);
    if (!answer)
        return gp_fail(err, GP_ENOMEM, "out of memory for a DNS query");
    gp_code rc = open_state(r, &state, err);
    if (rc != GP_OK) {
        free(answer);
        return rc;
    }
    int len = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, MAX_ANSWER);
    int why = state.res_h_errno;
    res_nclose(&state);
    if (len < 0 && (why == HOST_NOT_FOUND || why == NO_DATA))
        rc = gp_fail(err, GP_ENOTFOUND, "there is no SRV record %s", name);
    else if (len < 0)
        rc = gp_fail(err, GP_ENET, "SRV record %s: no usable answer from a DNS server", name);
    else
        rc = read_answer(answer, len < MAX_ANSWER ? len : MAX_ANSWER, out, ttl, err);
    free(answer);
    return rc;
}

static gp_code resolve_name(dns_resolver *r, const char *name, gp_host_list *out, gp_error *err)
{
    gp_host_list fresh = {0};
    unsigned long ttl = 0;
    gp_error local = GP_ERROR_INIT;
    if (take_kept(r, name, false, out))
        return GP_OK;
    gp_code rc = ask(r, name, &fresh, &ttl, &local);
    if (rc == GP_OK) {
        keep(r, name, &fresh, ttl);
        rc = copy_hosts(&fresh, out, err);
    } else if ((rc == GP_ENET || rc == GP_ECORRUPT) && take_kept(r, name, true, out)) {
        gp_log_error(r->log, "DNS does not answer, the last answer stays in force", GP_F_STR("name", name),
                     GP_F_STR("error", local.msg));
        rc = GP_OK;
    } else {
        rc = gp_fail(err, rc, "%s", local.msg);
    }
    gp_host_list_free(&fresh);
    return rc;
}

static gp_code resolve_all(dns_resolver *r, gp_host_list *out, gp_error *err)
{
    gp_code rc = r->n_names
                     ? GP_OK
                     : gp_fail(err, GP_EINVAL, "the dns resolver has no names configured: name a record");
    for (size_t i = 0; i < r->n_names && rc == GP_OK; i++)
        rc = resolve_name(r, r->names[i], out, err);
    return rc;
}

static gp_code resolve(gp_resolver *base, const char *query, gp_host_list *out, gp_error *err)
{
    dns_resolver *r = (dns_resolver *)base;
    char *copy = strdup(query);
    char *rest = NULL;
    gp_code rc = copy ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a list of hosts");
    for (char *name = copy ? strtok_r(copy, ", \t\r\n", &rest) : NULL; name && rc == GP_OK;
         name = strtok_r(NULL, ", \t\r\n", &rest))
        rc = strcasecmp(name, "any") == 0 ? resolve_all(r, out, err) : resolve_name(r, name, out, err);
    free(copy);
    if (rc == GP_OK)
        gp_host_list_sort(out);
    return rc;
}

/* ---- configuration ------------------------------------------------------------------------------------- */

static void close_resolver(gp_resolver *base)
{
    dns_resolver *r = (dns_resolver *)base;
    while (r->kept) {
        kept_answer *k = r->kept;
        r->kept = k->next;
        gp_host_list_free(&k->hosts);
        free(k->name);
        free(k);
    }
    gp_strlist_free(r->names, r->n_names);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static gp_code read_server(dns_resolver *r, const gp_yaml_node *node, gp_error *err)
{
    const char *text = NULL;
    char host[INET_ADDRSTRLEN];
    gp_code rc = gp_yaml_str(node, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    size_t len = strcspn(text, ":");
    unsigned long port = text[len] ? strtoul(text + len + 1, NULL, 10) : DNS_PORT;
    snprintf(host, sizeof host, "%.*s", (int)(len < sizeof host ? len : 0), text);
    if (inet_pton(AF_INET, host, &r->server.sin_addr) != 1 || port == 0 || port > 65535)
        return gp_yaml_fail(node, err, "\"%s\" is no IPv4 address, with a port or without", text);
    r->server.sin_family = AF_INET;
    r->server.sin_port = htons((uint16_t)port);
    return GP_OK;
}

static gp_code read_timeout(dns_resolver *r, const gp_yaml_node *node, gp_error *err)
{
    const char *text = NULL;
    int64_t ns = 0;
    gp_code rc = gp_yaml_str(node, &text, err);
    if (rc != GP_OK || !text)
        return rc;
    if (gp_duration_parse(text, &ns, NULL) != GP_OK || ns < GP_NS_PER_SEC || ns > 30 * GP_NS_PER_SEC)
        return gp_yaml_fail(node, err, "\"%s\" is no duration from 1s to 30s", text);
    r->timeout_s = (int)(ns / GP_NS_PER_SEC);
    return GP_OK;
}

static gp_code load_config(dns_resolver *r, const char *path, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    gp_code rc = gp_yaml_load(&doc, path, err);
    if (rc != GP_OK)
        return rc;
    const gp_yaml_node *root = gp_yaml_root(doc);
    rc = gp_yaml_strlist(gp_yaml_get(root, "names"), &r->names, &r->n_names, err);
    if (rc == GP_OK)
        rc = read_server(r, gp_yaml_get(root, "server"), err);
    if (rc == GP_OK)
        rc = read_timeout(r, gp_yaml_get(root, "timeout"), err);
    gp_yaml_free(doc);
    return rc;
}

static gp_code open_resolver(gp_resolver **out, const char *config, gp_log *log, gp_error *err)
{
    dns_resolver *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    r->base = (gp_resolver){&gp_resolver_dns, resolve, close_resolver};
    r->log = log;
    pthread_mutex_init(&r->lock, NULL);
    gp_code rc = config && *config ? load_config(r, config, err) : GP_OK;
    if (rc != GP_OK) {
        close_resolver(&r->base);
        return rc;
    }
    *out = &r->base;
    return GP_OK;
}

const gp_resolver_kind gp_resolver_dns = {"dns", open_resolver};
