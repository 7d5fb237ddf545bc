/*
 * flow.h - what a flow is: addresses, counters and keys.
 *
 * A flow is what two endpoints exchanged in one interval: (sip, dip, dport, proto) with bytes and packets
 * received and sent as seen by the capturing host. The source port is used while capturing to tell
 * sessions apart and is dropped when flows are written.
 *
 * All values are plain data: copy them freely. Ports are kept in host byte order in these structs and
 * in big-endian order on disk; addresses are always in network byte order.
 */
#ifndef GP_FLOW_FLOW_H
#define GP_FLOW_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 (len 4) or IPv6 (len 16) address, or none (len 0). Unused bytes are zero, so two addresses
 * are equal exactly when the structs are equal byte by byte. */
typedef struct gp_addr {
    uint8_t bytes[16];
    uint8_t len;
} gp_addr;

typedef struct gp_counters {
    uint64_t bytes_rcvd;
    uint64_t bytes_sent;
    uint64_t pkts_rcvd;
    uint64_t pkts_sent;
} gp_counters;

/* A flow as it is stored. `sip` and `dip` are of the same family. */
typedef struct gp_flow {
    gp_addr sip;
    gp_addr dip;
    uint16_t dport;
    uint8_t proto;
    gp_counters c;
} gp_flow;

#define GP_ADDR_STRLEN 46 /* INET6_ADDRSTRLEN */

/* Dotted quad or RFC 5952 text into dst (at least GP_ADDR_STRLEN); "" for no address. Returns its length.
 * IPv4-mapped IPv6 prints as ::ffff:1.2.3.4, no other IPv6 address has dots. */
size_t gp_addr_format(const gp_addr *a, char *dst);
/* The same with mapped addresses in hexadecimal, too (::ffff:102:304): text with a dot is IPv4 and only
 * that. */
size_t gp_addr_format_hex(const gp_addr *a, char *dst);
/* True for IPv6 addresses in ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
bool gp_addr_is_mapped(const gp_addr *a);
/* Parses an IPv4 or IPv6 address without zone or prefix; false if it is none. len bytes of text are read. */
bool gp_addr_parse(const char *text, size_t len, gp_addr *out);
/* Order: no address, IPv4, IPv6; within a family by bytes. <0, 0, >0. */
int gp_addr_cmp(const gp_addr *a, const gp_addr *b);
gp_addr gp_addr_from_bytes(const uint8_t *bytes, size_t len); /* len is 4 or 16 */

static inline void gp_counters_add(gp_counters *a, const gp_counters *b)
{
    a->bytes_rcvd += b->bytes_rcvd;
    a->bytes_sent += b->bytes_sent;
    a->pkts_rcvd += b->pkts_rcvd;
    a->pkts_sent += b->pkts_sent;
}

static inline void gp_counters_sub(gp_counters *a, const gp_counters *b)
{
    a->bytes_rcvd -= b->bytes_rcvd;
    a->bytes_sent -= b->bytes_sent;
    a->pkts_rcvd -= b->pkts_rcvd;
    a->pkts_sent -= b->pkts_sent;
}

#endif
