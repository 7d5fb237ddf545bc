#include "proto/base/unixsock.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_MODE = 0660, MAX_NAME_DATA = 16 << 10 };

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

/* A number, or the name of a user or group, which `find` knows. */
static gp_code id_of(const char *text, const char *what, bool (*find)(const char *name, unsigned *id),
                     unsigned *id, gp_error *err)
{
    char *end = NULL;
    if (!text || find(text, id))
        return GP_OK;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || *end || end == text || text[0] == '-' || n >= UINT_MAX)
        return gp_fail(err, GP_ENOTFOUND, "there is no %s named '%s'", what, text);
    *id = (unsigned)n;
    return GP_OK;
}

static bool find_user(const char *name, unsigned *id)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char data[MAX_NAME_DATA];
    if (getpwnam_r(name, &entry, data, sizeof data, &found) != 0 || !found)
        return false;
    *id = found->pw_uid;
    return true;
}

static bool find_group(const char *name, unsigned *id)
{
    struct group entry;
    struct group *found = NULL;
    char data[MAX_NAME_DATA];
    if (getgrnam_r(name, &entry, data, sizeof data, &found) != 0 || !found)
        return false;
    *id = found->gr_gid;
    return true;
}

gp_code gp_unix_socket_give(const char *path, const gp_unix_socket_access *access, gp_error *err)
{
    unsigned owner = UINT_MAX; /* chown(2): unchanged */
    unsigned group = UINT_MAX;
    gp_code rc = id_of(access->owner, "user", find_user, &owner, err);
    if (rc == GP_OK)
        rc = id_of(access->group, "group", find_group, &group, err);
    if (rc != GP_OK)
        return rc;
    /* The mode first: a file that was given away is no longer ours to change. */
    if (chmod(path, access->mode ? access->mode : SOCKET_MODE) != 0)
        return gp_fail_errno(err, errno, "cannot set the mode of the socket '%s'", path);
    if ((owner != UINT_MAX || group != UINT_MAX) && lchown(path, owner, group) != 0)
        return gp_fail_errno(err, errno, "cannot give the socket '%s' to %s:%s", path,
                             access->owner ? access->owner : "", access->group ? access->group : "");
    return GP_OK;
}
