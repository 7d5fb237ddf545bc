/*
 * The fast source: a TPACKET_V3 ring shared with the kernel (packet(7),
 * Documentation/networking/packet_mmap.rst). The kernel fills blocks of packets; a full block, or one that
 * waited for BLOCK_TIMEOUT_MS, is handed to us and walked in place, then handed back. No packet is copied and
 * there is no system call per packet.
 */
#include "sensor/capture/fanout.h"
#include "sensor/capture/linklayer.h"
#include "sensor/capture/packetsocket.h"
#include "sensor/capture/source_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pcap/dlt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The link-level address follows the packet header, aligned to TPACKET_ALIGNMENT. */
enum { SLL_ALIGN = TPACKET_ALIGNMENT };
enum { SLL_OFFSET = (sizeof(struct tpacket3_hdr) + SLL_ALIGN - 1) / SLL_ALIGN * SLL_ALIGN };

/* Blocks that are not full are handed over after BLOCK_TIMEOUT_MS: the latency of the live view on a quiet
 * link. */
enum { BLOCK_TIMEOUT_MS = 100, FRAME_SIZE = 2048 };

/* How far ahead of the packet at hand memory is fetched: some fifteen packets. */
enum { AHEAD = 2048, CACHE_LINE = 64 };

typedef struct ring_source {
    gp_source base;
    gp_packet_socket socket;
    uint8_t *map;
    size_t block_size;
    unsigned n_blocks;
    unsigned current; /* the block that the kernel hands over next */
    unsigned fullest; /* blocks that were ours at a time, since it was last told */
} ring_source;

static void ring_close(gp_source *base)
{
    ring_source *s = (ring_source *)base;
    if (s->map)
        munmap(s->map, s->block_size * s->n_blocks);
    gp_packet_socket_close(&s->socket);
    free(s);
}

/* ---- walking blocks ------------------------------------------------------------------------------------ */

static inline struct tpacket_block_desc *block_at(const ring_source *s, unsigned i)
{
    return (struct tpacket_block_desc *)(void *)(s->map + (size_t)i * s->block_size);
}

static inline bool block_is_ours(const struct tpacket_block_desc *b)
{
    return __atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

/* Fills *f; false if there is no IP header within the captured bytes. */
static inline bool frame_of(const ring_source *s, const struct tpacket3_hdr *h, gp_frame *f)
{
    const uint8_t *link = (const uint8_t *)h + h->tp_mac;
    /* Without Ethernet only the kernel knows: a tunnel's packets come with the outer header when received. */
    int offset =
        s->socket.dlt == DLT_EN10MB ? gp_link_ether_ip_offset(link, h->tp_snaplen) : h->tp_net - h->tp_mac;
    if (offset < 0 || (uint32_t)offset >= h->tp_snaplen)
        return false;
    const struct sockaddr_ll *sll = (const void *)((const uint8_t *)h + SLL_OFFSET);
    /* A tag that the kernel took off is not in tp_len. It leaves the tags of sent packets in. */
    bool tag_is_counted = offset > ETH_HLEN && !(h->tp_status & TP_STATUS_VLAN_VALID);
    *f = (gp_frame){
        .ip = link + offset,
        .cap = h->tp_snaplen - (uint32_t)offset,
        .len = tag_is_counted ? h->tp_len - gp_link_uncounted(s->socket.dlt, link, h->tp_snaplen) : h->tp_len,
        .outgoing = sll->sll_pkttype == PACKET_OUTGOING,
    };
    return true;
}

static void walk_block(const ring_source *s, const struct tpacket_block_desc *b, gp_frame_sink sink,
                       void *ctx)
{
    gp_frame batch[GP_FRAME_BATCH];
    size_t n = 0;
    const uint8_t *at = (const uint8_t *)b + b->hdr.bh1.offset_to_first_pkt;
    for (uint32_t i = 0; i < b->hdr.bh1.num_pkts; i++) {
        const struct tpacket3_hdr *h = (const void *)at;
        /* Packets lie one behind the other, another processor has just written them. */
        __builtin_prefetch(at + AHEAD);
        __builtin_prefetch(at + AHEAD + CACHE_LINE);
        if (!frame_of(s, h, &batch[n]))
            batch[n] = (gp_frame){.len = h->tp_len}; /* counted as a packet without a valid IP header */
        if (++n == GP_FRAME_BATCH) {
            sink(ctx, batch, n);
            n = 0;
        }
        at += h->tp_next_offset;
    }
    if (n)
        sink(ctx, batch, n);
}

/* How many blocks wait for us. */
static unsigned waiting_blocks(const ring_source *s)
{
    unsigned n = 0;
    while (n < s->n_blocks && block_is_ours(block_at(s, (s->current + n) % s->n_blocks)))
        n++;
    return n;
}

static gp_code ring_read(gp_source *base, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx,
                         bool *end, gp_error *err)
{
    ring_source *s = (ring_source *)base;
    (void)end;
    struct tpacket_block_desc *b = block_at(s, s->current);
    if (!block_is_ours(b)) {
        gp_code code = gp_packet_socket_wait(&s->socket, wake_fd, timeout_ms, err);
        if (code != GP_OK)
            return code;
    }
    /* What came before the interface went down is of the type that it had. */
    unsigned waiting = waiting_blocks(s);
    if (s->socket.down && !waiting) {
        gp_code code = gp_packet_socket_check_link(&s->socket, err);
        if (code != GP_OK)
            return code;
    }
    if (waiting > s->fullest)
        s->fullest = waiting;
    /* At most one round, so that requests to the capture thread never wait behind a flood. */
    for (unsigned i = 0; i < s->n_blocks && block_is_ours(b); i++) {
        walk_block(s, b, sink, ctx);
        __atomic_store_n(&b->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        s->current = (s->current + 1) % s->n_blocks;
        b = block_at(s, s->current);
    }
    return GP_OK;
}

static gp_code ring_stats(gp_source *base, gp_source_counts *out, gp_error *err)
{
    ring_source *s = (ring_source *)base;
    struct tpacket_stats_v3 st = {0};
    socklen_t len = sizeof st;
    if (getsockopt(s->socket.fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) != 0)
        return gp_fail_errno(err, errno, "cannot read the packet statistics of '%s'", s->socket.iface);
    out->received = st.tp_packets; /* includes the dropped ones */
    out->dropped = st.tp_drops;
    out->fill_percent = s->fullest * UINT64_C(100) / s->n_blocks;
    s->fullest = 0;
    return GP_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static gp_code attach_filter(ring_source *s, const gp_capconfig *cfg, gp_error *err)
{
    struct sock_fprog prog = {0};
    gp_code code = gp_link_filter(s->socket.dlt, cfg, &prog, err);
    if (code != GP_OK)
        return code;
    if (setsockopt(s->socket.fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) != 0)
        code = errno == EINVAL ? gp_fail(err, GP_EINVAL,
                                         "the kernel refuses the packet filter of '%s': check "
                                         "extra_bpf_filters",
                                         s->socket.iface)
                               : gp_packet_socket_fail(s->socket.iface, errno, "packet filter", err);
    free(prog.filter);
    return code;
}

static gp_code refuse_packets(ring_source *s, gp_error *err)
{
    struct sock_filter none = {.code = BPF_RET | BPF_K};
    const struct sock_fprog prog = {.len = 1, .filter = &none};
    if (setsockopt(s->socket.fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) != 0)
        return gp_packet_socket_fail(s->socket.iface, errno, "packet filter", err);
    return GP_OK;
}

static gp_code map_ring(ring_source *s, gp_error *err)
{
    int version = TPACKET_V3;
    struct tpacket_req3 req = {
        .tp_block_size = (unsigned)s->block_size,
        .tp_block_nr = s->n_blocks,
        .tp_frame_size = FRAME_SIZE,
        .tp_frame_nr = (unsigned)(s->block_size / FRAME_SIZE) * s->n_blocks,
        .tp_retire_blk_tov = BLOCK_TIMEOUT_MS,
    };
    if (setsockopt(s->socket.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0)
        return gp_packet_socket_fail(s->socket.iface, errno, "TPACKET_V3", err);
    if (setsockopt(s->socket.fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) != 0)
        return gp_fail_errno(err, errno, "cannot set up a ring of %u blocks of %zu bytes on '%s'",
                             s->n_blocks, s->block_size, s->socket.iface);
    void *map = mmap(NULL, s->block_size * s->n_blocks, PROT_READ | PROT_WRITE, MAP_SHARED, s->socket.fd, 0);
    if (map == MAP_FAILED)
        return gp_fail_errno(err, errno, "cannot map the ring of '%s'", s->socket.iface);
    s->map = map;
    return GP_OK;
}

/* Blocks are made of pages and must hold at least one frame. */
static size_t round_block(int64_t wanted)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = wanted > 0 ? (size_t)wanted : GP_RING_BLOCK_SIZE;
    return (size + page - 1) / page * page;
}

static gp_code open_ring(gp_source **out, const char *iface, const gp_capconfig *cfg, bool shared,
                         gp_error *err)
{
    static const gp_source_ops ops = {.close = ring_close, .read = ring_read, .stats = ring_stats};
    ring_source *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for a capture");
    s->base.ops = &ops;
    s->block_size = round_block(cfg->block_size);
    s->n_blocks = cfg->num_blocks > 0 ? (unsigned)cfg->num_blocks : GP_RING_NUM_BLOCKS;
    gp_code code = gp_packet_socket_open(&s->socket, iface, cfg, err);
    if (code == GP_OK)
        code = shared ? refuse_packets(s, err) : attach_filter(s, cfg, err);
    if (code == GP_OK)
        code = map_ring(s, err);
    if (code == GP_OK)
        code = gp_packet_socket_bind(&s->socket, cfg, err);
    if (code != GP_OK) {
        ring_close(&s->base);
        return code;
    }
    *out = &s->base;
    return GP_OK;
}

gp_code gp_source_open_ring(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    return open_ring(out, iface, cfg, false, err);
}

/* ---- rings that share an interface --------------------------------------------------------------------- */

/* The first ring founds the group: the kernel finds an unused number, and runs the program for each
 * packet. */
static gp_code found_group(const ring_source *first, uint32_t odd, uint32_t *group, gp_error *err)
{
    struct sock_filter insns[GP_FANOUT_INSNS];
    struct sock_fprog prog = {.filter = insns};
    uint32_t kind = (uint32_t)(PACKET_FANOUT_CBPF | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
    socklen_t len = sizeof *group;
    prog.len = (unsigned short)gp_fanout_program(odd, insns);
    if (setsockopt(first->socket.fd, SOL_PACKET, PACKET_FANOUT, &kind, sizeof kind) != 0 ||
        setsockopt(first->socket.fd, SOL_PACKET, PACKET_FANOUT_DATA, &prog, sizeof prog) != 0 ||
        getsockopt(first->socket.fd, SOL_PACKET, PACKET_FANOUT, group, &len) != 0)
        return gp_fail_errno(err, errno, "cannot share '%s' between several rings (set num_rings to 1)",
                             first->socket.iface);
    return GP_OK;
}

static gp_code join_group(const ring_source *s, uint32_t group, gp_error *err)
{
    uint32_t number = group & 0xffff;
    uint32_t kind = number | (uint32_t)PACKET_FANOUT_CBPF << 16;
    if (setsockopt(s->socket.fd, SOL_PACKET, PACKET_FANOUT, &kind, sizeof kind) != 0)
        return gp_fail_errno(err, errno, "cannot share '%s' between several rings (set num_rings to 1)",
                             s->socket.iface);
    return GP_OK;
}

gp_code gp_source_open_rings(gp_source **out, unsigned rings, uint32_t odd, const char *iface,
                             const gp_capconfig *cfg, gp_error *err)
{
    uint32_t group = 0;
    unsigned opened = 0;
    if (rings == 1)
        return gp_source_open_ring(out, iface, cfg, err);
    gp_code code = GP_OK;
    for (; opened < rings && code == GP_OK; opened += code == GP_OK) {
        code = open_ring(&out[opened], iface, cfg, true, err);
        if (code != GP_OK)
            break;
        const ring_source *s = (const ring_source *)out[opened];
        code = opened == 0 ? found_group(s, odd, &group, err) : join_group(s, group, err);
        if (code != GP_OK)
            gp_source_close(out[opened]);
    }
    /* Before it joins, a ring would get every packet; before the last has joined, the wrong ones. */
    for (unsigned i = 0; i < rings && code == GP_OK; i++)
        code = attach_filter((ring_source *)out[i], cfg, err);
    for (unsigned i = 0; i < opened && code != GP_OK; i++)
        gp_source_close(out[i]);
    return code;
}
