/* mixed_capture.h - a capture file with some of everything that a sensor meets, the same at every call. */
#ifndef GP_TESTS_MIXED_CAPTURE_H
#define GP_TESTS_MIXED_CAPTURE_H

#include <stdbool.h>

enum { GP_MIXED_PACKETS = 6000 };

/* Ethernet frames over several 5-minute intervals, one of them silent: TCP, UDP, ICMP, ESP and others over
 * IPv4 and IPv6, in both directions, groups, fragments, options, extension headers, VLAN tags, cut-off
 * packets, ARP. tests/data/capture/mixed.csv holds the flows. False if the file cannot be written. */
bool gp_test_mixed_capture(const char *path);

#endif
