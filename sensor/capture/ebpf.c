/*
 * The kernel counts (ebpf.bpf), we collect: bpf(2), Documentation/bpf/map_hash.rst. The program is a filter
 * of a packet socket and goes with it, whatever becomes of us.
 *
 * Two sets of maps take turns. After the turn a program may still be at work on the set that it found active;
 * programs run as RCU readers, so once membarrier(2) has waited for a grace period, nobody writes to that set
 * any more, and it can be emptied without losing a count.
 */
#include "sensor/capture/ebpf_shared.h"
#include "sensor/capture/packetsocket.h"
#include "sensor/capture/source_impl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <pcap/dlt.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH = 4096 };

/* The object file, as clang made it. */
__asm__(".section .rodata\n"
        ".balign 8\n"
        "gp_ebpf_object:\n"
        ".incbin \"" GP_EBPF_OBJECT "\"\n"
        "gp_ebpf_object_end:\n"
        ".previous\n");
extern const char gp_ebpf_object[];
extern const char gp_ebpf_object_end[];

typedef struct flow_map {
    int fd[2]; /* the two sets */
    bool unsettled;
    size_t key_size;
} flow_map;

typedef struct ebpf_source {
    gp_source base;
    gp_packet_socket socket;
    struct bpf_object *object;
    flow_map v4, v6;
    int counts_fd, active_fd;
    uint32_t active;
    size_t cpus;
    uint64_t *per_cpu;               /* scratch: one value for each */
    uint64_t counts[GP_EBPF_COUNTS]; /* as of the last collection */
    uint64_t received;               /* since the last call of stats */
    struct gp_ebpf_key_v6 *keys;     /* scratch: room for BATCH keys of either kind, one behind the other */
    struct gp_ebpf_flow *flows;
} ebpf_source;

static void ebpf_close(gp_source *base)
{
    ebpf_source *s = (ebpf_source *)base;
    gp_packet_socket_close(&s->socket);
    bpf_object__close(s->object);
    free(s->per_cpu);
    free(s->keys);
    free(s->flows);
    free(s);
}

/* ---- collecting ---------------------------------------------------------------------------------------- */

/* Counts of the kernel since the last time. */
static gp_code read_counts(ebpf_source *s, uint64_t delta[GP_EBPF_COUNTS], gp_error *err)
{
    for (uint32_t what = 0; what < GP_EBPF_COUNTS; what++) {
        uint64_t sum = 0;
        if (bpf_map_lookup_elem(s->counts_fd, &what, s->per_cpu) != 0)
            return gp_fail_errno(err, errno, "cannot read the packet counts of '%s'", s->socket.iface);
        for (size_t i = 0; i < s->cpus; i++)
            sum += s->per_cpu[i];
        delta[what] = sum - s->counts[what];
        s->counts[what] = sum;
    }
    return GP_OK;
}

/* The other set counts from here on; nobody writes to the one that did. */
static gp_code take_turn(ebpf_source *s, gp_error *err)
{
    const uint32_t zero = 0;
    const uint32_t next = !s->active;
    if (bpf_map_update_elem(s->active_fd, &zero, &next, BPF_ANY) != 0)
        return gp_fail_errno(err, errno, "cannot turn the maps of '%s'", s->socket.iface);
    s->active = next;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
        return gp_fail_errno(err, errno, "cannot wait for the packet counter of '%s'", s->socket.iface);
    return GP_OK;
}

static uint16_t port_of(const uint8_t b[2])
{
    return (uint16_t)((unsigned)b[0] << 8 | b[1]);
}

/* The packet that began a flow. Addresses point into the key. */
static gp_counted first_packet(const uint8_t *key, const struct gp_ebpf_flow *f, bool v6)
{
    const struct gp_ebpf_key_v4 *k4 = (const void *)key;
    const struct gp_ebpf_key_v6 *k6 = (const void *)key;
    const uint8_t *first = v6 ? k6->first : k4->first;
    const uint8_t *second = v6 ? k6->second : k4->second;
    uint16_t first_port = port_of(v6 ? k6->first_port : k4->first_port);
    uint16_t second_port = port_of(v6 ? k6->second_port : k4->second_port);
    return (gp_counted){
        .packet = {.sip = f->backwards ? second : first,
                   .dip = f->backwards ? first : second,
                   .sport = f->backwards ? second_port : first_port,
                   .dport = f->backwards ? first_port : second_port,
                   .proto = v6 ? k6->proto : k4->proto,
                   .aux = f->aux,
                   .v6 = v6},
        .len = f->len,
        .outgoing = f->sent,
    };
}

static void hand_over(const ebpf_source *s, size_t n, size_t key_size, gp_sums_sink sink, void *ctx)
{
    gp_counted first[GP_FRAME_BATCH];
    gp_counters all[GP_FRAME_BATCH];
    for (size_t done = 0; done < n;) {
        size_t k = 0;
        for (; k < GP_FRAME_BATCH && done < n; k++, done++) {
            const struct gp_ebpf_flow *f = &s->flows[done];
            first[k] = first_packet((const uint8_t *)s->keys + done * key_size, f,
                                    key_size == sizeof(struct gp_ebpf_key_v6));
            all[k] = (gp_counters){f->bytes[0], f->bytes[1], f->packets[0], f->packets[1]};
        }
        sink(ctx, first, all, k);
    }
}

/* Empties a map that is not active. */
static gp_code drain(ebpf_source *s, const flow_map *map, gp_sums_sink sink, void *ctx, gp_error *err)
{
    uint8_t position[sizeof(struct gp_ebpf_key_v6)]; /* the kernel's, of the next batch */
    int fd = map->fd[!s->active];
    bool more = true;
    for (bool begun = false; more; begun = true) {
        uint32_t n = BATCH;
        int rc = bpf_map_lookup_and_delete_batch(fd, begun ? position : NULL, position, s->keys, s->flows, &n,
                                                 NULL);
        more = rc == 0;
        if (rc != 0 && errno != ENOENT)
            return gp_fail_errno(err, errno, "cannot collect the flows of '%s'", s->socket.iface);
        hand_over(s, n, map->key_size, sink, ctx);
    }
    return GP_OK;
}

/* A map is empty unless packets were counted since it was emptied; but one that was counted before the last
 * turn may have come to the other set. */
static bool may_hold_flows(flow_map *map, uint64_t packets)
{
    bool unsettled = map->unsettled;
    map->unsettled = packets != 0;
    return packets != 0 || unsettled;
}

static gp_code ebpf_collect(gp_source *base, gp_sums_sink sink, void *ctx, gp_source_sums *out, gp_error *err)
{
    ebpf_source *s = (ebpf_source *)base;
    uint64_t delta[GP_EBPF_COUNTS];
    *out = (gp_source_sums){0};
    gp_code code = read_counts(s, delta, err);
    if (code != GP_OK)
        return code;
    out->packets = delta[GP_EBPF_V4] + delta[GP_EBPF_V6];
    for (unsigned i = 0; i < GP_PARSE_ERRORS; i++) {
        out->errors[i] = delta[i];
        out->packets += delta[i];
    }
    out->overflow = (gp_counters){delta[GP_EBPF_OVERFLOW_BYTES], delta[GP_EBPF_OVERFLOW_BYTES_SENT],
                                  delta[GP_EBPF_OVERFLOW], delta[GP_EBPF_OVERFLOW_SENT]};
    s->received += out->packets;
    bool v4 = may_hold_flows(&s->v4, delta[GP_EBPF_V4]);
    bool v6 = may_hold_flows(&s->v6, delta[GP_EBPF_V6]);
    if (v4 || v6)
        code = take_turn(s, err);
    if (code == GP_OK && v4)
        code = drain(s, &s->v4, sink, ctx, err);
    return code == GP_OK && v6 ? drain(s, &s->v6, sink, ctx, err) : code;
}

/* There is no queue that could be full. */
static gp_code ebpf_stats(gp_source *base, gp_source_counts *out, gp_error *err)
{
    ebpf_source *s = (ebpf_source *)base;
    (void)err;
    *out = (gp_source_counts){.received = s->received};
    s->received = 0;
    return GP_OK;
}

/* No packet ever arrives; the socket tells when the interface is gone. */
static gp_code ebpf_read(gp_source *base, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx,
                         bool *end, gp_error *err)
{
    ebpf_source *s = (ebpf_source *)base;
    (void)sink;
    (void)ctx;
    (void)end;
    gp_code code = gp_packet_socket_wait(&s->socket, wake_fd, timeout_ms, err);
    return code == GP_OK && s->socket.down ? gp_packet_socket_check_link(&s->socket, err) : code;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static gp_code check_membarrier(gp_error *err)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands > 0 && commands & MEMBARRIER_CMD_GLOBAL)
        return GP_OK;
    return gp_fail(err, GP_EUNSUPPORTED, "this kernel has no membarrier(2) for all processors");
}

/* libbpf says what is wrong as a negative errno. */
static gp_code fail_load(const char *what, int rc, gp_error *err)
{
    return gp_fail_errno(err, -rc, "cannot %s the packet counter%s", what,
                         rc == -EPERM ? " (root or CAP_BPF and CAP_NET_ADMIN are needed)" : "");
}

static gp_code open_object(ebpf_source *s, const gp_capconfig *cfg, gp_error *err)
{
    libbpf_set_print(NULL); /* errors are ours to report */
    const struct bpf_object_open_opts opts = {.sz = sizeof opts, .object_name = "goprobe"};
    s->object = bpf_object__open_mem(gp_ebpf_object, (size_t)(gp_ebpf_object_end - gp_ebpf_object), &opts);
    if (!s->object)
        return fail_load("read", -errno, err);
    struct bpf_map *rodata = bpf_object__find_map_by_name(s->object, ".rodata");
    const struct gp_ebpf_settings settings = {.ethernet = s->socket.dlt == DLT_EN10MB,
                                              .ignore_vlans = cfg->ignore_vlans};
    int rc = rodata ? bpf_map__set_initial_value(rodata, &settings, sizeof settings) : -ENOENT;
    if (rc == 0)
        rc = bpf_object__load(s->object);
    return rc == 0 ? GP_OK : fail_load("load", rc, err);
}

static gp_code find_maps(ebpf_source *s, gp_error *err)
{
    struct {
        const char *name;
        int *fd;
    } const maps[] = {{"v4_even", &s->v4.fd[0]}, {"v4_odd", &s->v4.fd[1]},  {"v6_even", &s->v6.fd[0]},
                      {"v6_odd", &s->v6.fd[1]},  {"counts", &s->counts_fd}, {"active", &s->active_fd}};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        *maps[i].fd = bpf_object__find_map_fd_by_name(s->object, maps[i].name);
        if (*maps[i].fd < 0)
            return gp_fail(err, GP_EINTERNAL, "the packet counter has no map '%s'", maps[i].name);
    }
    s->v4.key_size = sizeof(struct gp_ebpf_key_v4);
    s->v6.key_size = sizeof(struct gp_ebpf_key_v6);
    return GP_OK;
}

static gp_code attach(ebpf_source *s, gp_error *err)
{
    struct bpf_program *p = bpf_object__find_program_by_name(s->object, "count_packet");
    int fd = p ? bpf_program__fd(p) : -1;
    if (fd < 0 || setsockopt(s->socket.fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof fd) != 0)
        return gp_fail_errno(err, errno, "cannot attach the packet counter to '%s'", s->socket.iface);
    return GP_OK;
}

static gp_code make_scratch(ebpf_source *s, gp_error *err)
{
    int cpus = libbpf_num_possible_cpus();
    s->cpus = cpus > 0 ? (size_t)cpus : 1;
    s->per_cpu = calloc(s->cpus, sizeof *s->per_cpu);
    s->keys = calloc(BATCH, sizeof *s->keys);
    s->flows = calloc(BATCH, sizeof *s->flows);
    if (cpus > 0 && s->per_cpu && s->keys && s->flows)
        return GP_OK;
    return gp_fail(err, GP_ENOMEM, "out of memory for a capture");
}

gp_code gp_source_open_ebpf(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    static const gp_source_ops ops = {
        .close = ebpf_close, .read = ebpf_read, .stats = ebpf_stats, .collect = ebpf_collect};
    if (cfg->n_extra_bpf)
        return gp_fail(err, GP_EUNSUPPORTED, "'%s' has extra_bpf_filters, which are for the ring", iface);
    gp_code code = check_membarrier(err);
    if (code != GP_OK)
        return code;
    ebpf_source *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for a capture");
    s->base.ops = &ops;
    code = gp_packet_socket_open(&s->socket, iface, cfg, err);
    if (code == GP_OK)
        code = make_scratch(s, err);
    if (code == GP_OK)
        code = open_object(s, cfg, err);
    if (code == GP_OK)
        code = find_maps(s, err);
    if (code == GP_OK)
        code = attach(s, err);
    if (code == GP_OK)
        code = gp_packet_socket_bind(&s->socket, cfg, err);
    if (code != GP_OK) {
        ebpf_close(&s->base);
        return code;
    }
    *out = &s->base;
    return GP_OK;
}
