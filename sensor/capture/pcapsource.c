/* Sources of libpcap: capture files, and live capture where there are no packet rings. */
#include "sensor/capture/linklayer.h"
#include "sensor/capture/source_impl.h"

#include <errno.h>
#include <limits.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Of live captures. libpcap retires blocks of its ring after the timeout. */
enum { SNAPLEN = 128, TIMEOUT_MS = 100 };

/* Bytes of an IP packet that are kept until its batch is full. */
enum { KEPT = 64 };
_Static_assert((int)KEPT >= (int)GP_IP_SNAPLEN, "parsing must see what it needs");

/* libpcap does not say of a packet whether it was sent or received, but lets a handle see only the ones or
 * the others: a live source has one of each. A file's handle is `ingress`. */
typedef struct pcap_source {
    gp_source base;
    pcap_t *ingress, *egress;
    gzFile gz; /* what a FILE of fopencookie reads from */
    int dlt;
    bool live;
    bool outgoing; /* of the handle that is being read */
    bool directed; /* the frames themselves state it */
    bool damaged;  /* a file: nothing can be read any more */
    char name[256];
    uint32_t seen_received, seen_dropped; /* libpcap counts from the start, modulo 2^32 */
    gp_frame_sink sink;
    void *ctx;
    size_t n; /* of the batch */
    gp_frame batch[GP_FRAME_BATCH];
    uint8_t bytes[GP_FRAME_BATCH][KEPT];
} pcap_source;

static void pcap_source_close(gp_source *base)
{
    pcap_source *s = (pcap_source *)base;
    if (s->ingress)
        pcap_close(s->ingress); /* closes its FILE, too */
    else if (s->gz)
        gzclose(s->gz);
    if (s->egress)
        pcap_close(s->egress);
    free(s);
}

static void flush_batch(pcap_source *s)
{
    if (s->n)
        s->sink(s->ctx, s->batch, s->n);
    s->n = 0;
}

/* Seconds of classic files are unsigned (draft-ietf-opsawg-pcap); libpcap reads them as signed. */
static int64_t seconds_of(const struct pcap_pkthdr *h)
{
    return h->ts.tv_sec < 0 ? (uint32_t)h->ts.tv_sec : h->ts.tv_sec;
}

/* libpcap reuses its buffer for the next packet. Copying the little that counts costs less than what many
 * packets at a time save. */
static void on_packet(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
    pcap_source *s = (pcap_source *)(void *)user;
    int offset = gp_link_ip_offset(s->dlt, bytes, h->caplen);
    if (offset < 0)
        return; /* ARP and the like: the ring's filter would not have let it through */
    uint32_t uncounted = gp_link_uncounted(s->dlt, bytes, h->caplen);
    gp_frame *f = &s->batch[s->n];
    *f = (gp_frame){
        .len = h->len > uncounted ? h->len - uncounted : 0,
        .ts = seconds_of(h),
        .outgoing = s->outgoing || (s->directed && gp_link_was_sent(s->dlt, bytes, h->caplen)),
    };
    if ((uint32_t)offset < h->caplen) {
        uint32_t left = h->caplen - (uint32_t)offset;
        f->ip = s->bytes[s->n];
        f->cap = left < KEPT ? left : KEPT;
        memcpy(s->bytes[s->n], bytes + offset, f->cap);
    }
    if (++s->n == GP_FRAME_BATCH)
        flush_batch(s);
}

static gp_code damaged_file(pcap_source *s, gp_error *err)
{
    s->damaged = true;
    return gp_fail(err, GP_ECORRUPT, "'%s': %s", s->name, pcap_geterr(s->ingress));
}

static gp_code dispatch(pcap_source *s, pcap_t *handle, int *n, gp_error *err)
{
    enum { CHUNK = 4096 };
    s->outgoing = handle == s->egress;
    *n = s->damaged ? PCAP_ERROR : pcap_dispatch(handle, CHUNK, on_packet, (u_char *)s);
    flush_batch(s); /* also what came before a damaged end */
    if (*n >= 0)
        return GP_OK;
    if (!s->live)
        return damaged_file(s, err);
    bool gone = *n == PCAP_ERROR_IFACE_NOT_UP || strstr(pcap_geterr(handle), "disappeared") ||
                strstr(pcap_geterr(handle), "went down");
    return gp_fail(err, gone ? GP_ENOTFOUND : GP_EIO, "capture on '%s' ended: %s", s->name,
                   pcap_geterr(handle));
}

static gp_code file_read(gp_source *base, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx,
                         bool *end, gp_error *err)
{
    pcap_source *s = (pcap_source *)base;
    int n = 0;
    (void)wake_fd;
    (void)timeout_ms;
    s->sink = sink;
    s->ctx = ctx;
    gp_code code = dispatch(s, s->ingress, &n, err);
    *end = n == 0;
    return code;
}

static gp_code live_read(gp_source *base, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx,
                         bool *end, gp_error *err)
{
    pcap_source *s = (pcap_source *)base;
    int n = 0;
    (void)end;
    s->sink = sink;
    s->ctx = ctx;
    /* poll() passes over negative descriptors. */
    struct pollfd fds[3] = {{.fd = pcap_get_selectable_fd(s->ingress), .events = POLLIN},
                            {.fd = pcap_get_selectable_fd(s->egress), .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    if (poll(fds, 3, timeout_ms) < 0 && errno != EINTR)
        return gp_fail_errno(err, errno, "waiting for packets on '%s' failed", s->name);
    gp_code code = dispatch(s, s->ingress, &n, err);
    return code == GP_OK ? dispatch(s, s->egress, &n, err) : code;
}

static gp_code file_stats(gp_source *base, gp_source_counts *out, gp_error *err)
{
    (void)base;
    (void)out;
    (void)err;
    return GP_OK;
}

/* Each handle sees every packet and passes over half of them, so one's statistics tell it all. */
static gp_code live_stats(gp_source *base, gp_source_counts *out, gp_error *err)
{
    pcap_source *s = (pcap_source *)base;
    struct pcap_stat st = {0};
    if (pcap_stats(s->ingress, &st) != 0)
        return gp_fail(err, GP_EIO, "cannot read the packet statistics of '%s': %s", s->name,
                       pcap_geterr(s->ingress));
    out->received = st.ps_recv - s->seen_received;
    out->dropped = st.ps_drop - s->seen_dropped;
    s->seen_received = st.ps_recv;
    s->seen_dropped = st.ps_drop;
    return GP_OK;
}

static pcap_source *new_source(const char *name, bool live, gp_error *err)
{
    static const gp_source_ops live_ops = {
        .close = pcap_source_close, .read = live_read, .stats = live_stats};
    static const gp_source_ops file_ops = {
        .close = pcap_source_close, .read = file_read, .stats = file_stats};
    pcap_source *s = calloc(1, sizeof *s);
    if (!s) {
        gp_fail(err, GP_ENOMEM, "out of memory for a capture");
        return NULL;
    }
    s->base.ops = live ? &live_ops : &file_ops;
    s->live = live;
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static gp_code check_link(pcap_source *s, gp_error *err)
{
    s->dlt = pcap_datalink(s->ingress);
    s->directed = gp_link_states_direction(s->dlt);
    if (gp_link_supported(s->dlt))
        return GP_OK;
    const char *name = pcap_datalink_val_to_name(s->dlt);
    return gp_fail(err, GP_EUNSUPPORTED, "'%s' has link type %s (%d), which carries no IP that we can read",
                   s->name, name ? name : "unknown", s->dlt);
}

static gp_code finish(pcap_source *s, gp_code code, gp_source **out)
{
    if (code == GP_OK)
        *out = &s->base;
    else
        pcap_source_close(&s->base);
    return code;
}

/* ---- capture files ------------------------------------------------------------------------------------- */

static ssize_t gz_read(void *cookie, char *buf, size_t size)
{
    return gzread(cookie, buf, (unsigned)(size > 1u << 30 ? 1u << 30 : size));
}

static int gz_close(void *cookie)
{
    return gzclose(cookie) == Z_OK ? 0 : EOF;
}

/* zlib reads plain files as they are, so every file goes through it. */
static gp_code open_gz(pcap_source *s, const char *path, FILE **f, gp_error *err)
{
    s->gz = strcmp(path, "-") == 0 ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path, "rb");
    if (!s->gz)
        return gp_fail_errno(err, errno ? errno : ENOMEM, "cannot open capture file '%s'", path);
    gzbuffer(s->gz, 1 << 20);
    *f = fopencookie(s->gz, "rb", (cookie_io_functions_t){.read = gz_read, .close = gz_close});
    if (!*f)
        return gp_fail_errno(err, errno, "cannot read capture file '%s'", path);
    setvbuf(*f, NULL, _IOFBF, 1 << 20);
    return GP_OK;
}

gp_code gp_source_open_file(gp_source **out, const char *path, gp_error *err)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    FILE *f = NULL;
    pcap_source *s = new_source(path, false, err);
    if (!s)
        return GP_ENOMEM;
    gp_code code = open_gz(s, path, &f, err);
    if (code == GP_OK) {
        s->ingress = pcap_fopen_offline(f, why);
        if (!s->ingress) {
            (void)fclose(f);
            s->gz = NULL;
            code = gp_fail(err, GP_ECORRUPT, "'%s' is no capture file: %s", path, why);
        }
    }
    if (code == GP_OK)
        code = check_link(s, err);
    return finish(s, code, out);
}

/* The first packets stay in the batch, which is not full yet, until the file is read. */
gp_code gp_source_peek(gp_source *file, gp_source_preview *out, gp_error *err)
{
    enum { MOST = GP_FRAME_BATCH - 1 };
    pcap_source *s = (pcap_source *)file;
    int n = 1;
    while (n > 0 && s->n < MOST && !s->damaged)
        n = pcap_dispatch(s->ingress, (int)(MOST - s->n), on_packet, (u_char *)s);
    *out = (gp_source_preview){.frames = s->batch, .n = s->n, .directed = s->directed};
    if (n >= 0)
        return GP_OK;
    gp_code code = damaged_file(s, s->n ? NULL : err);
    return s->n ? GP_OK : code;
}

/* ---- live ---------------------------------------------------------------------------------------------- */

static gp_code activate(pcap_source *s, pcap_t *p, const gp_capconfig *cfg, gp_error *err)
{
    int64_t buffer = cfg->block_size * cfg->num_blocks;
    pcap_set_snaplen(p, SNAPLEN);
    pcap_set_promisc(p, cfg->promisc);
    pcap_set_timeout(p, TIMEOUT_MS);
    if (buffer > 0 && buffer <= INT_MAX)
        pcap_set_buffer_size(p, (int)buffer);
    int rc = pcap_activate(p);
    if (rc == PCAP_ERROR_PERM_DENIED || rc == PCAP_ERROR_PROMISC_PERM_DENIED)
        return gp_fail(err, GP_EPERM, "no permission to capture on '%s': run as root or grant CAP_NET_RAW",
                       s->name);
    if (rc == PCAP_ERROR_NO_SUCH_DEVICE)
        return gp_fail(err, GP_ENOTFOUND, "no such interface: '%s'", s->name);
    if (rc == PCAP_ERROR_IFACE_NOT_UP)
        return gp_fail(err, GP_ENOTFOUND, "interface '%s' is not up; bring it up with: ip link set %s up",
                       s->name, s->name);
    if (rc < 0)
        return gp_fail(err, GP_EIO, "cannot capture on '%s': %s", s->name, pcap_geterr(p));
    return GP_OK;
}

static gp_code set_filter(pcap_source *s, pcap_t *p, const gp_capconfig *cfg, gp_error *err)
{
    struct sock_fprog prog = {0};
    if (cfg->n_extra_bpf && s->dlt != DLT_EN10MB && s->dlt != DLT_RAW)
        return gp_fail(
            err, GP_EUNSUPPORTED,
            "libpcap puts a header of its own before the packets of '%s': extra_bpf_filters do not "
            "fit there",
            s->name);
    gp_code code = gp_link_filter(s->dlt, cfg, &prog, err);
    if (code != GP_OK)
        return code;
    /* Both are the classic BPF of 1992: the structures differ in name only. */
    _Static_assert(sizeof(struct sock_filter) == sizeof(struct bpf_insn), "one instruction format");
    struct bpf_program bpf = {.bf_len = prog.len, .bf_insns = (struct bpf_insn *)(void *)prog.filter};
    if (pcap_setfilter(p, &bpf) != 0)
        code = gp_fail(err, GP_EINVAL, "cannot set the packet filter of '%s' (check extra_bpf_filters): %s",
                       s->name, pcap_geterr(p));
    free(prog.filter);
    return code;
}

static gp_code open_handle(pcap_source *s, pcap_t **handle, pcap_direction_t direction,
                           const gp_capconfig *cfg, gp_error *err)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    *handle = pcap_create(s->name, why);
    if (!*handle)
        return gp_fail(err, GP_EIO, "cannot capture on '%s': %s", s->name, why);
    gp_code code = activate(s, *handle, cfg, err);
    if (code == GP_OK)
        code = check_link(s, err);
    if (code == GP_OK)
        code = set_filter(s, *handle, cfg, err);
    if (code == GP_OK && pcap_setdirection(*handle, direction) != 0)
        code = gp_fail(err, GP_EUNSUPPORTED, "cannot tell sent from received packets on '%s': %s", s->name,
                       pcap_geterr(*handle));
    if (code == GP_OK && pcap_setnonblock(*handle, 1, why) != 0)
        code = gp_fail(err, GP_EIO, "cannot capture on '%s': %s", s->name, why);
    return code;
}

gp_code gp_source_open_pcap(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    pcap_source *s = new_source(iface, true, err);
    if (!s)
        return GP_ENOMEM;
    gp_code code = open_handle(s, &s->ingress, PCAP_D_IN, cfg, err);
    if (code == GP_OK)
        code = open_handle(s, &s->egress, PCAP_D_OUT, cfg, err);
    return finish(s, code, out);
}
