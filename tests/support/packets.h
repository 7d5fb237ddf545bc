/* packets.h - builds packets and capture files for tests. */
#ifndef GP_TESTS_PACKETS_H
#define GP_TESTS_PACKETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct gp_test_packet {
    const char *sip, *dip; /* text; both of one family */
    uint16_t sport, dport;
    uint8_t proto;
    uint8_t flags; /* TCP flags, or ICMP type */
} gp_test_packet;

enum { GP_TEST_FRAME_MAX = 256 };

/* An Ethernet frame with an IP packet and its transport header; returns its length. */
size_t gp_test_frame(const gp_test_packet *p, uint8_t *frame);
/* The IP packet alone. */
size_t gp_test_ip(const gp_test_packet *p, uint8_t *ip);

typedef struct gp_test_pcap gp_test_pcap;
/* A classic pcap file of Ethernet frames; fails the running test if it cannot be written. */
gp_test_pcap *gp_test_pcap_create(const char *path);
gp_test_pcap *gp_test_pcap_create_link(const char *path, int dlt); /* of frames of another link type */
void gp_test_pcap_add(gp_test_pcap *f, int64_t ts, const gp_test_packet *p);
void gp_test_pcap_add_frame(gp_test_pcap *f, int64_t ts, const uint8_t *frame, size_t len);
void gp_test_pcap_close(gp_test_pcap *f);

#endif
