#include "sensor/cmdline/cmdline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct args {
    char **at; /* NULL-terminated */
    gp_error *err;
} args;

/* "--name=value" or "--name value"; one dash will do. What a flag was and what it says. */
typedef struct flag {
    char name[64];
    const char *inline_value; /* behind '=', or NULL */
} flag;

static gp_code split_flag(const char *text, flag *out, gp_error *err)
{
    const char *name = text + (text[1] == '-' ? 2 : 1);
    size_t len = strcspn(name, "=");
    if (len == 0 || len >= sizeof out->name)
        return gp_fail(err, GP_EINVAL, "unknown flag: %s (try 'goprobe help')", text);
    memcpy(out->name, name, len);
    out->name[len] = '\0';
    out->inline_value = name[len] == '=' ? name + len + 1 : NULL;
    return GP_OK;
}

static gp_code value_of(args *a, const flag *f, const char **out)
{
    if (f->inline_value) {
        *out = f->inline_value;
        return GP_OK;
    }
    if (!a->at[1])
        return gp_fail(a->err, GP_EINVAL, "flag needs an argument: --%s", f->name);
    *out = *++a->at;
    return GP_OK;
}

static gp_code add_setting(gp_cmdline *c, const char *key, const char *value, gp_error *err)
{
    gp_setting *more = reallocarray(c->flags, c->n_flags + 1, sizeof *more);
    if (!more)
        return gp_fail(err, GP_ENOMEM, "out of memory for the command line");
    c->flags = more;
    c->flags[c->n_flags++] = (gp_setting){key, value};
    return GP_OK;
}

/* A switch stands alone: "--api.metrics", or "--api.metrics=false". */
static bool is_switch(const gp_option *o)
{
    return o->type == GP_OPT_BOOL || strcmp(o->key, "tracing.enabled") == 0;
}

static gp_code config_flag(args *a, gp_cmdline *c, const flag *f)
{
    const gp_option *o = gp_config_option(f->name);
    if (!o)
        return gp_fail(a->err, GP_EINVAL, "unknown flag: --%s (try 'goprobe help')", f->name);
    const char *value = f->inline_value ? f->inline_value : "true";
    gp_code rc = is_switch(o) ? GP_OK : value_of(a, f, &value);
    return rc == GP_OK ? add_setting(c, o->key, value, a->err) : rc;
}

static bool named(const flag *f, const char *brief, const char *full)
{
    return strcmp(f->name, full) == 0 || (brief && strcmp(f->name, brief) == 0);
}

static gp_code run_flag(args *a, gp_cmdline *c, const flag *f)
{
    if (named(f, "c", "config"))
        return value_of(a, f, &c->config);
    if (named(f, NULL, "openapi.spec-outfile")) {
        c->command = GP_CMD_SPEC;
        return value_of(a, f, &c->spec_outfile);
    }
    if (named(f, "h", "help")) {
        c->command = GP_CMD_HELP;
        return GP_OK;
    }
    if (named(f, NULL, "version")) {
        c->command = GP_CMD_VERSION;
        return GP_OK;
    }
    return config_flag(a, c, f);
}

static gp_code parse_run(args *a, gp_cmdline *c)
{
    gp_code rc = GP_OK;
    for (; rc == GP_OK && *a->at; a->at++) {
        flag f = {0};
        if (**a->at != '-' || !(*a->at)[1])
            return gp_fail(
                a->err, GP_EINVAL,
                "unknown command \"%s\" (commands: import, token, version, help; the configuration file "
                "comes with -c)",
                *a->at);
        rc = split_flag(*a->at, &f, a->err);
        if (rc == GP_OK)
            rc = run_flag(a, c, &f);
    }
    return rc;
}

static gp_code import_flag(args *a, gp_cmdline *c, const flag *f)
{
    if (named(f, "d", "db"))
        return value_of(a, f, &c->db);
    if (named(f, "i", "iface"))
        return value_of(a, f, &c->iface);
    if (named(f, "e", "encoder"))
        return value_of(a, f, &c->codec);
    if (named(f, NULL, "local"))
        return value_of(a, f, &c->local);
    if (named(f, "h", "help")) {
        c->command = GP_CMD_HELP;
        return GP_OK;
    }
    return gp_fail(a->err, GP_EINVAL,
                   "unknown flag of import: --%s (flags: -d DB, -i IFACE, -e CODEC, --local NET)", f->name);
}

static gp_code parse_import(args *a, gp_cmdline *c)
{
    gp_code rc = GP_OK;
    c->command = GP_CMD_IMPORT;
    for (; rc == GP_OK && *a->at && **a->at == '-' && (*a->at)[1]; a->at++) {
        flag f = {0};
        if (strcmp(*a->at, "--") == 0) {
            a->at++;
            break;
        }
        rc = split_flag(*a->at, &f, a->err);
        if (rc == GP_OK)
            rc = import_flag(a, c, &f);
    }
    if (rc != GP_OK || c->command == GP_CMD_HELP)
        return rc;
    c->files = a->at;
    while (c->files[c->n_files])
        c->n_files++;
    if (!c->db || !c->iface || c->n_files == 0)
        return gp_fail(a->err, GP_EINVAL, "import: %s is missing (goprobe import -d DB -i IFACE FILE...)",
                       !c->db      ? "the database (-d)"
                       : !c->iface ? "the interface (-i)"
                                   : "a capture file");
    return GP_OK;
}

gp_code gp_cmdline_parse(int argc, char **argv, gp_cmdline *out, gp_error *err)
{
    *out = (gp_cmdline){.command = GP_CMD_RUN};
    if (argc < 2)
        return GP_OK;
    args a = {argv + 1, err};
    gp_code rc = GP_OK;
    if (strcmp(argv[1], "import") == 0) {
        a.at++;
        rc = parse_import(&a, out);
    } else if (strcmp(argv[1], "version") == 0) {
        out->command = GP_CMD_VERSION;
    } else if (strcmp(argv[1], "help") == 0) {
        out->command = GP_CMD_HELP;
    } else {
        rc = parse_run(&a, out);
    }
    if (rc != GP_OK)
        gp_cmdline_free(out);
    return rc;
}

void gp_cmdline_free(gp_cmdline *c)
{
    free(c->flags);
    *c = (gp_cmdline){.command = c->command};
}

static const char *metavar(const gp_option *o)
{
    switch (o->type) {
    case GP_OPT_BOOL:
        return "";
    case GP_OPT_INT:
        return " int";
    case GP_OPT_F64:
        return " float";
    case GP_OPT_LIST:
        return " a,b,...";
    case GP_OPT_MODE:
        return " mode";
    case GP_OPT_DURATION:
        return " duration";
    case GP_OPT_AGE:
        return " age";
    case GP_OPT_SIZE:
        return " bytes";
    default:
        return is_switch(o) ? "" : " string";
    }
}

void gp_cmdline_help(gp_buf *out)
{
    gp_buf_puts(out,
                "goprobe captures the metadata of network traffic (flows) into a local database.\n\n"
                "Usage:\n"
                "  goprobe [-c FILE] [flags]                         capture until stopped\n"
                "  goprobe import -d DB -i IFACE [-e CODEC] [--local NET,...] FILE...\n"
                "                                                    read capture files (pcap, pcapng);\n"
                "                                                    packets from NET count as sent\n"
                "  goprobe token new|list|remove ...                 tokens of clients, see --help\n"
                "  goprobe version\n"
                "  goprobe help\n\n"
                "Flags (each is also a key of the configuration file; as an environment variable,\n"
                "api.addr is API_ADDR):\n");
    gp_buf_printf(out, "  %-46s %s\n", "-c, --config string", "configuration file (YAML or JSON)");
    size_t n;
    const gp_option *options = gp_config_options(&n);
    for (size_t i = 0; i < n; i++) {
        char left[80];
        snprintf(left, sizeof left, "    --%s%s", options[i].key, metavar(&options[i]));
        gp_buf_printf(out, "  %-46s %s\n", left, options[i].help);
    }
    gp_buf_printf(out, "  %-46s %s\n", "    --openapi.spec-outfile string",
                  "write the OpenAPI document to a file and exit");
    gp_buf_puts(
        out, "\nSignals: SIGHUP reads the configuration file again; SIGTERM and SIGINT write all flows out "
             "and stop.\n");
}
