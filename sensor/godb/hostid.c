#include "sensor/godb/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { ID_MAX = 256, RANDOM_BYTES = 16 };

static bool read_id(const char *path, char *id)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, id, ID_MAX - 1);
    close(fd);
    if (n < 0)
        return false;
    while (n > 0 && id[n - 1] == '\n')
        n--;
    id[n] = '\0';
    return true;
}

/* A host without machine id gets one of its own, kept with its database. */
static bool make_id(const char *path, char *id)
{
    uint8_t random[RANDOM_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = write(fd, id, strlen(id)) == (ssize_t)strlen(id);
    return close(fd) == 0 && written;
}

gp_code gp_db_host_id(const char *db, char **out, gp_error *err)
{
    char id[ID_MAX] = "UNKNOWN";
    char path[4096];
    bool known = read_id("/etc/machine-id", id) || read_id("/var/lib/dbus/machine-id", id);
    if (!known && snprintf(path, sizeof path, "%s/host.id", db) < (int)sizeof path)
        known = read_id(path, id) || make_id(path, id);
    *out = strdup(known ? id : "UNKNOWN");
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for the host id");
}
