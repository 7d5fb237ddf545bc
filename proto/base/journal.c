#include "proto/base/journal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { KEY_MAX = 60 };

gp_code gp_journal_open(const char *path, int *fd, gp_error *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sun.sun_path)
        return gp_fail(err, GP_EINVAL, "the path of journald's socket is too long: '%s'", path);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return gp_fail_errno(err, errno, "cannot make a socket for journald");
    if (connect(s, (const struct sockaddr *)&sun, sizeof sun) != 0) {
        int sys = errno;
        close(s);
        return gp_fail_errno(err, sys, "cannot reach journald at '%s'", path);
    }
    *fd = s;
    return GP_OK;
}

static void put_key(gp_buf *datagram, const char *prefix, const char *key)
{
    gp_buf_puts(datagram, prefix);
    for (size_t i = 0; key[i] && i < KEY_MAX; i++)
        gp_buf_putc(datagram, isalnum((unsigned char)key[i]) ? (char)toupper((unsigned char)key[i]) : '_');
}

void gp_journal_put(gp_buf *datagram, const char *prefix, const char *key, const char *value)
{
    size_t len = strlen(value);
    put_key(datagram, prefix, key);
    if (memchr(value, '\n', len)) {
        gp_buf_putc(datagram, '\n');
        for (unsigned shift = 0; shift < 64; shift += 8) /* little endian */
            gp_buf_putc(datagram, (char)(unsigned char)((uint64_t)len >> shift));
    } else {
        gp_buf_putc(datagram, '=');
    }
    gp_buf_add(datagram, value, len);
    gp_buf_putc(datagram, '\n');
}
