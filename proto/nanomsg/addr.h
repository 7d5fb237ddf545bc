/*
 * addr.h - addresses of nanomsg endpoints as people write them, and as nanomsg takes them.
 *
 *   tcp://host:port, host:port, [v6]:port    host may be a name; tcp://:port and :port are every address
 *   ipc:///path                              a UNIX socket
 */
#ifndef GP_NANOMSG_ADDR_H
#define GP_NANOMSG_ADDR_H

#include "proto/base/error.h"

#include <stdbool.h>

enum { GP_NANOMSG_ADDR_SIZE = 128 /* nanomsg's own limit (NN_SOCKADDR_MAX) */ };

typedef struct gp_nanomsg_addr {
    char text[GP_NANOMSG_ADDR_SIZE + 1]; /* for nn_bind: a numeric host, or "*" */
    bool ipc;
} gp_nanomsg_addr;

/* Checks how an address is written: GP_EINVAL. Looks nothing up. */
gp_code gp_nanomsg_addr_check(const char *addr, gp_error *err);
/* As above, and looks up the host. GP_ENOTFOUND: it has no address. */
gp_code gp_nanomsg_addr_resolve(const char *addr, gp_nanomsg_addr *out, gp_error *err);

#endif
