/* netns.h - a network of the test's own: a network namespace with pairs of virtual Ethernet links. */
#ifndef GP_TESTS_NETNS_H
#define GP_TESTS_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Moves the calling thread (and those that it starts) into a new network namespace in which nothing but the
 * test sends packets. False, after saying why, where that is not allowed or ip(8) is missing. */
bool gp_netns_enter(void);
/* Runs "ip <args>"; fails the running test if that fails. */
void gp_netns_ip(const char *args);
/* The link is up, and takes packets. */
void gp_netns_up(const char *iface);
/* A pair of links, both up: what is sent on one arrives at the other. */
void gp_netns_add_pair(const char *a, const char *b);

/* A tun link, down: what is written to the descriptor arrives there, without any link-layer header. -1: not
 * to be had here. */
int gp_netns_open_tun(const char *name);

/* Sends Ethernet frames on a link. */
int gp_netns_sender(const char *iface);
void gp_netns_send(int sender, const void *frame, size_t len);

#endif
