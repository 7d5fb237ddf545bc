/*
 * packet.h - from the bytes of an IP packet to what flow tracking needs of it.
 *
 * Sources: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 768 (UDP), RFC 792 and RFC 4443 (ICMP).
 *
 * The rules are those of goProbe v4, because the same packets must give the same flows on every sensor of a
 * mixed fleet:
 *   - the port of the client is left out of the key where the other side is a common service;
 *   - later fragments of IPv4 packets are not counted, unless they are ESP;
 *   - the transport header is looked for right behind a fixed header of 20 (IPv4) or 40 bytes (IPv6). An IPv6
 *     packet with extension headers counts under the number of the first of them, without ports; with IPv4
 *     options the ports are the first option's bytes. Stepping over them would be better parsing, but other
 *     flows; spec/decisions is the place to change that.
 *
 * Nothing here allocates or keeps state; safe from any thread.
 */
#ifndef GP_CAPTURE_PACKET_H
#define GP_CAPTURE_PACKET_H

#include "proto/control/status.h"

#include <stdint.h>

enum {
    GP_IPPROTO_ICMP = 1,
    GP_IPPROTO_TCP = 6,
    GP_IPPROTO_UDP = 17,
    GP_IPPROTO_ESP = 50,
    GP_IPPROTO_ICMPV6 = 58
};

/* Bytes from the IP header on that parsing may look at: up to the TCP flags behind IPv4, behind either IP. */
enum { GP_IPV4_SNAPLEN = 20 + 14, GP_IP_SNAPLEN = 40 + 14 };

/* One packet as a source hands it over. */
typedef struct gp_frame {
    const uint8_t *ip; /* IP header; valid until the source is asked for more */
    uint32_t cap;      /* bytes available at ip */
    uint32_t len;      /* length on the wire, link layer included: what counts */
    int64_t ts;        /* UNIX seconds, of capture files; 0 for live sources */
    bool outgoing;     /* egress; everything else counts as received */
} gp_frame;

typedef struct gp_packet {
    const uint8_t *sip, *dip; /* 4 or 16 bytes */
    uint16_t sport, dport;    /* 0 where there is none or it does not matter */
    uint8_t proto;
    uint8_t aux; /* TCP flags or ICMP type */
    bool v6;
} gp_packet;

/* What became of a packet. */
typedef enum gp_parse_result {
    GP_PACKET_OK = -1,
    GP_PACKET_FRAGMENT = GP_PARSE_FRAGMENT, /* not an error: nothing to count */
    GP_PACKET_INVALID_IP = GP_PARSE_INVALID_IP,
    GP_PACKET_TRUNCATED = GP_PARSE_TRUNCATED
} gp_parse_result;

gp_parse_result gp_packet_parse(const uint8_t *ip, uint32_t cap, gp_packet *out);

/* A parsed packet with what counts of it. */
typedef struct gp_counted {
    gp_packet packet;
    uint32_t len;
    bool outgoing;
} gp_counted;

/* Parses frames, in order; returns how many are counted packets. The others count in errors. */
size_t gp_packets_parse(const gp_frame *frames, size_t n, gp_counted *out, uint64_t errors[GP_PARSE_ERRORS]);

/* Which way a new flow runs: true if the packet looks like the answer, so that the flow is the reverse
 * one. */
bool gp_packet_is_reply(const gp_packet *p);

#endif
