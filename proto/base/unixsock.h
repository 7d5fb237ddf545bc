/* unixsock.h - the file of a UNIX socket that is to be listened on. */
#ifndef GP_BASE_UNIXSOCK_H
#define GP_BASE_UNIXSOCK_H

#include "proto/base/error.h"

/* Makes way for a socket at this path: a crashed predecessor's, on which nobody listens, is removed.
 * GP_EBUSY: somebody listens there; GP_EEXIST: something that is no socket is there, and stays; GP_EINVAL: no
 * path of 1 to 107 bytes. */
gp_code gp_unix_socket_clear(const char *path, gp_error *err);

#endif
