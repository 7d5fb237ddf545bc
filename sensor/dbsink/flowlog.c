#include "sensor/dbsink/flowlog.h"

#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/query/protocols.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How long a full socket is waited for, all blocks of one time together. */
static const int64_t patience_ns = INT64_C(1000000000);
enum { CHUNK = 32768 };

struct gp_flowlog {
    struct sockaddr_un addr;
    gp_log *log;
    gp_buf text;
    int fd; /* -1: not connected */
    bool datagrams;
    int64_t ts;        /* what the patience is for */
    int64_t waited_ns; /* of it */
    bool losing;       /* told in the log */
    uint64_t lost;     /* lines since then */
};

gp_code gp_flowlog_new(gp_flowlog **out, const char *path, gp_log *log, gp_error *err)
{
    *out = NULL;
    gp_flowlog *l = calloc(1, sizeof *l);
    if (!l)
        return gp_fail(err, GP_ENOMEM, "out of memory for the log of flows");
    l->fd = -1;
    l->log = log;
    l->addr.sun_family = AF_UNIX;
    const size_t len = strlen(path);
    if (len >= sizeof l->addr.sun_path) {
        free(l);
        return gp_fail(err, GP_EINVAL, "'%s' is too long for a UNIX socket", path);
    }
    memcpy(l->addr.sun_path, path, len + 1);
    *out = l;
    return GP_OK;
}

static void disconnect(gp_flowlog *l)
{
    if (l->fd >= 0)
        (void)close(l->fd); /* nothing is left to lose */
    l->fd = -1;
}

void gp_flowlog_free(gp_flowlog *l)
{
    if (!l)
        return;
    disconnect(l);
    gp_buf_free(&l->text);
    free(l);
}

static int connect_as(gp_flowlog *l, int type)
{
    l->fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd >= 0 && connect(l->fd, (const struct sockaddr *)&l->addr, sizeof l->addr) == 0)
        return 0;
    int sys = errno;
    disconnect(l);
    return sys;
}

/* v4 speaks to streams only; most syslog daemons listen for datagrams. */
static int ensure_connected(gp_flowlog *l)
{
    if (l->fd >= 0)
        return 0;
    int sys = connect_as(l, SOCK_STREAM);
    l->datagrams = sys == EPROTOTYPE;
    return l->datagrams ? connect_as(l, SOCK_DGRAM) : sys;
}

/* False when the patience is at its end. */
static bool wait_for_room(gp_flowlog *l)
{
    const int64_t left = patience_ns - l->waited_ns;
    struct pollfd p = {.fd = l->fd, .events = POLLOUT};
    if (left <= 0)
        return false;
    const int64_t before = gp_clock_ns();
    int n = poll(&p, 1, (int)(left / 1000000) + 1);
    l->waited_ns += gp_clock_ns() - before;
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Sends len bytes of whole lines; returns how many bytes went, and why it were not all in *sys. */
static size_t send_lines(gp_flowlog *l, const char *text, size_t len, int *sys)
{
    size_t sent = 0;
    while (sent < len) {
        const char *end = memchr(text + sent, '\n', len - sent);
        size_t want = l->datagrams && end ? (size_t)(end + 1 - (text + sent)) : len - sent;
        ssize_t n = send(l->fd, text + sent, want, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        *sys = errno;
        if (errno != EINTR && (errno != EAGAIN || !wait_for_room(l)))
            break;
        *sys = 0;
    }
    return sent;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;
    for (const char *end; (end = memchr(text, '\n', len)) != NULL; n++) {
        len -= (size_t)(end + 1 - text);
        text = end + 1;
    }
    return n;
}

/* RFC 3164, 4.1, without the name of the host, as between programs of one. */
static void put_header(char *dst, size_t size)
{
    const time_t now = time(NULL);
    struct tm t;
    char stamp[32] = "";
    if (!localtime_r(&now, &t) || strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &t) == 0)
        stamp[0] = '\0';
    snprintf(dst, size, "<6>%s ntm[%d]: ", stamp, (int)getpid()); /* 0 (kern) * 8 + 6 (info) */
}

static void put_flow(gp_buf *out, const char *header, int64_t ts, const char *iface, const gp_flow *f)
{
    char sip[GP_ADDR_STRLEN];
    char dip[GP_ADDR_STRLEN];
    gp_addr_format(&f->sip, sip);
    gp_addr_format(&f->dip, dip);
    gp_buf_printf(out,
                  "%s%" PRId64 ",%s,%s,%s,%u,%s,bytes: received=%" PRIu64 " sent=%" PRIu64
                  "; packets: received=%" PRIu64 " sent=%" PRIu64 "\n",
                  header, ts, iface, sip, dip, f->dport, gp_protocol_name(f->proto), f->c.bytes_rcvd,
                  f->c.bytes_sent, f->c.pkts_rcvd, f->c.pkts_sent);
}

/* Returns how many lines went; *sys tells why no more did. */
static size_t send_flows(gp_flowlog *l, const char *iface, int64_t ts, const gp_flow *flows, size_t n,
                         int *sys)
{
    char header[64];
    size_t sent = 0;
    put_header(header, sizeof header);
    for (size_t i = 0; i < n && *sys == 0;) {
        gp_buf_clear(&l->text);
        for (; i < n && l->text.len < CHUNK; i++)
            put_flow(&l->text, header, ts, iface, &flows[i]);
        if (l->text.failed) {
            *sys = ENOMEM;
            break;
        }
        sent += count_lines(l->text.data, send_lines(l, l->text.data, l->text.len, sys));
    }
    return sent;
}

/* Once when lines begin to be lost, and once when they no longer are. */
static void tell(gp_flowlog *l, size_t lost, int sys)
{
    l->lost += lost;
    if (lost && !l->losing)
        gp_log_warn(l->log, "flows not written to syslog, only to the database",
                    GP_F_STR("socket", l->addr.sun_path), GP_F_U64("lost", lost),
                    GP_F_STR("error", sys == EAGAIN ? "the reader is too slow" : strerrordesc_np(sys)));
    else if (!lost && l->losing)
        gp_log_info(l->log, "flows are written to syslog again", GP_F_STR("socket", l->addr.sun_path),
                    GP_F_U64("lost", l->lost));
    if (!lost)
        l->lost = 0;
    l->losing = lost > 0;
}

static size_t attempt(gp_flowlog *l, const char *iface, int64_t ts, const gp_flow *flows, size_t n, int *sys)
{
    *sys = ensure_connected(l);
    size_t sent = *sys == 0 ? send_flows(l, iface, ts, flows, n, sys) : 0;
    if (*sys != 0) /* a piece of a line may be out */
        disconnect(l);
    return sent;
}

size_t gp_flowlog_write(gp_flowlog *l, const char *iface, int64_t ts, const gp_flow *flows, size_t n)
{
    if (n == 0)
        return 0;
    if (ts != l->ts)
        l->waited_ns = 0;
    l->ts = ts;
    const bool was_connected = l->fd >= 0;
    int sys = 0;
    size_t sent = attempt(l, iface, ts, flows, n, &sys);
    if (sent == 0 && was_connected && (sys == EPIPE || sys == ECONNREFUSED || sys == ECONNRESET))
        sent = attempt(l, iface, ts, flows, n, &sys); /* the daemon was restarted since the last block */
    tell(l, n - sent, sys);
    return sent;
}
