#include "sensor/capture/linklayer.h"

#include <linux/if_arp.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

enum { ETH_IPV4 = 0x0800, ETH_IPV6 = 0x86dd, ETH_VLAN = 0x8100, ETH_QINQ = 0x88a8, ETH_PPPOE = 0x8864 };
enum { PPP_IPV4 = 0x21, PPP_IPV6 = 0x57, MAX_TAGS = 4 };

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

/* From the ethertype field at `at` on: tags and PPPoE are stepped over. */
static int behind_ethertype(const uint8_t *f, uint32_t cap, uint32_t at)
{
    for (unsigned tags = 0; tags <= MAX_TAGS && cap >= at + 2; tags++) {
        uint16_t type = be16(f + at);
        if (type == ETH_IPV4 || type == ETH_IPV6)
            return (int)at + 2;
        if (type == ETH_PPPOE) {
            uint16_t ppp = cap >= at + 10 ? be16(f + at + 8) : 0;
            return ppp == PPP_IPV4 || ppp == PPP_IPV6 ? (int)at + 10 : -1;
        }
        if (type != ETH_VLAN && type != ETH_QINQ)
            return -1;
        at += 4;
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

int gp_link_ip_offset(int dlt, const uint8_t *f, uint32_t cap)
{
    switch (dlt) {
    case DLT_EN10MB:
        return behind_ethertype(f, cap, 12);
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

int gp_link_dlt_of(int arphrd)
{
    switch (arphrd) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
        return DLT_EN10MB;
    case ARPHRD_PPP:
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

/* Jumps count instructions and reach 255 far; our prefix is short enough for any extra filter of the
 * reference. */
enum { VLAN_PREFIX = 3 };

static gp_code compile(int dlt, uint32_t snaplen, struct bpf_program *bpf, gp_error *err)
{
    /* What the kernel strips off a tagged frame is no longer in its bytes, so tags need no expression. */
    const char *text =
        dlt == DLT_EN10MB ? "ip or ip6 or (vlan and (ip or ip6)) or (pppoes and (ip or ip6))" : "";
    pcap_t *p = pcap_open_dead(dlt, (int)snaplen);
    if (!p)
        return gp_fail(err, GP_ENOMEM, "out of memory for a packet filter");
    gp_code code = GP_OK;
    if (pcap_compile(p, bpf, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
        code = gp_fail(err, GP_EINTERNAL, "cannot compile the packet filter: %s", pcap_geterr(p));
    pcap_close(p);
    return code;
}

gp_code gp_link_filter(int dlt, const gp_capconfig *cfg, uint32_t snaplen, struct sock_fprog *prog,
                       gp_error *err)
{
    struct bpf_program bpf = {0};
    gp_code code = compile(dlt, snaplen, &bpf, err);
    if (code != GP_OK)
        return code;
    size_t prefix = (cfg->ignore_vlans ? VLAN_PREFIX : 0) + cfg->n_extra_bpf;
    size_t n = prefix + bpf.bf_len;
    struct sock_filter *f = n <= BPF_MAXINSNS ? calloc(n, sizeof *f) : NULL;
    if (!f) {
        pcap_freecode(&bpf);
        return gp_fail(err, GP_ELIMIT, "a packet filter of %zu instructions is too long (at most %d)", n,
                       BPF_MAXINSNS);
    }
    size_t at = 0;
    if (cfg->ignore_vlans) { /* drop what carries a tag, also one that the network card took off */
        f[at++] = (struct sock_filter){BPF_LD | BPF_B | BPF_ABS, 0, 0,
                                       (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)};
        f[at++] = (struct sock_filter){BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0};
        f[at++] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, 0};
    }
    for (size_t i = 0; i < cfg->n_extra_bpf; i++) {
        const gp_bpf_insn *x = &cfg->extra_bpf[i];
        f[at++] = (struct sock_filter){x->op, x->jt, x->jf, x->k};
    }
    for (unsigned i = 0; i < bpf.bf_len; i++) {
        const struct bpf_insn *x = &bpf.bf_insns[i];
        f[at++] = (struct sock_filter){x->code, x->jt, x->jf, x->k};
    }
    pcap_freecode(&bpf);
    *prog = (struct sock_fprog){.len = (unsigned short)n, .filter = f};
    return GP_OK;
}
