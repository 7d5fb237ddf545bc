/*
 * Simulated sensors for fleet_bench.py: one process, one thread, any number of hosts on loopback, each with
 * an answer of its own that was made beforehand, so that what is measured is who asks. They speak the real
 * protocols: HTTP (POST /_query, plain or gzip) and the wire protocol on nanomsg's request/reply.
 *
 *   gp-fleet-sensors ENDPOINTS [KEY=VALUE ...]
 *
 * writes the endpoints file and then a line to standard output with what a complete answer must say:
 *
 *   control=PORT live=N bytes_rcvd=SUM pkts_rcvd=SUM
 *
 * A connection to the control port gets "sent=BYTES queries=N canceled=N", counted since the last one. The
 * process ends with its standard input.
 */
#include "proto/result/result.h"
#include "proto/wire/answer.h"
#include "proto/wire/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

typedef struct options {
    size_t hosts;
    size_t rows;      /* of each host */
    size_t shared;    /* of them, rows that every host has */
    unsigned nanomsg; /* every how manieth host speaks nanomsg: 0 none, 1 all, 2 every other */
    bool gzip;
    size_t dead; /* hosts on whose port nobody listens */
    size_t slow; /* hosts that answer after slow_ms */
    unsigned slow_ms;
    unsigned spread_ms; /* the others answer after 0 to this; one of them after exactly this */
    unsigned timeout_ms;
} options;

typedef struct blob {
    char *data;
    size_t len;
} blob;

typedef struct host {
    int listener;
    unsigned port, delay_ms;
    bool nanomsg, dead;
    blob plain, zipped, frame;
} host;

typedef enum role { LISTENER, CONTROL_LISTENER, INPUT, HTTP, NANOMSG } role;

/* What an epoll event is about; a connection carries one request at a time. */
typedef struct peer {
    role role;
    int fd;
    host *host;
    bool greeted;
    gp_buf in;
    char head[256];
    size_t head_len;
    const blob *body;
    size_t sent; /* of head and body */
    int64_t due; /* of an answer that waits; 0: none */
    struct peer *previous, *next;
} peer;

typedef struct sim {
    options opt;
    host *hosts;
    int epoll;
    peer *waiting; /* peers whose answer is due later */
    uint64_t sent, queries, canceled;
    bool over;
} sim;

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

/* splitmix64: Steele, Lea, Flood, OOPSLA 2014. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static gp_addr addr4(uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return gp_addr_from_bytes(bytes, sizeof bytes);
}

/* Clients all over the world talk to a few services of this host's network; volumes are heavy-tailed. */
static gp_row make_row(uint64_t *seed, uint64_t network)
{
    static const uint16_t services[] = {443, 443, 443, 80, 53, 22, 123, 8443};
    uint64_t r = next_random(seed);
    uint64_t packets = 1 + ((r >> 8 & 0xffff) << (r & 7)) / (1 + (r >> 24 & 0xffff));
    uint64_t size = 60 + (r >> 40) % 1400;
    gp_row row = {.sip = addr4((uint32_t)(0x0a000000 | network << 8 | (r >> 4 & 63))),
                  .dip = addr4((uint32_t)next_random(seed) | 1u << 30),
                  .dport = services[r & 7],
                  .proto = (r & 7) == 4 || (r & 7) == 6 ? 17 : 6};
    row.c = (gp_counters){packets * size, packets * (40 + (r >> 56)), packets, 1 + packets / 2};
    return row;
}

static void fill(gp_result *r, const options *o, size_t index)
{
    char name[32];
    uint64_t shared = 1;
    uint64_t own = 1000 + index;
    gp_error err = GP_ERROR_INIT;
    gp_result_init(r);
    if (gp_result_reserve_rows(r, o->rows ? o->rows : 1, &err) != GP_OK)
        die(err.msg);
    for (size_t i = 0; i < o->rows; i++) {
        gp_row row = i < o->shared ? make_row(&shared, 0) : make_row(&own, index & 0xffff);
        r->rows[r->n_rows++] = row;
        gp_counters_add(&r->totals, &row.c);
    }
    snprintf(name, sizeof name, "host%05zu", index);
    r->hostname = gp_result_intern(r, name);
    gp_result_set_host(r, name, GP_STATUS_OK, NULL, NULL);
    gp_result_add_iface(r, "eth0", NULL);
    static const char *const attributes[] = {"sip", "dip", "dport", "proto"};
    for (size_t i = 0; i < 4; i++)
        r->attributes[r->n_attributes++] = gp_result_intern(r, attributes[i]);
    r->first = (gp_time){.sec = 1704067200, .set = true};
    r->last = (gp_time){.sec = 1704153600, .set = true};
    r->query_start = (gp_time){.sec = 1704153601, .nsec = 123456789, .set = true};
    r->query_duration_ns = 2345678;
    r->hits_total = r->n_rows;
    r->data_available = true;
    r->has_stats = true;
    r->stats = (gp_query_stats){1980628, 3370941, 288, 0, 1, 1};
    gp_result_sort(r, GP_SORT_BYTES, GP_DIR_SUM, false, 0);
    gp_result_finish(r);
}

static blob take(gp_buf *b)
{
    blob out = {.len = b->len};
    out.data = gp_buf_detach(b);
    if (!out.data)
        die("out of memory");
    return out;
}

static blob zip(const blob *in)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("deflateInit2");
    blob out = {.len = deflateBound(&z, in->len)};
    out.data = malloc(out.len);
    if (!out.data)
        die("malloc");
    z.next_in = (Bytef *)in->data;
    z.avail_in = (uInt)in->len;
    z.next_out = (Bytef *)out.data;
    z.avail_out = (uInt)out.len;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("deflate");
    out.len = z.total_out;
    deflateEnd(&z);
    return out;
}

static void make_answer(host *h, const options *o, size_t index, gp_counters *sum)
{
    gp_result r;
    gp_buf text = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    fill(&r, o, index);
    if (h->nanomsg) {
        gp_buf message = GP_BUF_INIT;
        if (gp_answer_write(&r, &text, &err) != GP_OK)
            die(err.msg);
        const gp_frame f = {.type = GP_FRAME_ANSWER, .status = 200, .body = text.data, .len = text.len};
        if (gp_frame_write(&message, &f, &err) != GP_OK)
            die(err.msg);
        h->frame = take(&message);
        gp_buf_free(&text);
    } else {
        gp_result_to_json(&r, &text);
        h->plain = take(&text);
        if (o->gzip)
            h->zipped = zip(&h->plain);
    }
    if (h->delay_ms < o->timeout_ms)
        gp_counters_add(sum, &r.totals);
    gp_result_free(&r);
}

/* ---- connections --------------------------------------------------------------------------------------- */

static void watch(const sim *s, peer *p, uint32_t events, int op)
{
    struct epoll_event e = {.events = events, .data.ptr = p};
    if (epoll_ctl(s->epoll, op, p->fd, &e) != 0)
        die("epoll_ctl");
}

static peer *new_peer(const sim *s, int fd, role what, host *h)
{
    peer *p = calloc(1, sizeof *p);
    if (!p)
        die("calloc");
    p->fd = fd;
    p->role = what;
    p->host = h;
    watch(s, p, EPOLLIN, EPOLL_CTL_ADD);
    return p;
}

static void stop_waiting(sim *s, peer *p)
{
    if (!p->due)
        return;
    *(p->previous ? &p->previous->next : &s->waiting) = p->next;
    if (p->next)
        p->next->previous = p->previous;
    p->due = 0;
}

static void hang_up(sim *s, peer *p)
{
    s->canceled += p->due != 0;
    stop_waiting(s, p);
    close(p->fd);
    gp_buf_free(&p->in);
    free(p);
}

/* Sends what goes; false: the other side is gone. */
static bool send_more(sim *s, peer *p)
{
    while (p->body && p->sent < p->head_len + p->body->len) {
        bool in_head = p->sent < p->head_len;
        const char *from = in_head ? p->head + p->sent : p->body->data + (p->sent - p->head_len);
        size_t n = in_head ? p->head_len - p->sent : p->body->len - (p->sent - p->head_len);
        ssize_t k = send(p->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT | (in_head ? MSG_MORE : 0));
        if (k < 0 && errno == EAGAIN) {
            watch(s, p, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return true;
        }
        if (k < 0)
            return false;
        p->sent += (size_t)k;
        s->sent += (uint64_t)k;
    }
    if (p->body) {
        p->body = NULL;
        watch(s, p, EPOLLIN, EPOLL_CTL_MOD);
    }
    return true;
}

static bool answer(sim *s, peer *p, const blob *body)
{
    s->queries++;
    p->body = body;
    p->sent = 0;
    if (!p->host->delay_ms)
        return send_more(s, p);
    p->due = now_ns() + (int64_t)p->host->delay_ms * 1000000;
    p->previous = NULL;
    p->next = s->waiting;
    if (p->next)
        p->next->previous = p;
    s->waiting = p;
    return true;
}

static void send_due(sim *s)
{
    int64_t now = now_ns();
    for (peer *p = s->waiting, *next; p; p = next) {
        next = p->next;
        if (p->due > now)
            continue;
        stop_waiting(s, p);
        if (!send_more(s, p))
            hang_up(s, p);
    }
}

/* False: nothing is due. */
static bool until_due(const sim *s, struct timespec *out)
{
    int64_t first = INT64_MAX;
    for (const peer *p = s->waiting; p; p = p->next)
        first = p->due < first ? p->due : first;
    int64_t ns = first == INT64_MAX ? 0 : first - now_ns();
    ns = ns < 0 ? 0 : ns;
    *out = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return first != INT64_MAX;
}

/* A whole request with its body, or 0. */
static size_t http_request_len(const gp_buf *in)
{
    const char *end = in->data ? strstr(in->data, "\r\n\r\n") : NULL;
    const char *field = end ? strcasestr(in->data, "\ncontent-length:") : NULL;
    if (!end)
        return 0;
    size_t len = (size_t)(end + 4 - in->data) + (field && field < end ? strtoul(field + 16, NULL, 10) : 0);
    return in->len >= len ? len : 0;
}

static bool hear_http(sim *s, peer *p)
{
    size_t len = http_request_len(&p->in);
    if (!len)
        return true;
    const char *accepts = strcasestr(p->in.data, "\naccept-encoding:");
    bool zipped = p->host->zipped.data && accepts && strstr(accepts, "gzip");
    const blob *body = zipped ? &p->host->zipped : &p->host->plain;
    p->head_len =
        (size_t)snprintf(p->head, sizeof p->head,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                         zipped ? "Content-Encoding: gzip\r\n" : "", body->len);
    gp_buf_clear(&p->in);
    return answer(s, p, body);
}

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

static void drop(gp_buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

/* nanomsg: a greeting of 8 bytes, then messages: a length of 8, a request number of 4, a frame. */
static bool hear_nanomsg(sim *s, peer *p)
{
    enum { GREETING = 8, LENGTH = 8, ID = 4, TYPE_AT = 4 };
    static const char greeting[GREETING] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
    if (!p->greeted && p->in.len >= GREETING) {
        if (send(p->fd, greeting, sizeof greeting, MSG_NOSIGNAL) != GREETING)
            return false;
        drop(&p->in, GREETING);
        p->greeted = true;
    }
    while (p->greeted && p->in.len >= LENGTH) {
        uint64_t len = big_endian(p->in.data, LENGTH);
        if (len < ID + GP_FRAME_HEADER || len > 1 << 20)
            return false;
        if (p->in.len < LENGTH + len)
            return true;
        char type = p->in.data[LENGTH + ID + TYPE_AT];
        char id[ID];
        memcpy(id, p->in.data + LENGTH, ID);
        drop(&p->in, LENGTH + (size_t)len);
        if (type == GP_FRAME_CANCEL && p->due) {
            s->canceled++;
            stop_waiting(s, p);
        }
        if (type != GP_FRAME_QUERY)
            continue;
        uint64_t out = p->host->frame.len + ID;
        for (size_t i = 0; i < LENGTH; i++)
            p->head[i] = (char)(out >> 8 * (LENGTH - 1 - i));
        memcpy(p->head + LENGTH, id, ID);
        p->head_len = LENGTH + ID;
        if (!answer(s, p, &p->host->frame))
            return false;
    }
    return true;
}

static bool receive(sim *s, peer *p)
{
    char bytes[16384];
    for (;;) {
        ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            return false;
        gp_buf_add(&p->in, bytes, (size_t)n);
    }
    return p->role == HTTP ? hear_http(s, p) : hear_nanomsg(s, p);
}

static void accept_one(const sim *s, const peer *listener)
{
    int on = 1;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    new_peer(s, fd, listener->host->nanomsg ? NANOMSG : HTTP, listener->host);
}

static void tell_counts(sim *s, const peer *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    dprintf(fd, "sent=%llu queries=%llu canceled=%llu\n", (unsigned long long)s->sent,
            (unsigned long long)s->queries, (unsigned long long)s->canceled);
    close(fd);
    s->sent = s->queries = s->canceled = 0;
}

static void handle(sim *s, peer *p, uint32_t events)
{
    char byte;
    switch (p->role) {
    case LISTENER:
        accept_one(s, p);
        break;
    case CONTROL_LISTENER:
        tell_counts(s, p);
        break;
    case INPUT:
        s->over = read(p->fd, &byte, 1) <= 0;
        break;
    case HTTP:
    case NANOMSG:
        if (((events & EPOLLOUT) && !send_more(s, p)) || ((events & ~(uint32_t)EPOLLOUT) && !receive(s, p)))
            hang_up(s, p);
        break;
    }
}

/* ---- start --------------------------------------------------------------------------------------------- */

/* A dead host keeps its port, so that nobody else gets it, and does not listen. */
static int open_port(bool dead, unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof a) != 0 || (!dead && listen(fd, 512) != 0) ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("cannot listen on loopback");
    *port = ntohs(a.sin_port);
    return fd;
}

static void raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static bool set_option(options *o, const char *text)
{
    const struct {
        const char *key;
        size_t *value;
    } sizes[] = {{"hosts", &o->hosts},
                 {"rows", &o->rows},
                 {"shared", &o->shared},
                 {"dead", &o->dead},
                 {"slow", &o->slow}};
    const struct {
        const char *key;
        unsigned *value;
    } numbers[] = {{"nanomsg", &o->nanomsg},
                   {"slow_ms", &o->slow_ms},
                   {"spread_ms", &o->spread_ms},
                   {"timeout_ms", &o->timeout_ms}};
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : 0;
    unsigned long value = equals ? strtoul(equals + 1, NULL, 10) : 0;
    if (len == 4 && strncmp(text, "gzip", len) == 0) {
        o->gzip = value;
        return true;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (len == strlen(sizes[i].key) && strncmp(text, sizes[i].key, len) == 0) {
            *sizes[i].value = value;
            return true;
        }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (len == strlen(numbers[i].key) && strncmp(text, numbers[i].key, len) == 0) {
            *numbers[i].value = (unsigned)value;
            return true;
        }
    return false;
}

static unsigned delay_of(const options *o, size_t i)
{
    if (i >= o->dead && i < o->dead + o->slow)
        return o->slow_ms;
    uint64_t seed = i;
    return i + 1 == o->hosts ? o->spread_ms
           : o->spread_ms    ? (unsigned)(next_random(&seed) % o->spread_ms)
                             : 0;
}

static void start_hosts(sim *s, const char *endpoints)
{
    const options *o = &s->opt;
    gp_counters sum = {0};
    unsigned control;
    FILE *out = fopen(endpoints, "w");
    if (!out)
        die(endpoints);
    for (size_t i = 0; i < o->hosts; i++) {
        host *h = &s->hosts[i];
        h->nanomsg = o->nanomsg && i % o->nanomsg == 0;
        h->dead = i < o->dead;
        h->delay_ms = delay_of(o, i);
        h->listener = open_port(h->dead, &h->port);
        fprintf(out, "host%05zu: {addr: \"%s127.0.0.1:%u\", timeout: %ums}\n", i,
                h->nanomsg ? "nanomsg+tcp://" : "", h->port, o->timeout_ms);
        if (h->dead)
            continue;
        make_answer(h, o, i, &sum);
        new_peer(s, h->listener, LISTENER, h);
    }
    if (fclose(out) != 0)
        die(endpoints);
    new_peer(s, open_port(false, &control), CONTROL_LISTENER, NULL);
    new_peer(s, STDIN_FILENO, INPUT, NULL);
    printf("control=%u live=%zu bytes_rcvd=%llu pkts_rcvd=%llu\n", control, o->hosts - o->dead - o->slow,
           (unsigned long long)sum.bytes_rcvd, (unsigned long long)sum.pkts_rcvd);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    sim s = {.opt = {.hosts = 100, .rows = 1000, .slow_ms = 60000, .timeout_ms = 30000}};
    for (int i = 2; i < argc; i++)
        if (!set_option(&s.opt, argv[i])) {
            fprintf(stderr, "gp-fleet-sensors: unknown option %s\n", argv[i]);
            return 2;
        }
    if (argc < 2) {
        fprintf(stderr, "usage: gp-fleet-sensors ENDPOINTS [KEY=VALUE ...]\n");
        return 2;
    }
    raise_limit();
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    s.hosts = calloc(s.opt.hosts, sizeof *s.hosts);
    if (s.epoll < 0 || !s.hosts)
        die("cannot start");
    start_hosts(&s, argv[1]);
    while (!s.over) {
        struct epoll_event events[64];
        struct timespec wait;
        int n = epoll_pwait2(s.epoll, events, 64, until_due(&s, &wait) ? &wait : NULL, NULL);
        for (int i = 0; i < n; i++)
            handle(&s, events[i].data.ptr, events[i].events);
        send_due(&s);
    }
    return 0;
}
