/* What shells ask for: candidates for the word under the cursor, one a line. */
#include "client/goquery/goquery.h"

#include "client/endpoints.h"
#include "client/gpclient.h"
#include "proto/base/clock.h"
#include "proto/base/strlist.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_NS GP_NS_PER_SEC /* somebody waits at a prompt */

static const char *const sort_words[] = {"bytes", "packets", "time", NULL};
static const char *const format_words[] = {"txt", "csv", "json", NULL};
static const char *const command_words[] = {"list", "help", "examples", "version", NULL};
static const char *const condition_words[] = {"sip", "dip",   "host",  "snet", "dnet",
                                              "net", "dport", "proto", "dir",  NULL};

static void print_words(const char *const *words)
{
    for (; *words; words++)
        puts(*words);
}

static void print_columns(void)
{
    for (size_t i = 0; gp_query_type_name(i); i++)
        puts(gp_query_type_name(i));
}

/* Names of others end up in command lines: what could mean something to a shell is no candidate. */
static void print_name(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:@%+/";
    if (*name && *name != '-' && !name[strspn(name, plain)])
        puts(name);
}

/* ---- what a server knows ------------------------------------------------------------------------------- */

typedef enum wanted { HOSTS, IFACES } wanted;

/* The names in the newest answer: partial results hold all that came before. */
typedef struct discovery {
    wanted what;
    int64_t until_ns; /* gp_clock_ns() */
    char **names;
    size_t n;
} discovery;

static bool learn(void *ctx, gp_event_type type, const gp_result *r, const gp_problem *problem)
{
    discovery *d = ctx;
    (void)problem;
    if (!r || (type != GP_EVENT_PARTIAL && type != GP_EVENT_FINAL))
        return true;
    gp_strlist_free(d->names, d->n);
    d->names = NULL;
    d->n = 0;
    gp_code code = GP_OK;
    for (size_t i = 0; d->what == HOSTS && i < r->n_hosts && code == GP_OK; i++) {
        const gp_host_status *h = &r->hosts[i];
        code = gp_strlist_add(&d->names, &d->n, h->endpoint ? h->endpoint : h->host, NULL);
    }
    for (size_t i = 0; d->what == IFACES && i < r->n_ifaces && code == GP_OK; i++)
        code = gp_strlist_add(&d->names, &d->n, r->ifaces[i], NULL);
    return code == GP_OK;
}

static bool is_over(void *ctx)
{
    const discovery *d = ctx;
    return gp_clock_ns() >= d->until_ns;
}

/* Where traffic was seen on the last day, by the hosts that are named already or by all. */
static gp_code question(const options *o, wanted what, gp_args *a)
{
    const char *hosts = what == IFACES && o->args.query_hosts ? o->args.query_hosts : "any";
    gp_code code = gp_args_set(&a->query, "iface", NULL);
    if (code == GP_OK)
        code = gp_args_set(&a->ifaces, "any", NULL);
    if (code == GP_OK)
        code = gp_args_set(&a->query_hosts, hosts, NULL);
    if (code == GP_OK)
        code = gp_args_set(&a->first, "-1d", NULL);
    if (code == GP_OK)
        code = gp_args_set(&a->caller, "goquery completion", NULL);
    a->live = true;
    return code == GP_OK ? gp_args_set_defaults(a, (int64_t)time(NULL), NULL) : code;
}

/* What has arrived when the time is over counts: a host that does not answer must not hide the others. */
static void print_from_server(const options *o, wanted what)
{
    discovery d = {.what = what, .until_ns = gp_clock_after(PATIENCE_NS)};
    const gp_client_config cfg = {.addr = o->server,
                                  .access = {o->token, o->tls_ca, o->tls_cert, o->tls_key},
                                  .timeout_ns = PATIENCE_NS,
                                  .connect_timeout_ns = PATIENCE_NS,
                                  .canceled = is_over,
                                  .cancel_ctx = &d};
    gp_client *c = NULL;
    gp_args a;
    gp_result r;
    gp_result_init(&r);
    gp_args_init(&a);
    if (question(o, what, &a) == GP_OK && gp_client_new(&c, &cfg, NULL) == GP_OK &&
        gp_client_query_sse(c, &a, learn, &d, &r, NULL, NULL) == GP_OK)
        gp_result_free(&r);
    for (size_t i = 0; i < d.n; i++)
        print_name(d.names[i]);
    gp_strlist_free(d.names, d.n);
    gp_args_free(&a);
    gp_client_free(c);
}

static bool asks_server(const options *o)
{
    return o->server && *o->server;
}

/* A database that is not there has no candidates: a shell is no place for errors. */
static void print_ifaces(const options *o)
{
    char **names = NULL;
    size_t n = 0;
    puts("any");
    if (asks_server(o))
        print_from_server(o, IFACES);
    else if (o->db)
        (void)gp_db_list_ifaces(o->db, &names, &n, NULL);
    for (size_t i = 0; i < n; i++)
        print_name(names[i]);
    gp_strlist_free(names, n);
}

static void print_hosts(const options *o)
{
    const char *path = o->n_rest > 2 ? o->rest[2] : "/etc/goprobe/endpoints.yaml";
    gp_endpoints e = {0};
    if (asks_server(o)) {
        puts("any");
        print_from_server(o, HOSTS);
    } else if (gp_endpoints_load(path, &e, NULL) == GP_OK)
        for (size_t i = 0; i < e.n; i++)
            print_name(e.items[i].host);
    gp_endpoints_free(&e);
}

gp_code run_completion(const options *o, gp_error *err)
{
    const char *kind = o->n_rest > 1 ? o->rest[1] : "";
    if (strcmp(kind, "flags") == 0)
        print_flags();
    else if (strcmp(kind, "columns") == 0)
        print_columns();
    else if (strcmp(kind, "ifaces") == 0)
        print_ifaces(o);
    else if (strcmp(kind, "hosts") == 0)
        print_hosts(o);
    else if (strcmp(kind, "sort") == 0)
        print_words(sort_words);
    else if (strcmp(kind, "format") == 0)
        print_words(format_words);
    else if (strcmp(kind, "commands") == 0)
        print_words(command_words);
    else if (strcmp(kind, "conditions") == 0)
        print_words(condition_words);
    else
        return gp_fail(err, GP_EINVAL,
                       "completion: bash, zsh, fish (scripts to source), flags, columns, ifaces, hosts, "
                       "sort, format, commands or "
                       "conditions");
    return GP_OK;
}
