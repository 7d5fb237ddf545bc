/*
 * linklayer.h - where the IP header begins in a frame of each link type, and the kernel filter that
 * lets only frames with an IP header through.
 *
 * Link types are those of libpcap (DLT_*) for capture files and of the kernel (ARPHRD_*) for interfaces.
 */
#ifndef GP_CAPTURE_LINKLAYER_H
#define GP_CAPTURE_LINKLAYER_H

#include "proto/base/error.h"
#include "proto/control/capconfig.h"

#include <linux/filter.h>
#include <stdint.h>

/* Offset of the IP header in a frame of this DLT, up to two VLAN tags stepped over; -1 if it carries none.
 * Of PPPoE session packets the offset of the PPPoE header, which parses as no valid IP header, as in
 * goProbe v4. */
int gp_link_ip_offset(int dlt, const uint8_t *frame, uint32_t cap);
int gp_link_tagged_ip_offset(const uint8_t *frame, uint32_t cap); /* the long way, for Ethernet */
/* The same for Ethernet, for the packet path. */
static inline int gp_link_ether_ip_offset(const uint8_t *f, uint32_t cap)
{
    bool plain = cap > 14 && ((f[12] == 0x08 && f[13] == 0x00) || (f[12] == 0x86 && f[13] == 0xdd));
    return plain ? 14 : gp_link_tagged_ip_offset(f, cap);
}
/* Bytes of a frame in a file that a live capture would not have counted: the outermost VLAN tag, which the
 * kernel takes off before a packet socket sees the frame. */
uint32_t gp_link_uncounted(int dlt, const uint8_t *frame, uint32_t cap);
bool gp_link_supported(int dlt);
/* Do frames of this DLT state whether they were sent? Linux cooked captures do (packet type 4,
 * PACKET_OUTGOING: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html and LINKTYPE_LINUX_SLL2.html).
 */
bool gp_link_states_direction(int dlt);
bool gp_link_was_sent(int dlt, const uint8_t *frame, uint32_t cap); /* of such a frame */
/* The DLT of frames that a packet socket delivers on an interface of this ARPHRD_* type; -1 if unknown. */
int gp_link_dlt_of(int arphrd);

/* The filter expression (pcap-filter(7)) of frames with an IP header; without VLAN tags, too, if wanted. */
const char *gp_link_filter_text(int dlt, bool ignore_vlans);
/*
 * Compiles the filter of an interface by libpcap, to be attached by SO_ATTACH_FILTER:
 *
 *     frames with tags removed by the network card are dropped (ignore_vlans)
 *     frames without IP header are dropped
 *     of the others the kernel hands over as little as parsing needs: the shorter, the more fit into a ring
 *
 * With extra_bpf_filters the end is laid out as in goProbe v4, on which the jumps of existing ones rely:
 *
 *     the accumulator holds the ethertype (or version << 4)
 *     extra_bpf
 *     ret #snaplen     where the last extra instruction goes on to
 *     ret #0           one further
 *
 * prog->filter is malloc'ed.
 */
gp_code gp_link_filter(int dlt, const gp_capconfig *cfg, struct sock_fprog *prog, gp_error *err);

#endif
