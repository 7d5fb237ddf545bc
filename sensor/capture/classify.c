/*
 * Which endpoint asked and which answered, from the first packet of a flow: the rules of goProbe v4, so
 * that the same packets give the same flows.
 */
#include "sensor/capture/packet.h"

/* Ports that systems hand out to clients: Linux 32768-60999, IANA (RFC 6335) 49152-65535. A port that
 * was left out of the key belonged to a client too. */
static inline bool is_ephemeral(uint16_t port)
{
    return port >= 32768 || port == 0;
}

static bool reply_by_ports(const gp_packet *p)
{
    bool sport_client = is_ephemeral(p->sport);
    bool dport_client = is_ephemeral(p->dport);
    if (sport_client != dport_client)
        return dport_client;
    /* Both or neither: the service has the smaller one. */
    return p->sport < p->dport;
}

static bool is_group_address(const gp_packet *p)
{
    const uint8_t *d = p->dip;
    if (p->v6)
        return d[0] == 0xff; /* RFC 4291, 2.7 */
    bool broadcast = d[0] == 0xff && d[1] == 0xff && d[2] == 0xff && d[3] == 0xff;
    bool local_group = d[0] == 0xe0 && d[1] == 0 && (d[2] == 0 || d[2] == 1);
    return broadcast || local_group;
}

static bool tcp_reply(const gp_packet *p)
{
    enum { SYN = 0x02, ACK = 0x10 };
    if (p->aux & SYN)
        return p->aux & ACK;
    return reply_by_ports(p);
}

/* Replies and error messages: the flow began at the other side. */
static bool icmp_reply(const gp_packet *p)
{
    switch (p->aux) {
    case 0:  /* echo reply */
    case 3:  /* destination unreachable */
    case 11: /* time exceeded */
    case 12: /* parameter problem */
    case 14: /* timestamp reply */
        return true;
    default:
        return false;
    }
}

static bool icmpv6_reply(const gp_packet *p)
{
    switch (p->aux) {
    case 1:   /* destination unreachable */
    case 3:   /* time exceeded */
    case 4:   /* parameter problem */
    case 129: /* echo reply */
        return !is_group_address(p);
    default:
        return false;
    }
}

bool gp_packet_is_reply(const gp_packet *p)
{
    if (p->proto == GP_IPPROTO_TCP)
        return tcp_reply(p);
    if (p->proto == GP_IPPROTO_UDP)
        return !is_group_address(p) && reply_by_ports(p);
    if (p->proto == GP_IPPROTO_ICMP && !p->v6)
        return icmp_reply(p);
    if (p->proto == GP_IPPROTO_ICMPV6 && p->v6)
        return icmpv6_reply(p);
    return false;
}
