/* ebpf_shared.h - what the kernel's half of the eBPF source (ebpf.bpf) and ours (ebpf.c) have in common. */
#ifndef GP_CAPTURE_EBPF_SHARED_H
#define GP_CAPTURE_EBPF_SHARED_H

#include <linux/types.h>

/* Conversations that fit between two collections; what is more counts in the overflow. */
enum { GP_EBPF_FLOWS = 1 << 18 };

/* As in the flow table: the endpoint with the smaller (address, port) first. Bytes as on the wire; no padding
 * that the compiler might leave unset. */
struct gp_ebpf_key_v4 {
    __u8 first[4], second[4];
    __u8 first_port[2], second_port[2];
    __u8 proto, zero[3];
};

struct gp_ebpf_key_v6 {
    __u8 first[16], second[16];
    __u8 first_port[2], second_port[2];
    __u8 proto, zero[3];
};

struct gp_ebpf_flow {
    __u64 bytes[2], packets[2]; /* received, sent */
    /* The first packet: it decides the direction of a new flow. */
    __u32 len;
    __u8 backwards; /* it ran from the second endpoint to the first */
    __u8 sent;
    __u8 aux; /* TCP flags or ICMP type */
    __u8 zero;
};

/* Sums for each CPU, over all time. Packets of the first kinds are in the order of gp_parse_result. */
enum gp_ebpf_count {
    GP_EBPF_FRAGMENT,
    GP_EBPF_INVALID_IP,
    GP_EBPF_TRUNCATED,
    GP_EBPF_V4, /* part of a flow */
    GP_EBPF_V6,
    GP_EBPF_OVERFLOW, /* no room in a map: packets and bytes, received and sent */
    GP_EBPF_OVERFLOW_SENT,
    GP_EBPF_OVERFLOW_BYTES,
    GP_EBPF_OVERFLOW_BYTES_SENT,
    GP_EBPF_COUNTS
};

/* Set before the program is loaded. */
struct gp_ebpf_settings {
    __u8 ethernet; /* otherwise frames of raw IP */
    __u8 ignore_vlans;
};

#endif
