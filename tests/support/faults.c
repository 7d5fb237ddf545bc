#include "tests/support/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    gp_fault kind;
    unsigned at, calls;
} armed;

void gp_faults_arm(gp_fault kind, unsigned at)
{
    armed.kind = kind;
    armed.at = at;
    armed.calls = 0;
}

unsigned gp_faults_disarm(void)
{
    armed.kind = GP_FAULT_NONE;
    return armed.calls;
}

/* Counts a call. True: it fails with errno set. */
static bool fails(bool needs_room)
{
    unsigned call = armed.calls++;
    if (armed.kind == GP_FAULT_KILL && call == armed.at)
        raise(SIGKILL);
    if (armed.kind == GP_FAULT_EIO && call == armed.at) {
        errno = EIO;
        return true;
    }
    if (armed.kind == GP_FAULT_FULL && call >= armed.at && needs_room) {
        errno = ENOSPC;
        return true;
    }
    return false;
}

/* The linker's names. */
/* NOLINTBEGIN */
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __real_openat(int at, const char *path, int flags, mode_t mode);
int __wrap_openat(int at, const char *path, int flags, ...);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __real_mkdirat(int at, const char *path, mode_t mode);
int __wrap_mkdirat(int at, const char *path, mode_t mode);
int __real_renameat(int from_at, const char *from, int to_at, const char *to);
int __wrap_renameat(int from_at, const char *from, int to_at, const char *to);
int __real_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int __wrap_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int __real_unlinkat(int at, const char *path, int flags);
int __wrap_unlinkat(int at, const char *path, int flags);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
/* NOLINTEND */

static bool armed_now(void)
{
    return armed.kind != GP_FAULT_NONE && armed.calls == armed.at;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (armed_now() && armed.kind != GP_FAULT_EIO)
        (void)!__real_pwrite(fd, data, len / 2, offset);
    return fails(true) ? -1 : __real_pwrite(fd, data, len, offset);
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    if (fd <= STDERR_FILENO)
        return __real_write(fd, data, len);
    if (armed_now() && armed.kind != GP_FAULT_EIO)
        (void)!__real_write(fd, data, len / 2);
    return fails(true) ? -1 : __real_write(fd, data, len);
}

int __wrap_openat(int at, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (flags & O_CREAT && fails(true))
        return -1;
    return __real_openat(at, path, flags, mode);
}

int __wrap_fsync(int fd)
{
    return fails(false) ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    bool failed = fails(false);
    int saved = errno;
    int rc = __real_close(fd);
    if (failed)
        errno = saved;
    return failed ? -1 : rc;
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return fails(false) ? -1 : __real_fchmod(fd, mode);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return fails(true) ? -1 : __real_mkdir(path, mode);
}

int __wrap_mkdirat(int at, const char *path, mode_t mode)
{
    return fails(true) ? -1 : __real_mkdirat(at, path, mode);
}

int __wrap_renameat(int from_at, const char *from, int to_at, const char *to)
{
    return fails(false) ? -1 : __real_renameat(from_at, from, to_at, to);
}

int __wrap_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    return fails(false) ? -1 : __real_renameat2(from_at, from, to_at, to, flags);
}

int __wrap_unlinkat(int at, const char *path, int flags)
{
    return fails(false) ? -1 : __real_unlinkat(at, path, flags);
}

int __wrap_ftruncate(int fd, off_t len)
{
    return fails(false) ? -1 : __real_ftruncate(fd, len);
}
