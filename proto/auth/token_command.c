#include "proto/auth/token_command.h"

#include "proto/auth/tokens.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

typedef struct request {
    const char *verb, *name, *file, *scopes, *group;
    gid_t gid; /* of `group` */
    bool help;
} request;

static void print_help(const char *program, FILE *to)
{
    (void)fprintf(
        to,
        "%s token - make, list and remove the tokens by which clients are known\n"
        "\n"
        "Usage:\n"
        "  %s token new NAME --file FILE [--scopes query,control] [--group GROUP]\n"
        "  %s token list --file FILE\n"
        "  %s token remove NAME --file FILE\n"
        "\n"
        "new prints the token, once: FILE keeps a salted hash of it only. A running service reads FILE\n"
        "again by itself. Scopes: query (the default) may ask, control may change settings.\n"
        "\n"
        "--group lets a group read FILE, for a service with a user of its own. Without, a new FILE is for "
        "its\n"
        "owner; if root makes it in a folder of root's with another group (the packages' /etc/goprobe), for\n"
        "that group, too.\n"
        "\n"
        "Example:\n"
        "  (umask 077; %s token new gpctl --file tokens --scopes query,control >gpctl.token)\n",
        program, program, program, program, program);
}

/* "--file F" and "--file=F". */
static bool take_flag(const char *name, char **argv, int argc, int *i, const char **out)
{
    size_t len = strlen(name);
    const char *arg = argv[*i];
    if (strncmp(arg, name, len) != 0 || (arg[len] && arg[len] != '='))
        return false;
    if (arg[len])
        *out = arg + len + 1;
    else
        *out = ++*i < argc ? argv[*i] : "";
    return true;
}

static gp_code find_group(const char *name, gid_t *out, gp_error *err)
{
    errno = 0;
    const struct group *group = getgrnam(name); /* one thread */
    if (!group)
        return errno ? gp_fail_errno(err, errno, "cannot look up the group %s", name)
                     : gp_fail(err, GP_EINVAL, "there is no group named '%s'", name);
    *out = group->gr_gid;
    return GP_OK;
}

static gp_code parse(int argc, char **argv, request *r, gp_error *err)
{
    *r = (request){.scopes = "query"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            r->help = true;
            return GP_OK;
        }
        if (take_flag("--file", argv, argc, &i, &r->file) ||
            take_flag("--scopes", argv, argc, &i, &r->scopes) ||
            take_flag("--group", argv, argc, &i, &r->group))
            continue;
        if (argv[i][0] == '-' || r->name)
            return gp_fail(err, GP_EINVAL, "unexpected argument: %s", argv[i]);
        *(r->verb ? &r->name : &r->verb) = argv[i];
    }
    if (!r->verb)
        return gp_fail(err, GP_EINVAL, "what to do is missing (new, list or remove)");
    bool lists = strcmp(r->verb, "list") == 0;
    if (!lists && strcmp(r->verb, "new") != 0 && strcmp(r->verb, "remove") != 0)
        return gp_fail(err, GP_EINVAL, "unknown command: token %s (there are: new, list, remove)", r->verb);
    if (lists != !r->name)
        return gp_fail(err, GP_EINVAL,
                       lists ? "token list takes no name" : "the name of the token is missing");
    if (!r->file || !*r->file)
        return gp_fail(err, GP_EINVAL, "the tokens file is missing (--file FILE)");
    if (r->group && strcmp(r->verb, "new") != 0)
        return gp_fail(err, GP_EINVAL, "token %s takes no --group", r->verb);
    return r->group ? find_group(r->group, &r->gid, err) : GP_OK;
}

static gp_code make(const request *r, gp_tokens *t, gp_error *err)
{
    char token[GP_TOKEN_LEN + 1];
    gp_scopes scopes = 0;
    gp_code rc = gp_scopes_parse(r->scopes, &scopes, err);
    if (rc == GP_OK)
        rc = gp_token_make(token, err);
    if (rc == GP_OK)
        rc = gp_tokens_add(t, r->name, scopes, token, err);
    if (rc == GP_OK)
        rc = gp_tokens_save(t, r->file, r->group ? &r->gid : NULL, err);
    if (rc == GP_OK && (printf("%s\n", token) < 0 || fflush(stdout) != 0))
        rc = gp_fail(err, GP_EIO, "cannot print the token: remove it and make another");
    return rc;
}

static gp_code list(const gp_tokens *t, gp_error *err)
{
    gp_buf out = GP_BUF_INIT;
    for (size_t i = 0; i < t->n; i++) {
        gp_buf_printf(&out, "%-24s ", t->items[i].who.name);
        gp_scopes_write(t->items[i].who.scopes, &out);
        gp_buf_putc(&out, '\n');
    }
    bool ok = !out.failed && (!out.len || fputs(out.data, stdout) >= 0) && fflush(stdout) == 0;
    gp_buf_free(&out);
    return ok ? GP_OK : gp_fail(err, GP_EIO, "cannot print the tokens");
}

static gp_code run(const request *r, gp_error *err)
{
    gp_tokens t;
    bool fresh = strcmp(r->verb, "new") == 0;
    gp_code rc = gp_tokens_load(r->file, &t, err);
    if (rc == GP_ENOTFOUND && fresh)
        rc = GP_OK;
    if (rc != GP_OK)
        return rc;
    if (fresh)
        rc = make(r, &t, err);
    else if (!r->name)
        rc = list(&t, err);
    else if ((rc = gp_tokens_remove(&t, r->name, err)) == GP_OK)
        rc = gp_tokens_save(&t, r->file, NULL, err);
    gp_tokens_free(&t);
    return rc;
}

int gp_token_command(const char *program, int argc, char **argv)
{
    request r;
    gp_error err = GP_ERROR_INIT;
    if (parse(argc, argv, &r, &err) != GP_OK) {
        (void)fprintf(stderr, "%s: %s\n\n", program, err.msg);
        print_help(program, stderr);
        return EXIT_USAGE;
    }
    if (r.help) {
        print_help(program, stdout);
        return EXIT_SUCCESS;
    }
    if (run(&r, &err) == GP_OK)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "%s: %s\n", program, err.msg);
    return EXIT_FAILURE;
}
