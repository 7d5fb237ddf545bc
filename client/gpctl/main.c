/* gpctl - shows and changes what a running goprobe captures. */
#include "client/completion/completion.h"
#include "client/gpctl/fleet.h"
#include "client/term/term.h"
#include "proto/base/version.h"

#include <stdlib.h>
#include <unistd.h>

static gp_code talk_to_one(const options *o, const target *t, bool color, gp_buf *out, gp_error *err)
{
    gp_client *c = NULL;
    gp_code rc = gp_client_new(&c, &t->cfg, err);
    if (rc == GP_OK)
        rc = o->cmd == CMD_STATUS   ? run_status(o, c, color, out, err)
             : o->cmd == CMD_CONFIG ? run_config(o, c, color, out, err)
                                    : run_log_level(o, c, out, err);
    gp_client_free(c);
    return rc;
}

static gp_code talk(const options *o, gp_buf *out, gp_error *err)
{
    bool color = gp_term_colored(STDOUT_FILENO);
    targets t;
    gp_code rc = targets_make(o, &t, err);
    gp_block_interrupts();
    if (rc == GP_OK)
        rc = t.n == 1 && !o->endpoints && o->format == FORMAT_TXT
                 ? talk_to_one(o, &t.items[0], color, out, err)
                 : run_fleet(o, &t, color, out, err);
    targets_free(&t);
    if (out->failed)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for the output");
    return rc;
}

static int fail_with(const gp_error *err)
{
    fprintf(stderr, "Error running command: %s\n", err->msg);
    return EXIT_FAILURE;
}

static int print(const gp_buf *out)
{
    if (out->len && fwrite(out->data, 1, out->len, stdout) != out->len)
        return EXIT_FAILURE;
    if (fflush(stdout) == 0)
        return EXIT_SUCCESS;
    perror("gpctl: cannot write to standard output");
    return EXIT_FAILURE;
}

static int run(const options *o)
{
    gp_error err = GP_ERROR_INIT;
    gp_buf out = GP_BUF_INIT;
    if (o->cmd == CMD_HELP) {
        help_print(stdout, o->help_for);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    gp_code code = GP_OK;
    if (o->cmd == CMD_VERSION)
        gp_buf_printf(&out, "gpctl - %s:\n    Git hash:       %s\n", gp_version(), gp_version_commit());
    else if (o->cmd != CMD_COMPLETION)
        code = talk(o, &out, &err);
    else
        code = gp_completion_print("gpctl", o->ifaces[0], &err);
    int rc = print(&out); /* of a fleet also where some hosts failed */
    gp_buf_free(&out);
    return code == GP_OK ? rc : fail_with(&err);
}

int main(int argc, char **argv)
{
    options o;
    gp_error err = GP_ERROR_INIT;
    gp_code rc = options_parse(argc, argv, &o, &err);
    int exit_code;
    if (rc == GP_OK) {
        exit_code = run(&o);
    } else {
        if (rc == GP_EINVAL) {
            help_print(stderr, o.cmd == CMD_HELP ? CMD_NONE : o.cmd);
            fputc('\n', stderr);
        }
        exit_code = fail_with(&err);
    }
    options_free(&o);
    return exit_code;
}
