#include "client/goquery/goquery.h"

#include "client/completion/completion.h"
#include "proto/base/version.h"

#include <stdlib.h>

/* A script for a shell, or what such a script asks for. */
static gp_code complete(const options *o, gp_error *err)
{
    gp_code code = o->n_rest < 2 ? GP_EINVAL : gp_completion_print("goquery", o->rest[1], err);
    return code == GP_EINVAL ? run_completion(o, err) : code;
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
