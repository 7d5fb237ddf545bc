#include "tests/support/mixed_capture.h"

#include "tests/support/packets.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

enum { ETH = 14, T0 = 1700000000, TCP = 6, UDP = 17 };

/* xorshift64* (Vigna): the same numbers on every machine. */
typedef struct rng {
    uint64_t state;
} rng;

static uint32_t pick(rng *r, uint32_t n)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * UINT64_C(2685821657736338717)) >> 33) % n;
}

typedef struct frame {
    uint8_t bytes[2 * GP_TEST_FRAME_MAX];
    size_t len;
} frame;

static void insert(frame *f, size_t at, const void *bytes, size_t n)
{
    memmove(f->bytes + at + n, f->bytes + at, f->len - at);
    memcpy(f->bytes + at, bytes, n);
    f->len += n;
}

static uint16_t pick_port(rng *r)
{
    static const uint16_t services[] = {22, 53, 80, 443, 445, 5353, 8080, 9000, 32768, 65535};
    uint32_t n = sizeof services / sizeof services[0];
    return pick(r, 2) ? services[pick(r, n)] : (uint16_t)(30000 + pick(r, 12) * 700);
}

static uint8_t pick_flags(rng *r, uint8_t proto)
{
    static const uint8_t tcp[] = {0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x00};
    static const uint8_t icmp[] = {0, 3, 5, 8, 11, 12, 13, 14};
    static const uint8_t icmp6[] = {1, 3, 4, 128, 129, 135, 143};
    switch (proto) {
    case TCP:
        return tcp[pick(r, sizeof tcp)];
    case 1:
        return icmp[pick(r, sizeof icmp)];
    case 58:
        return icmp6[pick(r, sizeof icmp6)];
    default:
        return 0;
    }
}

static void pick_address(rng *r, bool v6, bool group, char *dst, size_t size)
{
    static const char *const groups[] = {"224.0.0.251", "255.255.255.255", "239.1.2.3"};
    if (group)
        snprintf(dst, size, "%s", v6 ? "ff02::fb" : groups[pick(r, 3)]);
    else if (v6)
        snprintf(dst, size, "2001:db8::%x", 1 + pick(r, 5));
    else {
        uint32_t host = 1 + pick(r, 6);
        snprintf(dst, size, "10.0.%u.%u", pick(r, 2), host);
    }
}

static void put_packet(rng *r, frame *f)
{
    static const uint8_t v4[] = {TCP, TCP, TCP, UDP, UDP, 1, 50, 47, 58};
    static const uint8_t v6[] = {TCP, TCP, TCP, UDP, UDP, 58, 50, 47, 1};
    char sip[48];
    char dip[48];
    bool six = pick(r, 3) == 0;
    uint8_t proto = (six ? v6 : v4)[pick(r, sizeof v4)];
    pick_address(r, six, false, sip, sizeof sip);
    pick_address(r, six, proto != TCP && pick(r, 8) == 0, dip, sizeof dip);
    gp_test_packet p = {.sip = sip, .dip = dip, .proto = proto};
    p.sport = pick_port(r); /* in this order with every compiler */
    p.dport = pick_port(r);
    p.flags = pick_flags(r, proto);
    f->len = gp_test_frame(&p, f->bytes);
}

/* What makes parsing hard. */
static void spoil(rng *r, frame *f)
{
    static const uint8_t options[] = {0x94, 0x04, 0, 0};
    static const uint8_t extension[] = {TCP, 0, 1, 4, 0, 0, 0, 0};
    static const uint8_t tag[] = {0x81, 0x00, 0x40, 0x05};
    bool six = f->bytes[12] == 0x86;
    switch (pick(r, 24)) {
    case 0: /* a later fragment */
        f->bytes[ETH + (six ? 6 : 7)] = six ? 44 : 0x10;
        break;
    case 1: /* the first fragment of several */
        f->bytes[ETH + 6] = six ? f->bytes[ETH + 6] : 0x20;
        break;
    case 2:
        if (six) {
            f->bytes[ETH + 6] = 60;
            insert(f, ETH + 40, extension, sizeof extension);
        } else {
            f->bytes[ETH] = 0x46;
            insert(f, ETH + 20, options, sizeof options);
        }
        break;
    case 3:
        f->len = ETH + (six ? 40u : 20u) + pick(r, 14);
        break;
    case 4: /* neither IPv4 nor IPv6 inside */
        f->bytes[ETH] = 0x50;
        break;
    case 5: /* ARP */
        f->bytes[12] = 0x08;
        f->bytes[13] = 0x06;
        break;
    case 6:
    case 7:
        insert(f, 12, tag, sizeof tag);
        break;
    default:
        break;
    }
}

bool gp_test_mixed_capture(const char *path)
{
    rng r = {UINT64_C(0x9e3779b97f4a7c15)};
    int64_t ts = T0;
    pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t *dumper = pcap ? pcap_dump_open(pcap, path) : NULL;
    for (unsigned i = 0; dumper && i < GP_MIXED_PACKETS; i++) {
        frame f;
        put_packet(&r, &f);
        spoil(&r, &f);
        ts += pick(&r, 4) == 0;
        ts += i == GP_MIXED_PACKETS / 2 ? 700 : 0;
        struct pcap_pkthdr h = {.ts.tv_sec = ts, .caplen = (bpf_u_int32)f.len};
        h.len = h.caplen + pick(&r, 1400);
        pcap_dump((u_char *)dumper, &h, f.bytes);
    }
    bool ok = dumper && pcap_dump_flush(dumper) == 0;
    if (dumper)
        pcap_dump_close(dumper);
    if (pcap)
        pcap_close(pcap);
    return ok;
}
