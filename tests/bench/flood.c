/*
 * gp-flood IFACE FLOWS PACKETS [RATE]: sends PACKETS small packets of FLOWS flows on a link, at RATE packets
 * a second or as fast as one core can, and says how fast that was. For links of a benchmark's own network
 * namespace: it sends at most 2^28 packets and ends.
 */
#include "tests/bench/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_PACKETS = 1 << 28, MAX_FLOWS = 1 << 24 };

typedef struct sender {
    int fd;
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    uint8_t frames[BATCH][TRAFFIC_FRAME];
} sender;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool open_sender(sender *s, const char *iface)
{
    const int on = 1;
    const struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(iface)};
    s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: receives nothing */
    if (s->fd < 0 || !addr.sll_ifindex || bind(s->fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
        fprintf(stderr, "gp-flood: cannot send on '%s': %s\n", iface, strerror(errno));
        return false;
    }
    (void)setsockopt(s->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    for (unsigned i = 0; i < BATCH; i++) {
        traffic_template(s->frames[i]);
        s->parts[i] = (struct iovec){s->frames[i], TRAFFIC_FRAME};
        s->messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &s->parts[i], .msg_iovlen = 1}};
    }
    return true;
}

static bool send_batch(sender *s, unsigned n)
{
    for (unsigned done = 0; done < n;) {
        int sent = sendmmsg(s->fd, s->messages + done, n - done, 0);
        if (sent < 0 && errno != ENOBUFS && errno != EINTR) {
            fprintf(stderr, "gp-flood: cannot send: %s\n", strerror(errno));
            return false;
        }
        done += sent > 0 ? (unsigned)sent : 0;
    }
    return true;
}

/* Sleeps the long part of the wait and spins the rest. */
static void wait_until(double due)
{
    for (double left; (left = due - seconds()) > 0;)
        if (left > 200e-6)
            usleep((useconds_t)((left - 100e-6) * 1e6));
}

static bool flood(sender *s, uint32_t flows, uint64_t packets, double rate)
{
    traffic t = traffic_begin(flows);
    double start = seconds();
    for (uint64_t sent = 0; sent < packets;) {
        unsigned n = packets - sent < BATCH ? (unsigned)(packets - sent) : BATCH;
        for (unsigned i = 0; i < n; i++)
            traffic_set_flow(s->frames[i], traffic_next(&t));
        if (rate > 0)
            wait_until(start + (double)sent / rate);
        if (!send_batch(s, n))
            return false;
        sent += n;
    }
    double elapsed = seconds() - start;
    printf("%llu packets in %.3f s, %.0f a second\n", (unsigned long long)packets, elapsed,
           (double)packets / elapsed);
    return true;
}

int main(int argc, char **argv)
{
    static sender s;
    uint64_t flows = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t packets = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    double rate = argc > 4 ? strtod(argv[4], NULL) : 0;
    if (argc < 4 || argc > 5 || flows < 1 || flows > MAX_FLOWS || packets < 1 || packets > MAX_PACKETS) {
        fprintf(stderr, "usage: gp-flood IFACE FLOWS PACKETS [RATE] (at most %d flows and %d packets)\n",
                MAX_FLOWS, MAX_PACKETS);
        return 2;
    }
    return open_sender(&s, argv[1]) && flood(&s, (uint32_t)flows, packets, rate) ? 0 : 1;
}
