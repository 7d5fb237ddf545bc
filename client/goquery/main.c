#include "client/goquery/goquery.h"

#include "client/completion/completion.h"
#include "proto/base/version.h"

#include <stdlib.h>

/* A script for a shell, or what such a script asks for. */
static gp_code complete(const options *o, gp_error *err)
{
    gp_buf script = GP_BUF_INIT;
    gp_code code = GP_OK;
    if (o->n_rest < 2 || !gp_completion_script("goquery", o->rest[1], &script))
        code = run_completion(o, err);
    else if (script.failed)
        code = gp_fail(err, GP_ENOMEM, "out of memory for the script");
    else if (fwrite(script.data, 1, script.len, stdout) != script.len)
        code = gp_fail(err, GP_EIO, "cannot write to standard output");
    gp_buf_free(&script);
    return code;
}

static gp_code run(options *o, gp_error *err)
{
    switch (o->cmd) {
    case CMD_HELP:
        print_help();
        return GP_OK;
    case CMD_EXAMPLES:
        print_examples();
        return GP_OK;
    case CMD_VERSION:
        printf("goquery %s (%s)\n", gp_version(), gp_version_commit());
        return GP_OK;
    case CMD_LIST:
        return run_list(o, err);
    case CMD_COMPLETION:
        return complete(o, err);
    default:
        return run_query(o, err);
    }
}

int main(int argc, char **argv)
{
    options o;
    gp_error err = GP_ERROR_INIT;
    gp_code code = options_parse(argc, argv, &o, &err);
    if (code == GP_OK)
        code = run(&o, &err);
    options_free(&o);
    if (fflush(stdout) != 0 && code == GP_OK)
        code = gp_fail(&err, GP_EIO, "failed to print query result");
    if (code != GP_OK) {
        fprintf(stderr, "Error running query: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
