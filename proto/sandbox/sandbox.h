/*
 * sandbox.h - giving up, before the first thread is made, what a service has no use for: other capabilities,
 * the user that it was started as, new privileges, and system calls. What is given up cannot come back, for
 * this process and for whatever it might start.
 *
 * Call it from main() before there is another thread: all of this is a property of the thread that calls, and
 * inherited from it.
 */
#ifndef GP_SANDBOX_SANDBOX_H
#define GP_SANDBOX_SANDBOX_H

#include "proto/base/error.h"

#include <stdint.h>

/* Capabilities that a service may need (capabilities(7)); bits of gp_sandbox_config.keep. */
typedef enum gp_cap {
    GP_CAP_NET_RAW = 1 << 0,          /* open packet sockets, now and whenever an interface comes */
    GP_CAP_NET_ADMIN = 1 << 1,        /* attach programs to interfaces */
    GP_CAP_BPF = 1 << 2,              /* load programs into the kernel */
    GP_CAP_PERFMON = 1 << 3,          /* let them walk packet memory */
    GP_CAP_CHOWN = 1 << 4,            /* give the socket to its owner */
    GP_CAP_NET_BIND_SERVICE = 1 << 5, /* ports below 1024 */
    GP_CAP_DAC_OVERRIDE = 1 << 6      /* files of others */
} gp_cap;

typedef enum gp_seccomp_mode {
    GP_SECCOMP_ON,   /* a call that is not on the list fails with ENOSYS, one that is dangerous with EPERM */
    GP_SECCOMP_KILL, /* either ends the process, with SIGSYS */
    GP_SECCOMP_LOG,  /* either works, and the kernel logs it */
    GP_SECCOMP_OFF
} gp_seccomp_mode;

typedef struct gp_sandbox_config {
    const char *user; /* name or number to run as, with its groups; NULL: stay */
    unsigned keep;    /* gp_cap, as far as we have them */
    bool drop_caps;   /* all others */
    bool allow_bpf;   /* the system call bpf(2), too */
    gp_seccomp_mode seccomp;
} gp_sandbox_config;

/* GP_ENOTFOUND: no such user. GP_EPERM: we may not become that user. GP_EUNSUPPORTED: the kernel has no
 * seccomp. */
gp_code gp_sandbox_enter(const gp_sandbox_config *cfg, gp_error *err);

/* Whether we have a capability. */
bool gp_sandbox_has(gp_cap cap);

/* "on", "kill", "log", "off" */
bool gp_seccomp_mode_parse(const char *name, gp_seccomp_mode *out);

/* seccomp.c; internal */
gp_code gp_sandbox_filter(gp_seccomp_mode mode, bool allow_bpf, gp_error *err);

#endif
