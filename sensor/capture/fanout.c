#include "sensor/capture/fanout.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>

/* The network header, wherever the link layer puts it. */
#define NET(at) ((uint32_t)SKF_NET_OFF + (at))

enum { IPV4_SIP = 12, IPV4_DIP = 16, IPV6_SIP = 8, ADDRESSES_WORDS = 8, TAG = 4, MAX_TAGS = 2 };

typedef struct program {
    struct sock_filter *insns;
    unsigned n;
} program;

static void put(program *p, unsigned code, uint32_t k)
{
    p->insns[p->n++] = (struct sock_filter){(uint16_t)code, 0, 0, k};
}

/* Where A is k, what is put next; otherwise on behind it. Returns what if_end needs. */
static unsigned if_begin(program *p, uint32_t k)
{
    put(p, BPF_JMP | BPF_JEQ | BPF_K, k);
    return p->n;
}

static void if_end(program *p, unsigned begin)
{
    p->insns[begin - 1].jf = (uint8_t)(p->n - begin);
}

/* A = A ^ the word at `at`. */
static void put_xor_word(program *p, uint32_t at)
{
    put(p, BPF_MISC | BPF_TAX, 0);
    put(p, BPF_LD | BPF_W | BPF_ABS, at);
    put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* A = (A * odd) >> 16, which is returned: the kernel takes the remainder. */
static void put_verdict(program *p, uint32_t odd)
{
    put(p, BPF_ALU | BPF_MUL | BPF_K, odd);
    put(p, BPF_ALU | BPF_RSH | BPF_K, 16);
    put(p, BPF_RET | BPF_A, 0);
}

static void put_ipv4(program *p, uint32_t base, uint32_t odd)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, NET(base + IPV4_SIP));
    put_xor_word(p, NET(base + IPV4_DIP));
    put_verdict(p, odd);
}

static void put_ipv6(program *p, uint32_t base, uint32_t odd)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, NET(base + IPV6_SIP));
    for (uint32_t i = 1; i < ADDRESSES_WORDS; i++)
        put_xor_word(p, NET(base + IPV6_SIP + 4 * i));
    put_verdict(p, odd);
}

/* IP begins `base` behind the network header; A holds what tells IPv4 from IPv6. */
static void put_ip(program *p, uint32_t base, uint32_t is_ipv4, uint32_t is_ipv6, uint32_t odd)
{
    unsigned begin = if_begin(p, is_ipv4);
    put_ipv4(p, base, odd);
    if_end(p, begin);
    begin = if_begin(p, is_ipv6);
    put_ipv6(p, base, odd);
    if_end(p, begin);
}

unsigned gp_fanout_program(uint32_t odd, struct sock_filter insns[GP_FANOUT_INSNS])
{
    program p = {.insns = insns};
    put(&p, BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
    unsigned sent = if_begin(&p, PACKET_OUTGOING);
    put(&p, BPF_LD | BPF_B | BPF_ABS, NET(0));
    put(&p, BPF_ALU | BPF_RSH | BPF_K, 4);
    put_ip(&p, 0, 4, 6, odd);
    put(&p, BPF_RET | BPF_K, 0);
    if_end(&p, sent);
    put(&p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
    for (uint32_t tags = 0; tags <= MAX_TAGS; tags++) {
        put_ip(&p, tags * TAG, ETH_P_IP, ETH_P_IPV6, odd);
        /* Anything else is a tag, or its ethertype does not matter. */
        if (tags < MAX_TAGS)
            put(&p, BPF_LD | BPF_H | BPF_ABS, NET(tags * TAG + 2));
    }
    put(&p, BPF_RET | BPF_K, 0);
    return p.n;
}

static uint32_t word_at(const gp_addr *a, unsigned at)
{
    const uint8_t *b = a->bytes + at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

unsigned gp_fanout_ring(uint32_t odd, const gp_addr *a, const gp_addr *b, unsigned rings)
{
    uint32_t x = 0;
    for (unsigned at = 0; at < a->len; at += 4)
        x ^= word_at(a, at) ^ word_at(b, at);
    return (x * odd >> 16) % rings;
}
