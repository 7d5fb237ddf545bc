/* Sources of libpcap: capture files, and live capture where there are no packet rings. */
#include "sensor/capture/linklayer.h"
#include "sensor/capture/source_impl.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

typedef struct pcap_source {
    gp_source base;
    pcap_t *pcap;
    gzFile gz; /* what a FILE of fopencookie reads from */
    int dlt;
    bool live;
    char name[256];
    uint64_t seen_received, seen_dropped; /* libpcap counts from the start */
    gp_frame batch[GP_FRAME_BATCH];
    size_t n;
    gp_frame_sink sink;
    void *ctx;
} pcap_source;

static void pcap_source_close(gp_source *base)
{
    pcap_source *s = (pcap_source *)base;
    if (s->pcap)
        pcap_close(s->pcap); /* closes its FILE, too */
    else if (s->gz)
        gzclose(s->gz);
    free(s);
}

static void flush(pcap_source *s)
{
    if (s->n)
        s->sink(s->ctx, s->batch, s->n);
    s->n = 0;
}

/* libpcap reuses its buffer for the next packet, so each is handed over before the next is read. */
static void on_packet(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
    pcap_source *s = (pcap_source *)(void *)user;
    int offset = gp_link_ip_offset(s->dlt, bytes, h->caplen);
    gp_frame *f = &s->batch[s->n++];
    if (offset < 0 && s->dlt == DLT_EN10MB) {
        s->n--; /* ARP and the like: a live capture's filter would not have let it through */
        return;
    }
    *f = (gp_frame){.len = h->len, .ts = h->ts.tv_sec};
    if (offset >= 0 && (uint32_t)offset < h->caplen) {
        f->ip = bytes + offset;
        f->cap = h->caplen - (uint32_t)offset;
    }
    flush(s);
}

static gp_code pcap_source_read(gp_source *base, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx,
                                bool *end, gp_error *err)
{
    pcap_source *s = (pcap_source *)base;
    enum { CHUNK = 4096 };
    s->sink = sink;
    s->ctx = ctx;
    if (s->live) {
        struct pollfd fds[2] = {{.fd = pcap_get_selectable_fd(s->pcap), .events = POLLIN},
                                {.fd = wake_fd, .events = POLLIN}};
        if (poll(fds, wake_fd >= 0 ? 2 : 1, timeout_ms) < 0 && errno != EINTR)
            return gp_fail_errno(err, errno, "waiting for packets on '%s' failed", s->name);
    }
    int n = pcap_dispatch(s->pcap, CHUNK, on_packet, (u_char *)s);
    if (n == PCAP_ERROR)
        return gp_fail(err, s->live ? GP_EIO : GP_ECORRUPT, "'%s': %s", s->name, pcap_geterr(s->pcap));
    *end = !s->live && n == 0;
    return GP_OK;
}

static gp_code pcap_source_stats(gp_source *base, uint64_t *received, uint64_t *dropped, gp_error *err)
{
    pcap_source *s = (pcap_source *)base;
    struct pcap_stat st = {0};
    *received = *dropped = 0;
    if (!s->live)
        return GP_OK;
    if (pcap_stats(s->pcap, &st) != 0)
        return gp_fail(err, GP_EIO, "cannot read the packet statistics of '%s': %s", s->name,
                       pcap_geterr(s->pcap));
    *received = st.ps_recv - s->seen_received;
    *dropped = st.ps_drop - s->seen_dropped;
    s->seen_received = st.ps_recv;
    s->seen_dropped = st.ps_drop;
    return GP_OK;
}

static pcap_source *new_source(const char *name, gp_error *err)
{
    static const gp_source_ops ops = {pcap_source_close, pcap_source_read, pcap_source_stats};
    pcap_source *s = calloc(1, sizeof *s);
    if (!s) {
        gp_fail(err, GP_ENOMEM, "out of memory for a capture");
        return NULL;
    }
    s->base.ops = &ops;
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static gp_code check_link(pcap_source *s, gp_error *err)
{
    s->dlt = pcap_datalink(s->pcap);
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

/* ---- capture files --------------------------------------------------------------------------------------
 */

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
    pcap_source *s = new_source(path, err);
    if (!s)
        return GP_ENOMEM;
    gp_code code = open_gz(s, path, &f, err);
    if (code == GP_OK) {
        s->pcap = pcap_fopen_offline(f, why);
        if (!s->pcap) {
            fclose(f);
            s->gz = NULL;
            code = gp_fail(err, GP_ECORRUPT, "'%s' is no capture file: %s", path, why);
        }
    }
    if (code == GP_OK)
        code = check_link(s, err);
    return finish(s, code, out);
}

/* ---- live ------------------------------------------------------------------------------------------------
 */

static gp_code activate(pcap_source *s, const gp_capconfig *cfg, gp_error *err)
{
    pcap_set_snaplen(s->pcap, 128);
    pcap_set_promisc(s->pcap, cfg->promisc);
    pcap_set_timeout(s->pcap, 100);
    pcap_set_buffer_size(s->pcap, (int)(cfg->block_size * cfg->num_blocks));
    int rc = pcap_activate(s->pcap);
    if (rc == PCAP_ERROR_PERM_DENIED)
        return gp_fail(err, GP_EPERM, "no permission to capture on '%s': run as root or grant CAP_NET_RAW",
                       s->name);
    if (rc == PCAP_ERROR_NO_SUCH_DEVICE)
        return gp_fail(err, GP_ENOTFOUND, "no such interface: '%s'", s->name);
    if (rc < 0)
        return gp_fail(err, GP_EIO, "cannot capture on '%s': %s", s->name, pcap_geterr(s->pcap));
    return GP_OK;
}

static gp_code set_filter(pcap_source *s, const gp_capconfig *cfg, gp_error *err)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    struct bpf_program bpf = {0};
    const char *text = cfg->ignore_vlans ? "not vlan and (ip or ip6)" : "ip or ip6 or vlan or pppoes";
    if (s->dlt != DLT_EN10MB)
        text = "";
    gp_code code = GP_OK;
    if (pcap_compile(s->pcap, &bpf, text, 1, PCAP_NETMASK_UNKNOWN) != 0 || pcap_setfilter(s->pcap, &bpf) != 0)
        code = gp_fail(err, GP_EINTERNAL, "cannot set the packet filter of '%s': %s", s->name,
                       pcap_geterr(s->pcap));
    pcap_freecode(&bpf);
    if (code == GP_OK && pcap_setnonblock(s->pcap, 1, why) != 0)
        code = gp_fail(err, GP_EIO, "cannot capture on '%s': %s", s->name, why);
    return code;
}

gp_code gp_source_open_pcap(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    pcap_source *s = new_source(iface, err);
    if (!s)
        return GP_ENOMEM;
    s->live = true;
    s->pcap = pcap_create(iface, why);
    gp_code code =
        s->pcap ? activate(s, cfg, err) : gp_fail(err, GP_EIO, "cannot capture on '%s': %s", iface, why);
    if (code == GP_OK)
        code = check_link(s, err);
    if (code == GP_OK)
        code = set_filter(s, cfg, err);
    return finish(s, code, out);
}
