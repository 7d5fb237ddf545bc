#include "sensor/capture/packet.h"

enum { IPV4_MIN = 20, IPV6_SIZE = 40, MAX_EXTENSIONS = 8 };
enum { TCP_FLAGS_AT = 13 };

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

/* Services whose clients open a new source port for every request: keeping it would multiply the flows. */
static inline bool is_common_port(uint16_t port, uint8_t proto)
{
    switch (port) {
    case 53:
    case 443:
        return true;
    case 80:
    case 445:
    case 8080:
        return proto == GP_IPPROTO_TCP;
    default:
        return false;
    }
}

/* Ports, TCP flags or ICMP type from the transport header. */
static inline gp_parse_result parse_transport(const uint8_t *t, uint32_t left, uint8_t icmp, gp_packet *p)
{
    if (p->proto == GP_IPPROTO_TCP || p->proto == GP_IPPROTO_UDP) {
        bool tcp = p->proto == GP_IPPROTO_TCP;
        if (left < (tcp ? TCP_FLAGS_AT + 1u : 4u))
            return GP_PACKET_TRUNCATED;
        uint16_t sport = be16(t);
        uint16_t dport = be16(t + 2);
        p->aux = tcp ? t[TCP_FLAGS_AT] : 0;
        p->sport = is_common_port(dport, p->proto) ? 0 : sport;
        p->dport = is_common_port(sport, p->proto) ? 0 : dport;
        return GP_PACKET_OK;
    }
    if (p->proto != icmp)
        return GP_PACKET_OK;
    if (left < 1)
        return GP_PACKET_TRUNCATED;
    p->aux = t[0];
    return GP_PACKET_OK;
}

static gp_parse_result parse_v4(const uint8_t *ip, uint32_t cap, gp_packet *p)
{
    if (cap < IPV4_MIN)
        return GP_PACKET_TRUNCATED;
    uint32_t header = (uint32_t)(ip[0] & 0x0f) * 4;
    if (header < IPV4_MIN)
        return GP_PACKET_INVALID_IP;
    p->proto = ip[9];
    /* ESP has no ports to lose, so each of its fragments counts. */
    if (p->proto != GP_IPPROTO_ESP && (be16(ip + 6) & 0x1fff) != 0)
        return GP_PACKET_FRAGMENT;
    p->sip = ip + 12;
    p->dip = ip + 16;
    return parse_transport(ip + header, cap > header ? cap - header : 0, GP_IPPROTO_ICMP, p);
}

/* Steps over one extension header. False at a transport header, or where the chain cannot be followed. */
static inline bool next_extension(const uint8_t *ip, uint32_t cap, uint32_t *at, uint8_t *next)
{
    enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };
    if (*next != HOP_BY_HOP && *next != ROUTING && *next != FRAGMENT && *next != DESTINATION)
        return false;
    if (cap < *at + 8)
        return false;
    const uint8_t *h = ip + *at;
    if (*next == FRAGMENT && (be16(h + 2) & 0xfff8) != 0)
        return false;
    uint32_t size = *next == FRAGMENT ? 8 : ((uint32_t)h[1] + 1) * 8;
    /* Hidden behind what the snaplen kept: the packet counts under this header's number. */
    if (cap < *at + size)
        return false;
    *next = h[0];
    *at += size;
    return true;
}

static gp_parse_result parse_v6(const uint8_t *ip, uint32_t cap, gp_packet *p)
{
    if (cap < IPV6_SIZE)
        return GP_PACKET_TRUNCATED;
    uint32_t at = IPV6_SIZE;
    p->v6 = true;
    p->sip = ip + 8;
    p->dip = ip + 24;
    p->proto = ip[6];
    for (unsigned i = 0; i < MAX_EXTENSIONS && next_extension(ip, cap, &at, &p->proto); i++)
        ;
    return parse_transport(ip + at, cap - at, GP_IPPROTO_ICMPV6, p);
}

gp_parse_result gp_packet_parse(const uint8_t *ip, uint32_t cap, gp_packet *out)
{
    *out = (gp_packet){0};
    if (cap == 0)
        return GP_PACKET_TRUNCATED;
    if (ip[0] >> 4 == 4)
        return parse_v4(ip, cap, out);
    if (ip[0] >> 4 == 6)
        return parse_v6(ip, cap, out);
    return GP_PACKET_INVALID_IP;
}
