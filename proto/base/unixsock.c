#include "proto/base/unixsock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool nobody_listens(const struct sockaddr_un *sun)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)sun, sizeof *sun) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

gp_code gp_unix_socket_clear(const char *path, gp_error *err)
{
    struct stat st;
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof sun.sun_path)
        return gp_fail(err, GP_EINVAL, "cannot listen on unix:%s: a socket path has 1 to %zu bytes", path,
                       sizeof sun.sun_path - 1);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? GP_OK : gp_fail_errno(err, errno, "cannot look at '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return gp_fail(err, GP_EEXIST, "cannot listen on unix:%s: a file that is not a socket is there",
                       path);
    if (!nobody_listens(&sun))
        return gp_fail(err, GP_EBUSY,
                       "cannot listen on unix:%s: another program listens there; stop it or configure "
                       "another path",
                       path);
    if (unlink(path) != 0 && errno != ENOENT)
        return gp_fail_errno(err, errno, "cannot remove the stale socket '%s'", path);
    return GP_OK;
}
