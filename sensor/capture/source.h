/*
 * source.h - where packets come from: a TPACKET_V3 ring, libpcap live, or a capture file.
 *
 * A source is used by one thread at a time. Frames handed to the sink point into the source's own memory and
 * are valid until the sink returns.
 */
#ifndef GP_CAPTURE_SOURCE_H
#define GP_CAPTURE_SOURCE_H

#include "proto/base/error.h"
#include "proto/control/capconfig.h"
#include "proto/flow/flow.h"
#include "sensor/capture/packet.h"

typedef struct gp_source gp_source;

/* Takes a batch of packets. */
typedef void (*gp_frame_sink)(void *ctx, const gp_frame *frames, size_t n);

enum { GP_FRAME_BATCH = 64 };

/* A ring on a live interface. Errors name the interface and, without privilege, the capability needed. */
gp_code gp_source_open_ring(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err);
/* Rings that share the packets of an interface, as fanout.h has it; at most GP_FANOUT_MAX_RINGS. */
gp_code gp_source_open_rings(gp_source **out, unsigned rings, uint32_t odd, const char *iface,
                             const gp_capconfig *cfg, gp_error *err);
/* A program in the kernel that counts the packets of an interface itself (eBPF). GP_EUNSUPPORTED where this
 * build, the kernel or the configuration does not allow for it. */
gp_code gp_source_open_ebpf(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err);
/* libpcap on a live interface: where packet rings are not to be had. */
gp_code gp_source_open_pcap(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err);
/* A pcap or pcapng file, also gzip'ed; "-" is standard input. */
gp_code gp_source_open_file(gp_source **out, const char *path, gp_error *err);
void gp_source_close(gp_source *s);

/* What is known of a capture file before it is read. */
typedef struct gp_source_preview {
    const gp_frame *frames; /* its first packets, fewer than GP_FRAME_BATCH; valid until it is read */
    size_t n;
    bool directed; /* the file states which packets were sent */
} gp_source_preview;
/* Of files, before the first gp_source_read, which hands over these packets, too. Fails only where there is
 * not one whole packet before the damage. */
gp_code gp_source_peek(gp_source *file, gp_source_preview *out, gp_error *err);

/*
 * Waits up to timeout_ms for packets (or until wake_fd, if >= 0, is readable) and hands over what is there.
 * *end turns true when a capture file is through. GP_ENOTFOUND or GP_EIO when the interface is gone.
 */
gp_code gp_source_read(gp_source *s, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx, bool *end,
                       gp_error *err);

/* Since the last call; nothing for files. */
typedef struct gp_source_counts {
    uint64_t received; /* packets that the kernel saw, the dropped ones included */
    uint64_t dropped;
    uint64_t fill_percent; /* of the ring, at its fullest */
} gp_source_counts;
gp_code gp_source_stats(gp_source *s, gp_source_counts *out, gp_error *err);

/* Sources that count packets themselves hand none over by gp_source_read; what they counted is collected. */
bool gp_source_counts_itself(const gp_source *s);

/* Takes sums of packets: of each flow the first packet, which a table needs to know its direction, and the
 * counters of all, the first included. */
typedef void (*gp_sums_sink)(void *ctx, const gp_counted *first, const gp_counters *all, size_t n);

/* Since the last call. */
typedef struct gp_source_sums {
    uint64_t packets;                 /* those with errors included */
    uint64_t errors[GP_PARSE_ERRORS]; /* packets that became no part of a flow */
    gp_counters overflow;             /* of flows that there was no room for */
} gp_source_sums;
gp_code gp_source_collect(gp_source *s, gp_sums_sink sink, void *ctx, gp_source_sums *out, gp_error *err);

#endif
