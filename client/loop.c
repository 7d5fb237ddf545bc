/* One thread, many exchanges: waits for libcurl and for sockets of transports without libcurl, and hands
 * outcomes on in the order in which they came. */
#include "client/exchange_kind.h"
#include "client/transport.h"
#include "proto/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64 };

struct gp_loop {
    CURLM *multi;
    size_t transfers;
    int curl_epoll;     /* libcurl's sockets */
    int64_t curl_timer; /* when libcurl wants to be called, whatever its sockets do; 0: it does not */
    int epoll;          /* the others */
    gp_connpool *pool;
    gp_exchange *enrolled;
    int64_t wake_ns; /* no time of an exchange is before this one; 0: there is none */
    gp_exchange *first_done, **last_done;
};

/* libcurl says which sockets it waits for, and until when: only those that have something are looked at,
 * where curl_multi_perform would look at all, with a system call each. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    gp_loop *l = ctx;
    struct epoll_event e = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(l->curl_epoll, EPOLL_CTL_DEL, fd, NULL); /* closed sockets have gone by themselves */
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (known && epoll_ctl(l->curl_epoll, EPOLL_CTL_MOD, fd, &e) == 0)
        return 0;
    if (epoll_ctl(l->curl_epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        return -1;
    return curl_multi_assign(l->multi, fd, l) == CURLM_OK ? 0 : -1;
}

static int on_curl_timer(CURLM *multi, long ms, void *ctx)
{
    gp_loop *l = ctx;
    (void)multi;
    l->curl_timer = ms < 0 ? 0 : gp_clock_ns() + (int64_t)ms * 1000000;
    return 0;
}

static bool set_callbacks(gp_loop *l)
{
    return curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l) == CURLM_OK &&
           curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l) == CURLM_OK;
}

void gp_loop_keep(gp_loop *l, size_t connections)
{
    (void)curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)connections);
}

gp_code gp_loop_new(gp_loop **out, gp_connpool *pool, gp_error *err)
{
    gp_loop *l = calloc(1, sizeof *l);
    if (!l)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking hosts");
    l->last_done = &l->first_done;
    l->pool = pool;
    l->multi = curl_multi_init();
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->curl_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l->multi || l->epoll < 0 || l->curl_epoll < 0 || !set_callbacks(l)) {
        gp_code rc = l->multi ? gp_fail_errno(err, errno, "cannot wait for hosts")
                              : gp_fail(err, GP_ENOMEM, "out of memory for asking hosts");
        gp_loop_free(l);
        return rc;
    }
    *out = l;
    return GP_OK;
}

void gp_loop_free(gp_loop *l)
{
    if (!l)
        return;
    if (l->multi)
        curl_multi_cleanup(l->multi);
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->curl_epoll >= 0)
        close(l->curl_epoll);
    free(l);
}

gp_code gp_exchange_begin(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err)
{
    bool nanomsg = gp_client_addr_is_nanomsg(cfg->addr);
    return (nanomsg ? &gp_exchange_sp : &gp_exchange_http)->begin(l, cfg, out, err);
}

void *gp_exchange_owner(const gp_exchange *x)
{
    return x->owner;
}

gp_code gp_exchange_result(gp_exchange *x, gp_result *out, gp_error *err)
{
    return x->kind->result(x, out, NULL, err);
}

gp_code gp_exchange_outcome(gp_exchange *x, gp_result *out, gp_problem *problem, gp_error *err)
{
    return x->kind->result(x, out, problem, err);
}

void gp_exchange_end(gp_exchange *x)
{
    if (!x)
        return;
    gp_loop_forget(x);
    x->kind->end(x);
}

gp_code gp_loop_add_transfer(gp_loop *l, CURL *easy, gp_exchange *x, gp_error *err)
{
    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, x) != CURLE_OK ||
        curl_multi_add_handle(l->multi, easy) != CURLM_OK)
        return gp_fail(err, GP_EINTERNAL, "cannot start a request");
    l->transfers++;
    return GP_OK;
}

void gp_loop_remove_transfer(gp_loop *l, CURL *easy)
{
    curl_multi_remove_handle(l->multi, easy);
    l->transfers--;
}

void gp_loop_done(gp_exchange *x)
{
    x->next_done = NULL;
    x->waiting = true;
    *x->loop->last_done = x;
    x->loop->last_done = &x->next_done;
}

void gp_loop_forget(gp_exchange *x)
{
    gp_loop *l = x->loop;
    gp_exchange **at = &l->first_done;
    if (!x->waiting)
        return;
    while (*at != x)
        at = &(*at)->next_done;
    *at = x->next_done;
    if (l->last_done == &x->next_done)
        l->last_done = at;
}

gp_connpool *gp_loop_pool(const gp_loop *l)
{
    return l->pool;
}

/* ---- sockets and times --------------------------------------------------------------------------------- */

void gp_loop_enroll(gp_exchange *x)
{
    gp_loop *l = x->loop;
    x->next = l->enrolled;
    if (x->next)
        x->next->previous = x;
    x->previous = NULL;
    l->enrolled = x;
}

void gp_loop_leave(gp_exchange *x)
{
    *(x->previous ? &x->previous->next : &x->loop->enrolled) = x->next;
    if (x->next)
        x->next->previous = x->previous;
    x->next = x->previous = NULL;
}

void gp_loop_wake_at(gp_exchange *x, int64_t ns)
{
    gp_loop *l = x->loop;
    x->wake_ns = ns;
    if (ns && (!l->wake_ns || ns < l->wake_ns))
        l->wake_ns = ns;
}

static gp_code control(gp_exchange *x, int op, int fd, bool writing, gp_error *err)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = x};
    if (epoll_ctl(x->loop->epoll, op, fd, &e) == 0)
        return GP_OK;
    return gp_fail_errno(err, errno, "cannot wait for a host");
}

gp_code gp_loop_watch(gp_exchange *x, int fd, bool writing, gp_error *err)
{
    return control(x, EPOLL_CTL_ADD, fd, writing, err);
}

gp_code gp_loop_rewatch(gp_exchange *x, int fd, bool writing, gp_error *err)
{
    return control(x, EPOLL_CTL_MOD, fd, writing, err);
}

void gp_loop_unwatch(gp_exchange *x, int fd)
{
    (void)control(x, EPOLL_CTL_DEL, fd, false, NULL);
}

/* Wakes those whose time has come. All are looked at, but only once the first of the times has come. */
static void pass_time(gp_loop *l)
{
    int64_t now = l->wake_ns ? gp_clock_ns() : 0;
    if (!l->wake_ns || now < l->wake_ns)
        return;
    l->wake_ns = 0;
    for (gp_exchange *x = l->enrolled, *next; x; x = next) {
        next = x->next;
        int64_t due = x->wake_ns;
        if (due && due <= now)
            x->kind->on_time(x, now);
        else
            gp_loop_wake_at(x, due);
    }
}

static void hear_sockets(gp_loop *l, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(l->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        gp_exchange *x = events[i].data.ptr;
        x->kind->on_socket(x);
    }
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static void collect_transfers(gp_loop *l)
{
    int left = 0;
    for (const CURLMsg *m; (m = curl_multi_info_read(l->multi, &left));) {
        char *private = NULL;
        CURLcode outcome = m->data.result;
        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
            continue;
        gp_exchange *x = (gp_exchange *)(void *)private;
        x->kind->on_transfer(x, outcome);
    }
}

static CURLMcode hear_curl(gp_loop *l)
{
    struct epoll_event events[EVENTS];
    int running = 0;
    CURLMcode m = CURLM_OK;
    int n = epoll_wait(l->curl_epoll, events, EVENTS, 0);
    for (int i = 0; i < n && m == CURLM_OK; i++) {
        uint32_t e = events[i].events;
        int what = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        m = curl_multi_socket_action(l->multi, events[i].data.fd, what, &running);
    }
    if (m == CURLM_OK && l->curl_timer && gp_clock_ns() >= l->curl_timer) {
        l->curl_timer = 0;
        m = curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    return m;
}

static gp_code perform(gp_loop *l, gp_error *err)
{
    CURLMcode m = hear_curl(l);
    if (m != CURLM_OK)
        return gp_fail(err, GP_EINTERNAL, "asking the hosts failed: %s", curl_multi_strerror(m));
    collect_transfers(l);
    return GP_OK;
}

static gp_exchange *take_done(gp_loop *l)
{
    gp_exchange *x = l->first_done;
    if (!x)
        return NULL;
    x->waiting = false;
    l->first_done = x->next_done;
    if (!l->first_done)
        l->last_done = &l->first_done;
    return x;
}

/* What has happened by now. */
static gp_code look(gp_loop *l, gp_error *err)
{
    gp_code rc = l->transfers ? perform(l, err) : GP_OK;
    if (rc == GP_OK && l->enrolled) {
        hear_sockets(l, 0);
        pass_time(l);
    }
    return rc;
}

static int until(int64_t ns, int max_ms)
{
    if (!ns)
        return max_ms;
    int64_t ms = (ns - gp_clock_ns()) / 1000000 + 1;
    return ms < 0 ? 0 : ms < max_ms ? (int)ms : max_ms;
}

gp_code gp_loop_next(gp_loop *l, gp_exchange **done, gp_error *err)
{
    gp_code rc = l->first_done ? GP_OK : look(l, err);
    *done = rc == GP_OK ? take_done(l) : NULL;
    return rc;
}

gp_code gp_loop_sleep(gp_loop *const *loops, size_t n, int max_ms, gp_error *err)
{
    struct pollfd fds[2 * GP_LOOP_SLEEP_MOST];
    int ms = max_ms;
    for (size_t i = 0; i < n; i++) {
        const gp_loop *l = loops[i];
        fds[2 * i] = (struct pollfd){.fd = l->curl_epoll, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){.fd = l->epoll, .events = POLLIN};
        ms = until(l->wake_ns, until(l->curl_timer, ms));
    }
    if (ms > 0 && poll(fds, 2 * n, ms) < 0 && errno != EINTR)
        return gp_fail_errno(err, errno, "waiting for the hosts failed");
    return GP_OK;
}

gp_code gp_loop_wait(gp_loop *l, int max_ms, gp_exchange **done, gp_error *err)
{
    gp_code rc = gp_loop_next(l, done, err);
    if (rc == GP_OK && !*done) {
        rc = gp_loop_sleep(&l, 1, max_ms, err);
        if (rc == GP_OK)
            rc = gp_loop_next(l, done, err);
    }
    return rc;
}
