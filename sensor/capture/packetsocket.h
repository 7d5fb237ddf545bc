/*
 * packetsocket.h - the packet socket (packet(7)) of a live interface: what the ring and the in-kernel counter
 * have in common.
 *
 * Not thread-safe.
 */
#ifndef GP_CAPTURE_PACKETSOCKET_H
#define GP_CAPTURE_PACKETSOCKET_H

#include "proto/base/error.h"
#include "proto/control/capconfig.h"

#include <net/if.h>

typedef struct gp_packet_socket {
    int fd;     /* -1: none */
    int dlt;    /* of its frames */
    int arphrd; /* that dlt follows from */
    unsigned index;
    char iface[IFNAMSIZ];
    bool down; /* the interface is, or was a moment ago */
} gp_packet_socket;

/* Opens it and looks at the interface; nothing arrives before it is bound. To be closed after a failure,
 * too. */
gp_code gp_packet_socket_open(gp_packet_socket *s, const char *iface, const gp_capconfig *cfg, gp_error *err);
/* When filter and ring are in place. */
gp_code gp_packet_socket_bind(const gp_packet_socket *s, const gp_capconfig *cfg, gp_error *err);
void gp_packet_socket_close(gp_packet_socket *s);

/* Until packets are there, wake_fd (if >= 0) is readable, or the time has passed. Notes that the interface
 * went down; GP_ENOTFOUND when it is gone. */
gp_code gp_packet_socket_wait(gp_packet_socket *s, int wake_fd, int timeout_ms, gp_error *err);
/* The kernel keeps a socket while its interface is down, and delivers again when it is up. GP_ENOTFOUND if it
 * is another interface by then. */
gp_code gp_packet_socket_check_link(gp_packet_socket *s, gp_error *err);
/* Says what is missing where the kernel refuses. */
gp_code gp_packet_socket_fail(const char *iface, int sys, const char *what, gp_error *err);

#endif
