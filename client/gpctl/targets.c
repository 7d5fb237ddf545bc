#include "client/gpctl/fleet.h"
#include "client/term/term.h"

#include <stdlib.h>
#include <string.h>

static gp_code no_memory(gp_error *err)
{
    return gp_fail(err, GP_ENOMEM, "out of memory for the list of hosts");
}

/* Room for as many names as a list with commas has. */
static gp_code make_room(targets *t, const char *list, gp_error *err)
{
    size_t n = 1;
    for (const char *p = list; (p = strchr(p, ',')) != NULL; p++)
        n++;
    t->items = calloc(n, sizeof *t->items);
    t->addrs = strdup(list);
    return t->items && t->addrs ? GP_OK : no_memory(err);
}

static bool is_named(const targets *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->items[i].name && strcmp(t->items[i].name, name) == 0)
            return true;
    return false;
}

/* The next word of a list with commas, without the blanks around it; NULL at the end. */
static char *next_word(char **rest)
{
    char *word = NULL;
    while ((word = strsep(rest, ",")) != NULL) {
        word += strspn(word, " ");
        word[strcspn(word, " ")] = '\0';
        if (*word)
            break;
    }
    return word;
}

static target by_address(const options *o, const char *addr)
{
    return (target){addr,
                    {.addr = addr,
                     .access = {o->token, o->tls_ca, o->tls_cert, o->tls_key},
                     .timeout_ns = o->timeout_ns,
                     .connect_timeout_ns = o->timeout_ns,
                     .canceled = gp_interrupted}};
}

/* What the file does not say about a host, the flags do. */
static target by_endpoint(const options *o, const gp_endpoint *e)
{
    target t = by_address(o, e->addr);
    t.name = e->host;
    if (e->token)
        t.cfg.access.token = e->token;
    if (e->tls_ca)
        t.cfg.access.ca_file = e->tls_ca;
    if (e->tls_cert) {
        t.cfg.access.cert_file = e->tls_cert;
        t.cfg.access.key_file = e->tls_key;
    }
    return t;
}

static gp_code from_addresses(const options *o, targets *t, gp_error *err)
{
    gp_code rc = make_room(t, o->server_addr, err);
    char *rest = t->addrs;
    for (char *addr; rc == GP_OK && (addr = next_word(&rest)) != NULL;)
        if (!is_named(t, addr))
            t->items[t->n++] = by_address(o, addr);
    return rc;
}

static gp_code all_of_file(const options *o, targets *t, gp_error *err)
{
    t->items = calloc(t->endpoints.n + 1, sizeof *t->items);
    if (!t->items)
        return no_memory(err);
    for (size_t i = 0; i < t->endpoints.n; i++)
        t->items[t->n++] = by_endpoint(o, &t->endpoints.items[i]);
    return GP_OK;
}

static gp_code some_of_file(const options *o, targets *t, gp_error *err)
{
    gp_code rc = make_room(t, o->hosts, err);
    char *rest = t->addrs;
    for (char *name; rc == GP_OK && (name = next_word(&rest)) != NULL;) {
        const gp_endpoint *e = gp_endpoints_find(&t->endpoints, name);
        if (!e)
            return gp_fail(err, GP_ENOTFOUND, "%s names no host '%s'", o->endpoints, name);
        if (!is_named(t, name))
            t->items[t->n++] = by_endpoint(o, e);
    }
    return rc;
}

gp_code targets_make(const options *o, targets *out, gp_error *err)
{
    *out = (targets){0};
    gp_code rc = GP_OK;
    if (o->endpoints) {
        rc = gp_endpoints_load(o->endpoints, &out->endpoints, err);
        if (rc == GP_OK)
            rc = o->hosts ? some_of_file(o, out, err) : all_of_file(o, out, err);
    } else {
        rc = from_addresses(o, out, err);
    }
    if (rc == GP_OK && out->n == 0)
        rc = gp_fail(err, GP_EINVAL, "no host to ask: name one with -s or --endpoints");
    return rc;
}

void targets_free(targets *t)
{
    gp_endpoints_free(&t->endpoints);
    free(t->items);
    free(t->addrs);
    *t = (targets){0};
}
