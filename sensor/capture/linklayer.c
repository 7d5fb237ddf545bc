#include "sensor/capture/linklayer.h"

#include "sensor/capture/packet.h"

#include <linux/if_arp.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

enum { ETH_IPV4 = 0x0800, ETH_IPV6 = 0x86dd, ETH_VLAN = 0x8100, ETH_QINQ = 0x88a8, ETH_PPPOE = 0x8864 };
enum { PPP_IPV4 = 0x21, PPP_IPV6 = 0x57, MAX_TAGS = 2 };
enum { ETHERNET = 14, TAG = 4 };

/* Enough of every frame: the longest header before IP is that of an IPv6 tunnel with all GRE options. */
enum { MAX_SNAPLEN = 40 + 16 + GP_IP_SNAPLEN };

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

/* A PPPoE session packet with IP inside: goProbe v4 lets it through and counts it as one without valid IP
 * header, so its offset is that of the PPPoE header, which no parser takes for IP (RFC 2516: the first byte
 * is 0x11). */
static int at_pppoe(const uint8_t *f, uint32_t cap, uint32_t at)
{
    uint16_t ppp = cap >= at + 8 ? be16(f + at + 6) : 0;
    return ppp == PPP_IPV4 || ppp == PPP_IPV6 ? (int)at : -1;
}

/* From the ethertype field at `at` on: tags are stepped over. */
static int behind_ethertype(const uint8_t *f, uint32_t cap, uint32_t at)
{
    for (unsigned tags = 0; tags <= MAX_TAGS && cap >= at + 2; tags++) {
        uint16_t type = be16(f + at);
        at += 2;
        if (type == ETH_IPV4 || type == ETH_IPV6)
            return (int)at;
        if (type == ETH_PPPOE)
            return at_pppoe(f, cap, at);
        if (type != ETH_VLAN && type != ETH_QINQ)
            return -1;
        at += 2;
    }
    return -1;
}

/* BSD loopback: an address family in the byte order of the host that wrote it (or big-endian, DLT_LOOP). */
static int behind_family(const uint8_t *f, uint32_t cap)
{
    if (cap < 5)
        return -1;
    unsigned version = f[4] >> 4;
    return version == 4 || version == 6 ? 4 : -1;
}

static int behind_ppp(const uint8_t *f, uint32_t cap)
{
    uint32_t at = cap >= 2 && f[0] == 0xff && f[1] == 0x03 ? 2 : 0; /* HDLC address and control */
    uint16_t type = cap >= at + 2 ? be16(f + at) : 0;
    return type == PPP_IPV4 || type == PPP_IPV6 ? (int)at + 2 : -1;
}

int gp_link_tagged_ip_offset(const uint8_t *f, uint32_t cap)
{
    return behind_ethertype(f, cap, 12);
}

int gp_link_ip_offset(int dlt, const uint8_t *f, uint32_t cap)
{
    switch (dlt) {
    case DLT_EN10MB:
        return gp_link_ether_ip_offset(f, cap);
    case DLT_LINUX_SLL:
        return behind_ethertype(f, cap, 14);
    case DLT_LINUX_SLL2:
        return cap >= 20 && (be16(f) == ETH_IPV4 || be16(f) == ETH_IPV6) ? 20 : -1;
    case DLT_NULL:
    case DLT_LOOP:
        return behind_family(f, cap);
    case DLT_PPP:
    case DLT_PPP_SERIAL:
        return behind_ppp(f, cap);
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        return 0;
    default:
        return -1;
    }
}

bool gp_link_supported(int dlt)
{
    switch (dlt) {
    case DLT_EN10MB:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2:
    case DLT_NULL:
    case DLT_LOOP:
    case DLT_PPP:
    case DLT_PPP_SERIAL:
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        return true;
    default:
        return false;
    }
}

bool gp_link_states_direction(int dlt)
{
    return dlt == DLT_LINUX_SLL || dlt == DLT_LINUX_SLL2;
}

bool gp_link_was_sent(int dlt, const uint8_t *f, uint32_t cap)
{
    enum { OUTGOING = 4, SLL2_TYPE = 10 };
    if (dlt == DLT_LINUX_SLL)
        return cap >= 2 && be16(f) == OUTGOING;
    return cap > SLL2_TYPE && f[SLL2_TYPE] == OUTGOING;
}

int gp_link_dlt_of(int arphrd)
{
    switch (arphrd) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
        return DLT_EN10MB;
    case ARPHRD_PPP:
    case ARPHRD_SLIP:
    case ARPHRD_CSLIP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_IP6GRE:
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
        return DLT_RAW;
    default:
        return -1;
    }
}

uint32_t gp_link_uncounted(int dlt, const uint8_t *f, uint32_t cap)
{
    bool tagged = dlt == DLT_EN10MB && cap >= 14 && (be16(f + 12) == ETH_VLAN || be16(f + 12) == ETH_QINQ);
    return tagged ? 4 : 0;
}

/* ---- filters ------------------------------------------------------------------------------------------- */

/* Comparisons of bytes, since the words "vlan" and "pppoes" of libpcap shift all that is written behind
 * them. */
#define IP_AT(type)       "(ether[" type ":2] = 0x0800 or ether[" type ":2] = 0x86dd)"
#define PPPOE_AT(type, p) "(ether[" type ":2] = 0x8864 and (ether[" p ":2] = 0x21 or ether[" p ":2] = 0x57))"
#define TAG_AT(type)      "(ether[" type ":2] = 0x8100 or ether[" type ":2] = 0x88a8)"
#define UNTAGGED          IP_AT("12") " or " PPPOE_AT("12", "20")
#define TAGGED                                                                                               \
    "(" TAG_AT("12") " and (" IP_AT("16") " or " PPPOE_AT("16", "24") " or (" TAG_AT("16") " and " IP_AT(    \
        "20") ")))"
#define RAW_IP "ip or ip6"

const char *gp_link_filter_text(int dlt, bool ignore_vlans)
{
    if (dlt == DLT_EN10MB)
        return ignore_vlans ? UNTAGGED : UNTAGGED " or " TAGGED;
    return dlt == DLT_RAW ? RAW_IP : "";
}

static gp_code compile(int dlt, bool ignore_vlans, struct bpf_program *bpf, gp_error *err)
{
    pcap_t *p = pcap_open_dead(dlt, MAX_SNAPLEN);
    if (!p)
        return gp_fail(err, GP_ENOMEM, "out of memory for a packet filter");
    gp_code code = GP_OK;
    if (pcap_compile(p, bpf, gp_link_filter_text(dlt, ignore_vlans), 1, PCAP_NETMASK_UNKNOWN) != 0)
        code = gp_fail(err, GP_EINTERNAL, "cannot compile the packet filter: %s", pcap_geterr(p));
    pcap_close(p);
    return code;
}

/* A program under construction. */
typedef struct filter_program {
    struct sock_filter *insns;
    size_t n;
} filter_program;

static void put(filter_program *p, unsigned code, uint32_t k)
{
    p->insns[p->n++] = (struct sock_filter){(uint16_t)code, 0, 0, k};
}

/* Drops what carried a tag. */
static void put_no_tag_removed(filter_program *p)
{
    put(p, BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT));
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0);
    p->insns[p->n - 1].jt = 1;
    put(p, BPF_RET | BPF_K, 0);
}

/* What libpcap compiled; where that accepts a frame, it goes on behind itself. */
static void put_compiled(filter_program *p, const struct bpf_program *bpf)
{
    for (unsigned i = 0; i < bpf->bf_len; i++) {
        const struct bpf_insn *x = &bpf->bf_insns[i];
        bool accepts = x->code == (BPF_RET | BPF_K) && x->k != 0;
        if (accepts)
            put(p, BPF_JMP | BPF_JA, bpf->bf_len - i - 1);
        else
            p->insns[p->n++] = (struct sock_filter){x->code, x->jt, x->jf, x->k};
    }
}

/* As in goProbe v4, the accumulator holds the type of the frame when the extra instructions begin. */
static void put_extra(filter_program *p, int dlt, const gp_capconfig *cfg)
{
    if (dlt == DLT_EN10MB) {
        put(p, BPF_LD | BPF_H | BPF_ABS, 12);
    } else {
        put(p, BPF_LD | BPF_B | BPF_ABS, 0);
        put(p, BPF_ALU | BPF_AND | BPF_K, 0xf0);
    }
    for (size_t i = 0; i < cfg->n_extra_bpf; i++) {
        const gp_bpf_insn *x = &cfg->extra_bpf[i];
        p->insns[p->n++] = (struct sock_filter){x->op, x->jt, x->jf, x->k};
    }
    put(p, BPF_RET | BPF_K, MAX_SNAPLEN);
    put(p, BPF_RET | BPF_K, 0);
}

/* The shortest for each kind of Ethernet frame. */
static void put_snaplen(filter_program *p, int dlt)
{
    if (dlt == DLT_EN10MB) {
        put(p, BPF_LD | BPF_H | BPF_ABS, 12);
        put(p, BPF_JMP | BPF_JEQ | BPF_K, ETH_IPV4);
        p->insns[p->n - 1].jf = 1;
        put(p, BPF_RET | BPF_K, ETHERNET + GP_IPV4_SNAPLEN);
        put(p, BPF_RET | BPF_K, ETHERNET + MAX_TAGS * TAG + GP_IP_SNAPLEN);
    } else {
        put(p, BPF_RET | BPF_K, MAX_SNAPLEN);
    }
}

gp_code gp_link_filter(int dlt, const gp_capconfig *cfg, struct sock_fprog *prog, gp_error *err)
{
    enum { OWN_INSNS = 3 + 4 };
    struct bpf_program bpf = {0};
    gp_code code = compile(dlt, cfg->ignore_vlans, &bpf, err);
    if (code != GP_OK)
        return code;
    size_t room = OWN_INSNS + bpf.bf_len + cfg->n_extra_bpf;
    filter_program p = {.insns = room <= BPF_MAXINSNS ? calloc(room, sizeof *p.insns) : NULL};
    if (!p.insns) {
        pcap_freecode(&bpf);
        return gp_fail(err, GP_ELIMIT, "a packet filter of %zu instructions is too long (at most %d)", room,
                       BPF_MAXINSNS);
    }
    if (cfg->ignore_vlans)
        put_no_tag_removed(&p);
    put_compiled(&p, &bpf);
    if (cfg->n_extra_bpf)
        put_extra(&p, dlt, cfg);
    else
        put_snaplen(&p, dlt);
    pcap_freecode(&bpf);
    *prog = (struct sock_fprog){.len = (unsigned short)p.n, .filter = p.insns};
    return GP_OK;
}
