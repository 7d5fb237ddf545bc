#include "sensor/capture/packet.h"

enum { IPV4_SIZE = 20, IPV6_SIZE = 40 };
enum { TCP_FLAGS_AT = 13 };

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

/* Services whose clients open a new source port for every request: keeping it would multiply the flows. No
 * branch: which ports come next cannot be predicted. */
static inline bool is_common_port(uint16_t port, bool tcp)
{
    bool both = (port == 53) | (port == 443);
    bool tcp_only = (port == 80) | (port == 445) | (port == 8080);
    return both | (tcp_only & tcp);
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
        p->sport = is_common_port(dport, tcp) ? 0 : sport;
        p->dport = is_common_port(sport, tcp) ? 0 : dport;
        return GP_PACKET_OK;
    }
    if (p->proto != icmp)
        return GP_PACKET_OK;
    if (left < 1)
        return GP_PACKET_TRUNCATED;
    p->aux = t[0];
    return GP_PACKET_OK;
}

static inline gp_parse_result parse_v4(const uint8_t *ip, uint32_t cap, gp_packet *p)
{
    if (cap < IPV4_SIZE)
        return GP_PACKET_TRUNCATED;
    p->proto = ip[9];
    /* ESP has no ports to lose, so each of its fragments counts. */
    if (p->proto != GP_IPPROTO_ESP && (be16(ip + 6) & 0x1fff) != 0)
        return GP_PACKET_FRAGMENT;
    p->sip = ip + 12;
    p->dip = ip + 16;
    return parse_transport(ip + IPV4_SIZE, cap - IPV4_SIZE, GP_IPPROTO_ICMP, p);
}

static inline gp_parse_result parse_v6(const uint8_t *ip, uint32_t cap, gp_packet *p)
{
    if (cap < IPV6_SIZE)
        return GP_PACKET_TRUNCATED;
    p->v6 = true;
    p->proto = ip[6];
    p->sip = ip + 8;
    p->dip = ip + 24;
    return parse_transport(ip + IPV6_SIZE, cap - IPV6_SIZE, GP_IPPROTO_ICMPV6, p);
}

static inline gp_parse_result parse(const uint8_t *ip, uint32_t cap, gp_packet *out)
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

gp_parse_result gp_packet_parse(const uint8_t *ip, uint32_t cap, gp_packet *out)
{
    return parse(ip, cap, out);
}

size_t gp_packets_parse(const gp_frame *frames, size_t n, gp_counted *out, uint64_t errors[GP_PARSE_ERRORS])
{
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        const gp_frame *f = &frames[i];
        gp_counted *to = &out[good];
        gp_parse_result rc = f->ip ? parse(f->ip, f->cap, &to->packet) : GP_PACKET_INVALID_IP;
        to->len = f->len;
        to->outgoing = f->outgoing;
        if (rc == GP_PACKET_OK)
            good++;
        else
            errors[rc]++;
    }
    return good;
}
