/*
 * The system calls of a service that reads and writes files, opens sockets, maps memory and makes threads:
 * what glibc, libmicrohttpd, GnuTLS, libcurl with OpenSSL, nanomsg and libpcap need, and no more. Names that
 * a kernel or architecture does not have are skipped.
 *
 * A call that nobody thought of fails with ENOSYS, as on an older kernel; libraries know how to go on
 * without. Calls that nothing here has any business with, above all starting programs, fail with EPERM.
 */
#include "proto/sandbox/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include <seccomp.h>

static const char *const allowed[] = {
    /* files */
    "access",
    "chdir",
    "chmod",
    "chown",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "flock",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "ioctl",
    "lchown",
    "link",
    "linkat",
    "_llseek",
    "lseek",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "symlink",
    "symlinkat",
    "sync_file_range",
    "syncfs",
    "truncate",
    "truncate64",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "write",
    "writev",
    /* memory */
    "brk",
    "get_mempolicy",
    "madvise",
    "mbind",
    "membarrier",
    "memfd_create",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "set_mempolicy",
    /* waiting */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "_newselect",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "select",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    /* sockets */
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socketcall",
    "socketpair",
    /* threads, signals, time */
    "alarm",
    "arch_prctl",
    "capget",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "exit",
    "exit_group",
    "futex",
    "futex_time64",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getitimer",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "gettimeofday",
    "getuid",
    "getuid32",
    "kill",
    "nanosleep",
    "pause",
    "prctl",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "set_tls",
    "setitimer",
    "setpriority",
    "setrlimit",
    "sigaltstack",
    "sigreturn",
    "sysinfo",
    "tgkill",
    "time",
    "times",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "tkill",
    "ugetrlimit",
    "uname",
    "wait4",
    "waitid",
};

static const char *const dangerous[] = {
    /* other programs */
    "execve",
    "execveat",
    "fork",
    "vfork",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "ptrace",
    "kcmp",
    /* other users, other views of the system */
    "setuid",
    "setuid32",
    "setgid",
    "setgid32",
    "setreuid",
    "setreuid32",
    "setregid",
    "setregid32",
    "setresuid",
    "setresuid32",
    "setresgid",
    "setresgid32",
    "setgroups",
    "setgroups32",
    "setfsuid",
    "setfsgid",
    "capset",
    "setns",
    "unshare",
    "chroot",
    "pivot_root",
    "mount",
    "umount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "personality",
    /* the kernel itself */
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "add_key",
    "request_key",
    "keyctl",
    "acct",
    "quotactl",
    "syslog",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "open_by_handle_at",
    "name_to_handle_at",
};

typedef struct filter {
    scmp_filter_ctx ctx;
    uint32_t unknown; /* what happens to a call that has no rule */
    uint32_t refused; /* and to a dangerous one */
} filter;

/* A rule that says what happens anyway is none: libseccomp refuses it. */
static bool add(const filter *f, uint32_t action, int nr, unsigned n, const struct scmp_arg_cmp *args)
{
    return action == f->unknown || seccomp_rule_add_array(f->ctx, action, nr, n, args) >= 0;
}

static bool add_all(const filter *f, uint32_t action, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);
        if (nr != __NR_SCMP_ERROR && !add(f, action, nr, 0, NULL))
            return false;
    }
    return true;
}

/* Threads, but no processes. clone3(2) hides its flags in memory, where a filter cannot look; without it
 * glibc takes clone(2), even where everything else unknown ends the process. */
static bool add_threads(const filter *f)
{
    const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
    const struct scmp_arg_cmp process = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    return add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread) &&
           add(f, f->refused, SCMP_SYS(clone), 1, &process) &&
           add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
}

/* Sockets of the families that a service has to do with; the others are much kernel code that few look at. */
static bool add_sockets(const filter *f)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct scmp_arg_cmp family = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0);
        if (!add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &family))
            return false;
    }
    return true;
}

static bool fill(const filter *f, bool allow_bpf)
{
    static const char *const bpf[] = {"bpf"};
    /* A tree of comparisons instead of a list; and no slower memory for a process that runs no foreign
     * code. */
    (void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    (void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_SSB, 1);
    return add_all(f, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]) &&
           add_all(f, f->refused, dangerous, sizeof dangerous / sizeof dangerous[0]) &&
           (!allow_bpf || add_all(f, SCMP_ACT_ALLOW, bpf, 1)) && add_threads(f) && add_sockets(f);
}

gp_code gp_sandbox_filter(gp_seccomp_mode mode, bool allow_bpf, gp_error *err)
{
    filter f = {.unknown = SCMP_ACT_ERRNO(ENOSYS), .refused = SCMP_ACT_ERRNO(EPERM)};
    if (mode != GP_SECCOMP_ON)
        f.unknown = f.refused = mode == GP_SECCOMP_KILL ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_LOG;
    f.ctx = seccomp_init(f.unknown);
    bool filled = f.ctx && fill(&f, allow_bpf);
    int rc = filled ? seccomp_load(f.ctx) : 0;
    if (f.ctx)
        seccomp_release(f.ctx);
    if (!filled)
        return gp_fail(err, GP_ENOMEM, "cannot make the filter of system calls (seccomp)");
    if (rc == 0)
        return GP_OK;
    return gp_fail_errno(err, -rc,
                         "the kernel does not take the filter of system calls (seccomp; "
                         "security.seccomp: off does without)");
}
