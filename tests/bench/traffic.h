/*
 * traffic.h - the packets that benchmarks are made of: small TCP segments of many flows, in scrambled order.
 *
 * Flow i is 10.x.y.z (24 bits of i) to 198.18.0.1 (a benchmark network, RFC 2544), so that flows stay apart
 * when source ports are dropped.
 */
#ifndef GP_TESTS_BENCH_TRAFFIC_H
#define GP_TESTS_BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TRAFFIC_FRAME = 64, TRAFFIC_ETH = 14 };

/* Walks over all flows again and again; neighbors in time are not neighbors in number. */
typedef struct traffic {
    uint32_t flows, mask, at;
} traffic;

static inline traffic traffic_begin(uint32_t flows)
{
    uint32_t size = 1;
    while (size < flows)
        size *= 2;
    return (traffic){.flows = flows, .mask = size - 1};
}

/* An odd step visits every number below a power of two once. */
static inline uint32_t traffic_next(traffic *t)
{
    do
        t->at = (t->at + UINT32_C(0x9e3779b1)) & t->mask;
    while (t->at >= t->flows);
    return t->at;
}

/* An Ethernet frame for another host, so that no stack answers; checksums are of no interest here. */
static inline void traffic_template(uint8_t frame[TRAFFIC_FRAME])
{
    static const uint8_t head[] = {
        0x02, 0,  0,  0,  0xbe, 0x01, 0x02, 0, 0,  0, 0xbe, 0x02, 0x08, 0x00, /* Ethernet */
        0x45, 0,  0,  50, 0,    0,    0x40, 0, 64, 6, 0,    0,    10,   0,    0,    0,
        198,  18, 0,  1,                                                               /* IPv4 */
        0x80, 0,  35, 40, 0,    0,    0,    0, 0,  0, 0,    0,    0x50, 0x10, 0x10, 0, /* TCP, ACK */
    };
    memset(frame, 0, TRAFFIC_FRAME);
    memcpy(frame, head, sizeof head);
}

static inline void traffic_set_flow(uint8_t frame[TRAFFIC_FRAME], uint32_t flow)
{
    uint8_t *ip = frame + TRAFFIC_ETH;
    ip[13] = (uint8_t)(flow >> 16);
    ip[14] = (uint8_t)(flow >> 8);
    ip[15] = (uint8_t)flow;
    ip[20] = (uint8_t)(0x80 | (flow >> 8 & 0x3f)); /* a client's port */
    ip[21] = (uint8_t)flow;
}

#endif
