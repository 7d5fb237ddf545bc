/* goprobe: the sensor. */
#include "proto/auth/token_command.h"
#include "proto/base/version.h"
#include "sensor/api/api.h"
#include "sensor/cmdline/cmdline.h"
#include "sensor/daemon.h"
#include "sensor/importer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int complain(const gp_error *err, int status)
{
    fprintf(stderr, "goprobe: %s\n", err->msg);
    return status;
}

static const char *environment(const char *name)
{
    return getenv(name);
}

/* A program in the kernel counts: as of the start, that is, since nothing that was given up comes back. */
static bool wants_kernel(const gp_sensor_config *cfg)
{
    for (size_t i = 0; i < cfg->ifaces.n; i++)
        if (cfg->ifaces.entries[i].cfg.in_kernel)
            return true;
    return false;
}

/* Before the log and everything else is opened: all of it is then done by the user that it will belong to.
 * Root that stays root keeps the right to other people's files, as the folder of a database of v4 may be. */
static gp_code enter_sandbox(const gp_sensor_config *cfg, gp_error *err)
{
    unsigned keep = GP_CAP_NET_RAW | GP_CAP_NET_BIND_SERVICE;
    if (!cfg->security.user)
        keep |= GP_CAP_DAC_OVERRIDE;
    if (cfg->api.socket_owner || cfg->api.socket_group)
        keep |= GP_CAP_CHOWN;
    if (wants_kernel(cfg))
        keep |= GP_CAP_BPF | GP_CAP_NET_ADMIN | GP_CAP_PERFMON;
    const gp_sandbox_config sandbox = {.user = cfg->security.user,
                                       .keep = keep,
                                       .drop_caps = cfg->security.drop_caps,
                                       .allow_bpf = wants_kernel(cfg),
                                       .seccomp = cfg->security.seccomp};
    return gp_sandbox_enter(&sandbox, err);
}

static void log_privileges(gp_log *log, const gp_sensor_config *cfg)
{
    static const char *const modes[] = {"on", "kill", "log", "off"};
    if (!gp_sandbox_has(GP_CAP_NET_RAW))
        gp_log_warn(
            log,
            "the capability CAP_NET_RAW is missing, so no interface can be captured: start goprobe as root, "
            "with AmbientCapabilities=CAP_NET_RAW in its systemd unit, or after 'setcap cap_net_raw+ep' of "
            "the program");
    gp_log_info(log, "privileges given up", GP_F_U64("uid", geteuid()),
                GP_F_BOOL("capabilities", cfg->security.drop_caps || cfg->security.user),
                GP_F_STR("seccomp", modes[cfg->security.seccomp]));
}

static int run(const gp_cmdline *c)
{
    gp_error err = GP_ERROR_INIT;
    gp_sensor_config cfg;
    gp_log *log = NULL;
    const gp_config_sources src = {c->config, c->flags, c->n_flags, environment};
    if (gp_sensor_config_load(&cfg, &src, &err) != GP_OK)
        return complain(&err, EXIT_FAILURE);
    const char *destination = cfg.logging.destination ? cfg.logging.destination : "stdout";
    gp_code rc = enter_sandbox(&cfg, &err);
    if (rc == GP_OK)
        rc = gp_log_open(&log, destination, cfg.logging.level, cfg.logging.encoding, &err);
    if (rc == GP_OK) {
        log_privileges(log, &cfg);
        for (size_t i = 0; i < cfg.warnings.n; i++)
            gp_log_warn(log, cfg.warnings.items[i]);
        gp_log_info(log, "loaded configuration", GP_F_STR("version", gp_version()),
                    GP_F_U64("interfaces", cfg.ifaces.n),
                    GP_F_BOOL("autodetection.enabled", cfg.autodetect.enabled));
        rc = gp_daemon_run(&cfg, &src, log, &err);
        if (rc != GP_OK)
            gp_log_error(log, "goprobe terminated with an error", GP_F_STR("error", err.msg));
    }
    gp_log_close(log);
    gp_sensor_config_free(&cfg);
    return rc == GP_OK ? EXIT_SUCCESS : complain(&err, EXIT_FAILURE);
}

/* Capture files come from anywhere: whoever reads them needs files, and no programs or sockets of other
 * kinds. */
static int import(const gp_cmdline *c)
{
    gp_error err = GP_ERROR_INIT;
    const gp_sandbox_config sandbox = {.seccomp = GP_SECCOMP_ON};
    if (gp_sandbox_enter(&sandbox, &err) != GP_OK)
        (void)fprintf(stderr, "goprobe: going on without: %s\n", err.msg);
    bool complete = false;
    if (gp_import_files(c, &complete, &err) != GP_OK)
        return complain(&err, EXIT_FAILURE);
    return complete ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int write_spec(const char *path)
{
    const gp_openapi doc = gp_sensor_openapi();
    gp_error err = GP_ERROR_INIT;
    return gp_openapi_write(&doc, path, &err) == GP_OK ? EXIT_SUCCESS : complain(&err, EXIT_FAILURE);
}

static int help(void)
{
    gp_buf text = GP_BUF_INIT;
    gp_cmdline_help(&text);
    bool ok = !text.failed && fputs(text.data, stdout) >= 0 && fflush(stdout) == 0;
    gp_buf_free(&text);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int version(void)
{
    printf("goprobe - %s:\n    Git hash:       %s\n", gp_version(), gp_version_commit());
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    gp_cmdline c;
    gp_error err = GP_ERROR_INIT;
    if (argc > 1 && strcmp(argv[1], "token") == 0)
        return gp_token_command("goprobe", argc - 1, argv + 1);
    if (gp_cmdline_parse(argc, argv, &c, &err) != GP_OK)
        return complain(&err, EXIT_USAGE);
    int status = EXIT_SUCCESS;
    switch (c.command) {
    case GP_CMD_RUN:
        status = run(&c);
        break;
    case GP_CMD_IMPORT:
        status = import(&c);
        break;
    case GP_CMD_SPEC:
        status = write_spec(c.spec_outfile);
        break;
    case GP_CMD_VERSION:
        status = version();
        break;
    case GP_CMD_HELP:
        status = help();
        break;
    }
    gp_cmdline_free(&c);
    return status;
}
