/* gpdb - imports, merges, indexes, checks, repairs, prunes and exports flow databases. */
#include "client/gpdb/gpdb.h"

#include "client/completion/completion.h"
#include "client/term/term.h"
#include "proto/base/strlist.h"
#include "proto/base/version.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>
#include <string.h>

gp_code check_interrupt(gp_error *err)
{
    return gp_interrupted(NULL) ? gp_fail(err, GP_ECANCELED, "interrupted") : GP_OK;
}

static bool has_name(char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

gp_code select_ifaces(const options *o, const char *db, char ***out, size_t *n, gp_error *err)
{
    char **all = NULL;
    size_t n_all = 0;
    gp_code code = gp_db_list_ifaces(db, &all, &n_all, err);
    *out = NULL;
    *n = 0;
    if (code != GP_OK || o->n_ifaces == 0) {
        *out = all;
        *n = n_all;
        return code;
    }
    for (size_t i = 0; i < o->n_ifaces && code == GP_OK; i++) {
        if (!has_name(all, n_all, o->ifaces[i]))
            code = gp_fail(err, GP_ENOTFOUND, "requested interface `%s` not found in %s", o->ifaces[i],
                           o->cmd == CMD_MERGE ? "source" : "the database");
        else if (!has_name(*out, *n, o->ifaces[i]))
            code = gp_strlist_add(out, n, o->ifaces[i], err);
    }
    gp_strlist_free(all, n_all);
    return gp_strlist_finish(out, n, code);
}

static gp_code run(const options *o, int *exit_code, gp_error *err)
{
    static gp_code (*const commands[CMD_COUNT])(const options *, int *, gp_error *) = {
        [CMD_CHECK] = run_check,   [CMD_EXPORT] = run_export, [CMD_IMPORT] = run_import,
        [CMD_INDEX] = run_index,   [CMD_MERGE] = run_merge,   [CMD_PRUNE] = run_prune,
        [CMD_REPAIR] = run_repair, [CMD_STATS] = run_stats,
    };
    if (o->cmd == CMD_HELP) {
        help_print(stdout, o->help_for);
        return GP_OK;
    }
    if (o->cmd == CMD_VERSION) {
        printf("gpdb - %s:\n    Git hash:       %s\n", gp_version(), gp_version_commit());
        return GP_OK;
    }
    if (o->cmd == CMD_COMPLETION)
        return gp_completion_print("gpdb", o->args[0], err);
    gp_block_interrupts();
    return commands[o->cmd](o, exit_code, err);
}

int main(int argc, char **argv)
{
    options o;
    gp_error err = GP_ERROR_INIT;
    int exit_code = EXIT_SUCCESS;
    gp_code code = options_parse(argc, argv, &o, &err);
    if (argc < 2) {
        help_print(stderr, CMD_NONE);
        fputc('\n', stderr);
    }
    if (code == GP_OK)
        code = run(&o, &exit_code, &err);
    if (fflush(stdout) != 0 && code == GP_OK)
        code = gp_fail(&err, GP_EIO, "cannot write to standard output");
    options_free(&o);
    if (code == GP_OK)
        return exit_code;
    fprintf(stderr, "Error running command: %s\n", err.msg);
    return EXIT_FAILURE;
}
