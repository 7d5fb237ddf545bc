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

/* Offset of the IP header in a frame of this DLT, VLAN tags and PPPoE stepped over; -1 if it carries none. */
int gp_link_ip_offset(int dlt, const uint8_t *frame, uint32_t cap);
bool gp_link_supported(int dlt);
/* The DLT of frames that a packet socket delivers on an interface of this ARPHRD_* type; -1 if unknown. */
int gp_link_dlt_of(int arphrd);

/* Compiles the filter of an interface by libpcap and puts ignore_vlans and extra_bpf in front of it.
 * prog->filter is malloc'ed. */
gp_code gp_link_filter(int dlt, const gp_capconfig *cfg, uint32_t snaplen, struct sock_fprog *prog,
                       gp_error *err);

#endif
