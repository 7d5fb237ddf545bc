#include "proto/result/dns.h"

#include "proto/base/clock.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORKERS = 16, MAX_ADDRESSES = 100000 };

typedef struct entry {
    gp_addr addr;
    char *name; /* NULL: none */
} entry;

/* Shared by the caller and its workers; whoever lets go last frees it. */
typedef struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t progress;
    entry *entries;
    size_t n, next, done;
    unsigned refs;
} lookup;

/* The names as they stood when the time was up. */
struct gp_dns_names {
    entry *entries;
    size_t n;
};

static void release(lookup *l)
{
    pthread_mutex_lock(&l->lock);
    bool last = --l->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (!last)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->entries[i].name);
    free(l->entries);
    pthread_cond_destroy(&l->progress);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static char *resolve(const gp_addr *a)
{
    char name[NI_MAXHOST];
    struct sockaddr_storage ss = {0};
    socklen_t len;
    if (a->len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&ss;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, a->bytes, 4);
        len = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, a->bytes, 16);
        len = sizeof *in6;
    }
    if (getnameinfo((struct sockaddr *)&ss, len, name, sizeof name, NULL, 0, NI_NAMEREQD) != 0)
        return NULL;
    return strdup(name);
}

static void *worker(void *arg)
{
    lookup *l = arg;
    pthread_mutex_lock(&l->lock);
    while (l->next < l->n) {
        size_t i = l->next++;
        gp_addr addr = l->entries[i].addr;
        pthread_mutex_unlock(&l->lock);
        char *name = resolve(&addr);
        pthread_mutex_lock(&l->lock);
        l->entries[i].name = name;
        l->done++;
        pthread_cond_signal(&l->progress);
    }
    pthread_mutex_unlock(&l->lock);
    release(l);
    return NULL;
}

static int by_addr(const void *a, const void *b)
{
    return gp_addr_cmp(&((const entry *)a)->addr, &((const entry *)b)->addr);
}

/* Distinct addresses, sorted. */
static size_t collect(const gp_addr *addrs, size_t n, entry *out)
{
    for (size_t i = 0; i < n; i++)
        out[i].addr = addrs[i];
    if (n)
        qsort(out, n, sizeof *out, by_addr);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || by_addr(&out[kept - 1], &out[i]) != 0)
            out[kept++] = out[i];
    return kept;
}

static void start_workers(lookup *l)
{
    size_t want = l->n < MAX_WORKERS ? l->n : MAX_WORKERS;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (size_t i = 0; i < want; i++) {
        pthread_t t;
        pthread_mutex_lock(&l->lock);
        if (pthread_create(&t, &attr, worker, l) == 0) /* it waits for the lock */
            l->refs++;
        pthread_mutex_unlock(&l->lock);
    }
    pthread_attr_destroy(&attr);
}

static void wait_until(lookup *l, int64_t timeout_ns)
{
    const int64_t end = gp_clock_after(timeout_ns);
    bool in_time = true;
    while (l->refs > 1 && l->done < l->n && in_time)
        in_time = gp_clock_wait(&l->progress, &l->lock, end);
}

static lookup *new_lookup(const gp_addr *addrs, size_t n)
{
    lookup *l = calloc(1, sizeof *l);
    entry *entries = calloc(n + 1, sizeof *entries);
    if (!l || !entries) {
        free(l);
        free(entries);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    gp_clock_cond_init(&l->progress);
    l->entries = entries;
    l->n = collect(addrs, n, entries);
    l->refs = 1;
    return l;
}

gp_code gp_dns_lookup_addrs(const gp_addr *addrs, size_t n, int64_t timeout_ns, gp_dns_names **out,
                            gp_error *err)
{
    gp_dns_names *names = calloc(1, sizeof *names);
    lookup *l = new_lookup(addrs, n);
    if (names && l)
        names->entries = calloc(l->n + 1, sizeof *names->entries);
    if (!names || !l || !names->entries) {
        free(names);
        if (l)
            release(l);
        return gp_fail(err, GP_ENOMEM, "out of memory for reverse DNS lookups");
    }
    start_workers(l);
    pthread_mutex_lock(&l->lock);
    wait_until(l, timeout_ns);
    names->n = l->n;
    for (size_t i = 0; i < l->n; i++) {
        names->entries[i] = l->entries[i];
        l->entries[i].name = NULL; /* ours now */
    }
    l->next = l->n; /* what has not begun need not */
    pthread_mutex_unlock(&l->lock);
    release(l);
    *out = names;
    return GP_OK;
}

gp_code gp_dns_lookup(const gp_result *r, int64_t max_rows, int64_t timeout_ns, gp_dns_names **out,
                      gp_error *err)
{
    size_t rows = max_rows > 0 && (uint64_t)max_rows < r->n_rows ? (size_t)max_rows : r->n_rows;
    if (rows > MAX_ADDRESSES)
        rows = MAX_ADDRESSES;
    gp_addr *addrs = calloc(2 * rows + 1, sizeof *addrs);
    if (!addrs)
        return gp_fail(err, GP_ENOMEM, "out of memory for reverse DNS lookups");
    size_t n = 0;
    for (size_t i = 0; i < rows; i++) {
        if (r->rows[i].sip.len)
            addrs[n++] = r->rows[i].sip;
        if (r->rows[i].dip.len)
            addrs[n++] = r->rows[i].dip;
    }
    gp_code rc = gp_dns_lookup_addrs(addrs, n, timeout_ns, out, err);
    free(addrs);
    return rc;
}

const char *gp_dns_name(const gp_dns_names *n, const gp_addr *a)
{
    const entry key = {.addr = *a};
    const entry *e = n->n ? bsearch(&key, n->entries, n->n, sizeof key, by_addr) : NULL;
    return e ? e->name : NULL;
}

void gp_dns_free(gp_dns_names *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++)
        free(n->entries[i].name);
    free(n->entries);
    free(n);
}
