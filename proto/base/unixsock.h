/* unixsock.h - the file of a UNIX socket that is to be listened on. */
#ifndef GP_BASE_UNIXSOCK_H
#define GP_BASE_UNIXSOCK_H

#include "proto/base/error.h"

#include <sys/types.h>

/* Makes way for a socket at this path: a crashed predecessor's, on which nobody listens, is removed.
 * GP_EBUSY: somebody listens there; GP_EEXIST: something that is no socket is there, and stays; GP_EINVAL: no
 * path of 1 to 107 bytes. */
gp_code gp_unix_socket_clear(const char *path, gp_error *err);

/* Who may connect. */
typedef struct gp_unix_socket_access {
    const char *owner, *group; /* names or numbers; NULL: who we are */
    mode_t mode;               /* 0: 0660 */
} gp_unix_socket_access;

/* Gives the socket at this path its mode, owner and group. GP_ENOTFOUND: there is no such user or group;
 * GP_EPERM: only root, or who has CAP_CHOWN, may give it away. */
gp_code gp_unix_socket_give(const char *path, const gp_unix_socket_access *access, gp_error *err);

#endif
