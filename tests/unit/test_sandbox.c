/* What a process can no longer do once it is in the sandbox. Each case is a child of its own: there is no way
 * back. */
#include "proto/sandbox/sandbox.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the child ended with: its exit status, or 1000 and the signal. */
static int in_child(int (*body)(const gp_sandbox_config *), const gp_sandbox_config *cfg)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        gp_error err = GP_ERROR_INIT;
        if (gp_sandbox_enter(cfg, &err) != GP_OK) {
            dprintf(2, "%s\n", err.msg);
            _exit(99);
        }
        _exit(body(cfg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void *nothing(void *arg)
{
    return arg;
}

/* What a service does must go on working: threads, sockets, files. */
static bool can_work(void)
{
    pthread_t thread;
    int pair[2];
    FILE *f = tmpfile();
    bool ok = f && fputs("x", f) >= 0 && fclose(f) == 0;
    ok = ok && pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
    return ok && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[0], "x", 1) == 1;
}

static int programs_are_refused(const gp_sandbox_config *cfg)
{
    (void)cfg;
    if (!can_work())
        return 1;
    if (execl("/bin/true", "true", (char *)NULL) != -1 || errno != EPERM)
        return 2;
    if (fork() != -1 || errno != EPERM)
        return 3;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != EPERM)
        return 4;
    if (socket(AF_ALG, SOCK_SEQPACKET, 0) != -1 || errno != ENOSYS)
        return 6;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 5;
}

static int start_program(const gp_sandbox_config *cfg)
{
    (void)cfg;
    if (!can_work())
        return 1;
    execl("/bin/true", "true", (char *)NULL);
    return 2;
}

static void system_calls(void **state)
{
    (void)state;
    gp_seccomp_mode mode;
    gp_sandbox_config cfg = {.seccomp = GP_SECCOMP_ON};
    assert_int_equal(in_child(programs_are_refused, &cfg), 0);
    cfg.seccomp = GP_SECCOMP_KILL;
    assert_int_equal(in_child(start_program, &cfg), 1000 + SIGSYS);
    cfg.seccomp = GP_SECCOMP_LOG;
    assert_int_equal(in_child(start_program, &cfg), 0);
    cfg.seccomp = GP_SECCOMP_OFF;
    assert_int_equal(in_child(start_program, &cfg), 0);
    assert_true(gp_seccomp_mode_parse("KILL", &mode) && mode == GP_SECCOMP_KILL);
    assert_false(gp_seccomp_mode_parse("maybe", &mode));
}

static int only_raw_sockets(const gp_sandbox_config *cfg)
{
    char file[] = "/tmp/gp_sandbox_XXXXXX";
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    unlink(file);
    bool chown_refused = fchown(fd, 12345, 12345) == -1 && errno == EPERM;
    int raw = socket(AF_PACKET, SOCK_RAW, 0);
    if (raw < 0)
        return 2;
    if (!gp_sandbox_has(GP_CAP_NET_RAW) || gp_sandbox_has(GP_CAP_CHOWN) || !chown_refused)
        return 3;
    if (cfg->user && (getuid() == 0 || geteuid() == 0 || setuid(0) != -1))
        return 4;
    return 0;
}

static void capabilities(void **state)
{
    (void)state;
    if (geteuid() != 0 || !gp_sandbox_has(GP_CAP_NET_RAW))
        skip();
    gp_sandbox_config cfg = {.keep = GP_CAP_NET_RAW, .drop_caps = true, .seccomp = GP_SECCOMP_ON};
    assert_int_equal(in_child(only_raw_sockets, &cfg), 0);
    cfg.user = "nobody";
    assert_int_equal(in_child(only_raw_sockets, &cfg), 0);
    cfg.user = "65534"; /* the same by its number */
    assert_int_equal(in_child(only_raw_sockets, &cfg), 0);
}

static void unknown_user(void **state)
{
    (void)state;
    gp_error err = GP_ERROR_INIT;
    const gp_sandbox_config cfg = {.user = "no-such-user", .seccomp = GP_SECCOMP_OFF};
    assert_int_equal(gp_sandbox_enter(&cfg, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "'no-such-user'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_user),
        cmocka_unit_test(system_calls),
        cmocka_unit_test(capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
