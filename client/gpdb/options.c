#include "client/gpdb/gpdb.h"
#include "proto/base/strlist.h"
#include "proto/base/suggest.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/retention.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TOLERANCE_NS (150 * GP_NS_PER_SEC)

typedef enum kind { K_STRING, K_LIST, K_BOOL, K_INT, K_DURATION, K_AGE, K_SIZE } kind;

#define ON(cmd) (1u << (cmd))

typedef struct flag {
    const char *name;
    char letter; /* 0: none */
    kind kind;
    unsigned commands; /* ON(CMD_...) of those that know it */
    size_t offset;     /* in options */
} flag;

#define OPT(field) offsetof(options, field)

static const flag flags[] = {
    {"aside", 0, K_STRING, ON(CMD_REPAIR), OPT(aside)},
    {"complete-tolerance", 0, K_DURATION, ON(CMD_MERGE), OPT(tolerance_ns)},
    {"dry-run", 0, K_BOOL, ON(CMD_INDEX) | ON(CMD_MERGE) | ON(CMD_PRUNE) | ON(CMD_REPAIR), OPT(dry_run)},
    {"encoder", 0, K_STRING, ON(CMD_IMPORT), OPT(encoder)},
    {"first", 'f', K_STRING, ON(CMD_EXPORT), OPT(first)},
    {"format", 'e', K_STRING, ON(CMD_EXPORT) | ON(CMD_STATS), OPT(format)},
    {"iface", 0, K_STRING, ON(CMD_IMPORT), OPT(iface)},
    {"iface", 0, K_LIST,
     ON(CMD_CHECK) | ON(CMD_EXPORT) | ON(CMD_INDEX) | ON(CMD_MERGE) | ON(CMD_PRUNE) | ON(CMD_REPAIR) |
         ON(CMD_STATS),
     OPT(ifaces)},
    {"last", 'l', K_STRING, ON(CMD_EXPORT), OPT(last)},
    {"level", 0, K_INT, ON(CMD_IMPORT), OPT(level)},
    {"max-age", 0, K_AGE, ON(CMD_PRUNE), OPT(max_age_s)},
    {"max-rows", 'n', K_INT, ON(CMD_IMPORT), OPT(max_rows)},
    {"max-size", 0, K_SIZE, ON(CMD_PRUNE), OPT(max_size)},
    {"output", 'o', K_STRING, ON(CMD_EXPORT), OPT(output)},
    {"overwrite", 0, K_BOOL, ON(CMD_MERGE), OPT(overwrite)},
    {"permissions", 0, K_STRING, ON(CMD_IMPORT), OPT(permissions)},
    {"schema", 0, K_STRING, ON(CMD_IMPORT), OPT(schema)},
    {"today", 0, K_BOOL, ON(CMD_REPAIR), OPT(today)},
};
enum { N_FLAGS = sizeof flags / sizeof flags[0], OPT_BASE = 256 };

static const struct {
    const char *name;
    command cmd;
    size_t n_args;
} commands[] = {{"check", CMD_CHECK, 1}, {"completion", CMD_COMPLETION, 1}, {"export", CMD_EXPORT, 1},
                {"help", CMD_HELP, 1},   {"import", CMD_IMPORT, 2},         {"index", CMD_INDEX, 1},
                {"merge", CMD_MERGE, 2}, {"prune", CMD_PRUNE, 1},           {"repair", CMD_REPAIR, 1},
                {"stats", CMD_STATS, 1}, {"version", CMD_VERSION, 0}};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static gp_code find_command(const char *name, size_t *out, gp_error *err)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) {
            *out = i;
            return GP_OK;
        }
    gp_suggestion near = {0};
    for (size_t i = 0; i < N_COMMANDS; i++)
        gp_suggest(&near, name, strlen(name), commands[i].name);
    return near.best ? gp_fail(err, GP_EINVAL, "unknown command \"%s\" for \"gpdb\" (did you mean %s?)", name,
                               near.best)
                     : gp_fail(err, GP_EINVAL, "unknown command \"%s\" for \"gpdb\"", name);
}

/* ---- values -------------------------------------------------------------------------------------------- */

static gp_code bad_value(const flag *f, const char *value, const char *why, gp_error *err)
{
    if (f->letter)
        return gp_fail(err, GP_EINVAL, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s", value, f->letter,
                       f->name, why);
    return gp_fail(err, GP_EINVAL, "invalid argument \"%s\" for \"--%s\" flag: %s", value, f->name, why);
}

static gp_code set_bool(const flag *f, const char *value, bool *out, gp_error *err)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};
    *out = value == NULL;
    for (size_t i = 0; value && i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(value, no[i]) == 0)
            return GP_OK;
        *out = *out || strcmp(value, yes[i]) == 0;
    }
    return *out ? GP_OK : bad_value(f, value, "write true or false", err);
}

static gp_code set_int(const flag *f, const char *value, int64_t *out, gp_error *err)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (end == value || *end || errno || isspace((unsigned char)*value))
        return bad_value(f, value, "not a whole number", err);
    *out = v;
    return GP_OK;
}

static gp_code add_to_list(options *o, const char *value, gp_error *err)
{
    gp_code code = GP_OK;
    while (code == GP_OK) {
        while (*value == ' ')
            value++;
        size_t len = strcspn(value, ",");
        size_t kept = len;
        while (kept && value[kept - 1] == ' ')
            kept--;
        char *name = strndup(value, kept);
        if (!name)
            return gp_fail(err, GP_ENOMEM, "out of memory");
        if (*name)
            code = gp_strlist_add(&o->ifaces, &o->n_ifaces, name, err);
        free(name);
        if (value[len] == '\0')
            break;
        value += len + 1;
    }
    return code;
}

static gp_code set_flag(options *o, const flag *f, const char *value, gp_error *err)
{
    char *field = (char *)o + f->offset;
    gp_error why = GP_ERROR_INIT;
    if (!value && f->kind != K_BOOL)
        return gp_fail(err, GP_EINVAL, "flag needs an argument: --%s", f->name);
    switch (f->kind) {
    case K_STRING:
        *(const char **)field = value;
        return GP_OK;
    case K_LIST:
        return add_to_list(o, value, err);
    case K_BOOL:
        return set_bool(f, value, (bool *)field, err);
    case K_INT:
        return set_int(f, value, (int64_t *)field, err);
    case K_DURATION:
        if (gp_duration_parse(value, (int64_t *)field, &why) != GP_OK)
            return bad_value(f, value, why.msg, err);
        return GP_OK;
    case K_AGE:
        if (gp_retention_parse_age(value, (int64_t *)field, &why) != GP_OK)
            return bad_value(f, value, why.msg, err);
        return GP_OK;
    case K_SIZE:
        if (gp_retention_parse_size(value, (int64_t *)field, &why) != GP_OK)
            return bad_value(f, value, why.msg, err);
        return GP_OK;
    }
    return GP_OK;
}

/* ---- the line ------------------------------------------------------------------------------------------ */

/* The flags of one command, as getopt_long wants them. */
static void make_getopt(command cmd, struct option *longs, char *shorts)
{
    size_t n = 0;
    *shorts++ = ':';
    *shorts++ = 'h';
    longs[n++] = (struct option){"help", no_argument, NULL, 'h'};
    for (size_t i = 0; i < N_FLAGS; i++) {
        bool is_bool = flags[i].kind == K_BOOL;
        if (!(flags[i].commands & ON(cmd)))
            continue;
        longs[n++] = (struct option){flags[i].name, is_bool ? optional_argument : required_argument, NULL,
                                     OPT_BASE + (int)i};
        if (!flags[i].letter)
            continue;
        *shorts++ = flags[i].letter;
        if (!is_bool)
            *shorts++ = ':';
    }
    longs[n] = (struct option){0};
    *shorts = '\0';
}

static const flag *find_flag(int opt)
{
    if (opt >= OPT_BASE)
        return &flags[opt - OPT_BASE];
    for (size_t i = 0; i < N_FLAGS; i++)
        if (flags[i].letter == opt)
            return &flags[i];
    return NULL;
}

static gp_code bad_flag(int opt, char **argv, gp_error *err)
{
    const char *word = argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;
    if (opt == ':')
        return gp_fail(err, GP_EINVAL, "flag needs an argument: %s", word);
    if (is_long || optopt == 0)
        return gp_fail(err, GP_EINVAL, "unknown flag: %s", word);
    return gp_fail(err, GP_EINVAL, "unknown shorthand flag: '%c' in %s", optopt, word);
}

/* argv[0] is the command. */
static gp_code read_flags(int argc, char **argv, options *o, bool *help, gp_error *err)
{
    struct option longs[N_FLAGS + 2];
    char shorts[2 * N_FLAGS + 3];
    make_getopt(o->cmd, longs, shorts);
    opterr = 0;
    optind = 1;
    for (;;) {
        int opt = getopt_long(argc, argv, shorts, longs, NULL);
        const flag *f = opt > 0 ? find_flag(opt) : NULL;
        gp_code code = GP_OK;
        if (opt == -1)
            return GP_OK;
        if (opt == 'h')
            *help = true;
        else if (!f)
            code = bad_flag(opt, argv, err);
        else /* "-n=5" means what "-n 5" means */
            code = set_flag(o, f, optarg && opt < OPT_BASE && *optarg == '=' ? optarg + 1 : optarg, err);
        if (code != GP_OK)
            return code;
    }
}

static gp_code take_args(int argc, char **argv, size_t which, options *o, gp_error *err)
{
    size_t n = (size_t)(argc - optind);
    size_t needed = commands[which].n_args;
    if (o->cmd == CMD_HELP && n == 0)
        return GP_OK;
    if (n != needed)
        return gp_fail(err, GP_EINVAL, "accepts %zu arg(s), received %zu", needed, n);
    for (size_t i = 0; i < n; i++)
        o->args[i] = argv[optind + (int)i];
    o->n_args = n;
    if (o->cmd != CMD_HELP)
        return GP_OK;
    size_t about = 0;
    gp_code code = find_command(o->args[0], &about, err);
    if (code == GP_OK)
        o->help_for = commands[about].cmd;
    return code;
}

/* --iface of import: white space around it does not count, and an empty one is none. */
static void trim_iface(options *o)
{
    while (o->iface && isspace((unsigned char)*o->iface))
        o->iface++;
    if (o->iface && !*o->iface)
        o->iface = NULL;
}

static gp_code parse_command(int argc, char **argv, size_t which, options *o, gp_error *err)
{
    bool help = false;
    o->cmd = commands[which].cmd;
    gp_code code = read_flags(argc, argv, o, &help, err);
    if (code == GP_OK && help) {
        o->help_for = o->cmd;
        o->cmd = CMD_HELP;
        return GP_OK;
    }
    if (code == GP_OK)
        code = take_args(argc, argv, which, o, err);
    trim_iface(o);
    return code;
}

gp_code options_parse(int argc, char **argv, options *o, gp_error *err)
{
    size_t which = 0;
    *o = (options){.tolerance_ns = DEFAULT_TOLERANCE_NS};
    if (argc < 2)
        return gp_fail(err, GP_EINVAL, "no sub-command provided");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        o->cmd = CMD_HELP;
        return GP_OK;
    }
    gp_code code = argv[1][0] == '-' ? gp_fail(err, GP_EINVAL, "unknown flag: %s", argv[1])
                                     : find_command(argv[1], &which, err);
    return code == GP_OK ? parse_command(argc - 1, argv + 1, which, o, err) : code;
}

void options_free(options *o)
{
    gp_strlist_free(o->ifaces, o->n_ifaces);
    *o = (options){0};
}
