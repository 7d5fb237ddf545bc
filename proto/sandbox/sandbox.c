#include "proto/sandbox/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct {
    gp_cap ours;
    cap_value_t theirs;
} caps[] = {
    {GP_CAP_NET_RAW, CAP_NET_RAW},
    {GP_CAP_NET_ADMIN, CAP_NET_ADMIN},
    {GP_CAP_BPF, CAP_BPF},
    {GP_CAP_PERFMON, CAP_PERFMON},
    {GP_CAP_CHOWN, CAP_CHOWN},
    {GP_CAP_NET_BIND_SERVICE, CAP_NET_BIND_SERVICE},
    {GP_CAP_DAC_OVERRIDE, CAP_DAC_OVERRIDE},
};
enum { N_CAPS = sizeof caps / sizeof caps[0] };

static bool has(cap_t have, cap_value_t cap, cap_flag_t set)
{
    cap_flag_value_t value = CAP_CLEAR;
    return cap_get_flag(have, cap, set, &value) == 0 && value == CAP_SET;
}

bool gp_sandbox_has(gp_cap cap)
{
    cap_t have = cap_get_proc();
    bool found = false;
    for (size_t i = 0; i < N_CAPS && have; i++)
        if (caps[i].ours == cap)
            found = has(have, caps[i].theirs, CAP_EFFECTIVE);
    cap_free(have);
    return found;
}

/* What is kept becomes permitted and effective; nothing is inheritable or ambient. */
static bool set_caps(cap_t have, unsigned keep)
{
    cap_t kept = cap_init();
    bool ok = kept != NULL;
    for (size_t i = 0; i < N_CAPS && ok; i++)
        if ((keep & caps[i].ours) && has(have, caps[i].theirs, CAP_PERMITTED))
            ok = cap_set_flag(kept, CAP_PERMITTED, 1, &caps[i].theirs, CAP_SET) == 0 &&
                 cap_set_flag(kept, CAP_EFFECTIVE, 1, &caps[i].theirs, CAP_SET) == 0;
    ok = ok && cap_set_proc(kept) == 0;
    cap_free(kept);
    return ok;
}

/* The bounding set, too, as far as we may (CAP_SETPCAP): it bounds what a program we start could gain. */
static void drop_bounding(unsigned keep)
{
    for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++) {
        bool kept = false;
        for (size_t i = 0; i < N_CAPS; i++)
            kept = kept || ((keep & caps[i].ours) && caps[i].theirs == cap);
        if (!kept && cap_drop_bound(cap) != 0)
            return;
    }
}

static gp_code drop_caps(unsigned keep, gp_error *err)
{
    cap_t have = cap_get_proc();
    drop_bounding(keep);
    bool ok = have && set_caps(have, keep);
    int sys = errno;
    cap_free(have);
    return ok ? GP_OK : gp_fail_errno(err, sys, "cannot give up capabilities");
}

static gp_code find_user(const char *name, struct passwd *entry, char *data, size_t size, gp_error *err)
{
    struct passwd *found = NULL;
    char *end = NULL;
    if (getpwnam_r(name, entry, data, size, &found) == 0 && found)
        return GP_OK;
    errno = 0;
    unsigned long id = strtoul(name, &end, 10);
    if (errno == 0 && *name && !*end && id < UINT_MAX &&
        getpwuid_r((uid_t)id, entry, data, size, &found) == 0 && found)
        return GP_OK;
    return gp_fail(err, GP_ENOTFOUND, "there is no user '%s' to run as", name);
}

/* Capabilities survive the change (PR_SET_KEEPCAPS) as permitted ones; drop_caps then takes what is
 * needed. */
static gp_code become(const char *name, gp_error *err)
{
    struct passwd entry;
    char data[16 << 10];
    gp_code rc = find_user(name, &entry, data, sizeof data, err);
    if (rc != GP_OK || (entry.pw_uid == geteuid() && entry.pw_uid == getuid()))
        return rc;
    if (prctl(PR_SET_KEEPCAPS, 1) != 0 || initgroups(entry.pw_name, entry.pw_gid) != 0 ||
        setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid) != 0 ||
        setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid) != 0)
        return gp_fail_errno(err, errno, "cannot run as user '%s'", name);
    return GP_OK;
}

gp_code gp_sandbox_enter(const gp_sandbox_config *cfg, gp_error *err)
{
    gp_code rc = cfg->user ? become(cfg->user, err) : GP_OK;
    /* A change of user leaves nothing effective, so what is needed must be taken in any case. */
    if (rc == GP_OK && (cfg->drop_caps || cfg->user))
        rc = drop_caps(cfg->keep, err);
    if (rc == GP_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = gp_fail_errno(err, errno, "cannot give up new privileges");
    return rc == GP_OK && cfg->seccomp != GP_SECCOMP_OFF
               ? gp_sandbox_filter(cfg->seccomp, cfg->allow_bpf, err)
               : rc;
}

bool gp_seccomp_mode_parse(const char *name, gp_seccomp_mode *out)
{
    static const char *const names[] = {"on", "kill", "log", "off"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i]) == 0) {
            *out = (gp_seccomp_mode)i;
            return true;
        }
    return false;
}
