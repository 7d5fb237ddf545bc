/*
 * getaddrinfo(3) cannot be interrupted, so every name gets a thread of its own that may outlive the wait:
 * what they share is counted and released by the last one that lets go.
 */
#include "proto/base/clock.h"
#include "proto/query/cond_internal.h"
#include "proto/query/timeparse.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct batch batch;

typedef struct lookup_job {
    batch *owner;
    cond_host host;
    int error; /* of getaddrinfo */
} lookup_job;

struct batch {
    pthread_mutex_t lock;
    pthread_cond_t done;
    size_t pending;
    size_t refs;
    lookup_job jobs[COND_MAX_HOSTS];
};

/* Drops a reference; called with the lock held, which it releases. */
static void release(batch *b)
{
    bool last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    pthread_cond_destroy(&b->done);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static batch *batch_new(const cond_host *hosts, size_t n)
{
    batch *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_mutex_init(&b->lock, NULL);
    gp_clock_cond_init(&b->done);
    b->refs = 1;
    for (size_t i = 0; i < n; i++) {
        b->jobs[i].owner = b;
        b->jobs[i].host = hosts[i];
    }
    return b;
}

static void add_address(cond_host *host, const struct sockaddr *sa)
{
    gp_addr a;
    if (sa->sa_family == AF_INET)
        a = gp_addr_from_bytes((const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    else
        a = gp_addr_from_bytes((const uint8_t *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
                               16);
    for (size_t i = 0; i < host->n_addrs; i++)
        if (gp_addr_cmp(&host->addrs[i], &a) == 0)
            return;
    if (host->n_addrs < COND_MAX_ADDRS)
        host->addrs[host->n_addrs++] = a;
}

static void keep_addresses(cond_host *host, const struct addrinfo *list)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t f = 0; f < 2; f++)
        for (const struct addrinfo *i = list; i; i = i->ai_next)
            if (i->ai_family == families[f])
                add_address(host, i->ai_addr);
}

static void *run(void *arg)
{
    lookup_job *job = arg;
    batch *b = job->owner;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(job->host.name, NULL, &hints, &list);
    pthread_mutex_lock(&b->lock);
    job->error = error;
    if (error == 0)
        keep_addresses(&job->host, list);
    b->pending--;
    pthread_cond_signal(&b->done);
    release(b);
    if (error == 0)
        freeaddrinfo(list);
    return NULL;
}

/* Called with the lock held. */
static bool start(batch *b, lookup_job *job, const pthread_attr_t *attr)
{
    pthread_t thread;
    if (pthread_create(&thread, attr, run, job) != 0)
        return false;
    b->pending++;
    b->refs++;
    return true;
}

/* Signals belong to the threads of the program, not to these. */
static bool start_all(batch *b, size_t n)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = start(b, &b->jobs[i], &attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

static gp_code take_results(const batch *b, cond_host *hosts, size_t n, gp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int error = b->jobs[i].error;
        if (error == EAI_NONAME || error == EAI_NODATA)
            return gp_fail(err, GP_EINVAL, "lookup %s: no such host", hosts[i].name);
        if (error != 0)
            return gp_fail(err, GP_ENET, "lookup %s: %s", hosts[i].name, gai_strerror(error));
        hosts[i] = b->jobs[i].host;
    }
    return GP_OK;
}

gp_code cond_dns_resolver(void *ctx, cond_host *hosts, size_t n, int64_t timeout_ns, gp_error *err)
{
    (void)ctx;
    batch *b = batch_new(hosts, n);
    if (!b)
        return gp_fail(err, GP_ENOMEM, "out of memory for looking up %zu hosts", n);
    const int64_t deadline = gp_clock_after(timeout_ns);
    pthread_mutex_lock(&b->lock);
    bool started = start_all(b, n);
    bool in_time = true;
    while (started && b->pending > 0 && in_time)
        in_time = gp_clock_wait(&b->done, &b->lock, deadline);
    gp_code code;
    if (!started)
        code = gp_fail(err, GP_EBUSY, "cannot start a thread for looking up %zu hosts", n);
    else if (b->pending > 0)
        code = gp_fail(err, GP_ETIMEOUT, "timeout while resolving hostnames in conditional");
    else
        code = take_results(b, hosts, n, err);
    release(b);
    return code;
}
