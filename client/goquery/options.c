#include "client/goquery/goquery.h"

#include "client/gpclient.h"
#include "proto/base/suggest.h"
#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A flag: its name (also in configuration files and, upper case with '_', in the environment of one), and
 * what it sets. */
typedef enum kind { K_STRING, K_BOOL, K_UINT, K_INT, K_DURATION, K_IGNORED, K_IGNORED_BOOL } kind;

typedef struct flag {
    const char *name;
    char letter; /* 0: none */
    kind kind;
    size_t offset;     /* in options */
    bool configurable; /* v4 reads these from configuration files, too */
} flag;

#define OPT(field) offsetof(options, field)

static const flag flags[] = {
    {"condition", 'c', K_STRING, OPT(args.condition), false},
    {"config", 0, K_IGNORED, 0, false}, /* read before the others */
    {"db.path", 'd', K_STRING, OPT(db), true},
    {"dns-resolution.enabled", 'r', K_BOOL, OPT(args.dns.enabled), false},
    {"dns-resolution.max-rows", 0, K_INT, OPT(args.dns.max_rows), false},
    {"dns-resolution.timeout", 0, K_DURATION, OPT(args.dns.timeout_ns), false},
    {"first", 'f', K_STRING, OPT(args.first), true},
    {"ifaces", 'i', K_STRING, OPT(args.ifaces), false},
    {"format", 0, K_STRING, OPT(args.format), false}, /* short for results.format */
    {"in", 0, K_BOOL, OPT(args.in), false},
    {"last", 'l', K_STRING, OPT(args.last), true},
    {"logging.level", 0, K_IGNORED, 0, true},
    {"memory.low-mode", 0, K_BOOL, OPT(args.low_mem), false},
    {"memory.max-pct", 0, K_INT, OPT(args.max_mem_pct), false},
    {"out", 0, K_BOOL, OPT(args.out), false},
    {"plot", 0, K_BOOL, OPT(plot), false},
    {"profiling.output-dir", 0, K_IGNORED, 0, true},
    {"query.hosts-resolution", 'q', K_STRING, OPT(args.query_hosts), false},
    {"query.hosts-resolver-type", 0, K_STRING, OPT(args.query_hosts_resolver_type), false},
    {"query.keepalive", 'k', K_DURATION, OPT(args.keepalive_ns), false},
    {"query.live", 0, K_BOOL, OPT(args.live), false},
    {"query.log", 0, K_STRING, OPT(query_log), true},
    {"query.server.addr", 0, K_STRING, OPT(server), true},
    {"query.server.tls.ca", 0, K_STRING, OPT(tls_ca), true},
    {"query.server.tls.cert", 0, K_STRING, OPT(tls_cert), true},
    {"query.server.tls.key", 0, K_STRING, OPT(tls_key), true},
    {"query.server.token-file", 0, K_STRING, OPT(token_file), true},
    {"query.stats", 0, K_BOOL, OPT(query_stats), true},
    {"query.streaming", 0, K_BOOL, OPT(streaming), true},
    {"query.sum-hosts", 0, K_BOOL, OPT(args.sum_hosts), false},
    {"query.time-resolution", 0, K_STRING, OPT(args.time_resolution), true},
    {"query.timeout", 0, K_DURATION, OPT(timeout_ns), true},
    {"results.format", 'e', K_STRING, OPT(args.format), true},
    {"results.limit", 'n', K_UINT, OPT(args.num_results), false},
    {"sort.ascending", 'a', K_BOOL, OPT(args.sort_ascending), false},
    {"sort.by", 's', K_STRING, OPT(args.sort_by), false},
    {"stored-query", 0, K_STRING, OPT(stored_query), true},
    {"sum", 0, K_BOOL, OPT(args.sum), false},
    {"traceparent", 0, K_IGNORED, 0, false},
    {"tracing.collector.endpoint", 0, K_IGNORED, 0, true},
    {"tracing.collector.type", 0, K_IGNORED, 0, true},
    {"tracing.enabled", 0, K_IGNORED_BOOL, 0, true},
};
enum { N_FLAGS = sizeof flags / sizeof flags[0], OPT_BASE = 256, OPT_HELP = 1000, OPT_VERBOSE };

static bool is_bool(kind k)
{
    return k == K_BOOL || k == K_IGNORED_BOOL;
}

static gp_code set_bool(const flag *f, const char *value, bool *out, gp_error *err)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};
    *out = value == NULL;
    for (size_t i = 0; value && i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(value, yes[i]) == 0) {
            *out = true;
            return GP_OK;
        }
        if (strcmp(value, no[i]) == 0)
            return GP_OK;
    }
    return !value ? GP_OK
                  : gp_fail(err, GP_EINVAL, "invalid argument \"%s\" for \"--%s\" flag: write true or false",
                            value, f->name);
}

static gp_code set_number(const flag *f, const char *value, void *field, gp_error *err)
{
    if (!value)
        return gp_fail(err, GP_EINVAL, "flag needs an argument: --%s", f->name);
    char *end = NULL;
    errno = 0;
    bool negative = strchr(value, '-') != NULL;
    unsigned long long v = negative ? 0 : strtoull(value, &end, 10);
    if (negative || errno || end == value || *end || v > INT64_MAX)
        return gp_fail(err, GP_EINVAL, "invalid argument \"%s\" for \"--%s\" flag: not a whole number", value,
                       f->name);
    if (f->kind == K_UINT)
        *(uint64_t *)field = v;
    else
        *(int64_t *)field = (int64_t)v;
    return GP_OK;
}

static gp_code set_flag(options *o, const flag *f, const char *value, gp_error *err)
{
    void *field = (char *)o + f->offset;
    gp_code code = GP_OK;
    bool ignored;
    switch (f->kind) {
    case K_STRING:
        return gp_args_set(field, value, err);
    case K_BOOL:
        return set_bool(f, value, field, err);
    case K_UINT:
    case K_INT:
        return set_number(f, value, field, err);
    case K_DURATION:
        code = gp_duration_parse(value, field, err);
        if (code != GP_OK)
            gp_error_prefix(err, "invalid argument \"%s\" for \"--%s\" flag", value, f->name);
        return code;
    case K_IGNORED_BOOL:
        return set_bool(f, value, &ignored, err);
    case K_IGNORED:
        return GP_OK;
    }
    return code;
}

/* ---- configuration file -------------------------------------------------------------------------------- */

static const char *env_of(const flag *f)
{
    char name[64];
    size_t n = 0;
    for (const char *p = f->name; *p && n + 1 < sizeof name; p++)
        name[n++] = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    name[n] = '\0';
    return getenv(name);
}

/* As in v4, the environment counts only together with a configuration file. */
static gp_code apply_config(options *o, const char *path, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    gp_code code = gp_yaml_load(&doc, path, err);
    if (code != GP_OK) {
        gp_error_prefix(err, "failed to read in config");
        return code;
    }
    for (size_t i = 0; i < N_FLAGS && code == GP_OK; i++) {
        const char *value = NULL;
        if (!flags[i].configurable)
            continue;
        code = gp_yaml_str(gp_yaml_find(gp_yaml_root(doc), flags[i].name), &value, err);
        if (code == GP_OK && env_of(&flags[i]))
            value = env_of(&flags[i]);
        if (code == GP_OK && value)
            code = set_flag(o, &flags[i], value, err);
    }
    gp_yaml_free(doc);
    return code;
}

/* ---- command line -------------------------------------------------------------------------------------- */

static void make_getopt(struct option *longs, char *shorts)
{
    size_t n = 0;
    *shorts++ = ':';
    for (size_t i = 0; i < N_FLAGS; i++) {
        bool flag_only = is_bool(flags[i].kind);
        longs[n++] = (struct option){flags[i].name, flag_only ? optional_argument : required_argument, NULL,
                                     OPT_BASE + (int)i};
        if (!flags[i].letter)
            continue;
        *shorts++ = flags[i].letter;
        if (!flag_only)
            *shorts++ = ':';
    }
    *shorts++ = 'h';
    *shorts++ = 'v';
    *shorts = '\0';
    longs[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    longs[n++] = (struct option){"version", no_argument, NULL, OPT_VERBOSE};
    longs[n++] = (struct option){"detailed", no_argument, NULL, OPT_VERBOSE};
    longs[n] = (struct option){0};
}

static const flag *flag_of(int opt)
{
    if (opt >= OPT_BASE && opt < OPT_BASE + N_FLAGS)
        return &flags[opt - OPT_BASE];
    for (size_t i = 0; i < N_FLAGS; i++)
        if (flags[i].letter && flags[i].letter == opt)
            return &flags[i];
    return NULL;
}

static gp_code fail_unknown(const char *word, gp_error *err)
{
    const char *name = word + strspn(word, "-");
    gp_suggestion near = {0};
    for (size_t i = 0; i < N_FLAGS; i++)
        gp_suggest(&near, name, strcspn(name, "="), flags[i].name);
    if (near.best)
        return gp_fail(err, GP_EINVAL, "unknown flag: %s (did you mean --%s?)", word, near.best);
    return gp_fail(err, GP_EINVAL, "unknown flag: %s (see goquery --help)", word);
}

static gp_code fail_option(int c, char **argv, const struct option *longs, gp_error *err)
{
    const char *word = argv[optind - 1];
    if (c == ':') {
        const flag *f = flag_of(optopt);
        return gp_fail(err, GP_EINVAL, "flag needs an argument: %s%s", f ? "--" : "", f ? f->name : word);
    }
    (void)longs;
    if (optopt && optopt < OPT_BASE)
        return gp_fail(err, GP_EINVAL, "unknown shorthand flag: '%c' (see goquery --help)", optopt);
    return fail_unknown(word, err);
}

typedef struct scan {
    bool help, verbose;
    const char *config;
} scan;

/* pass 1 only looks for --config; pass 2 sets the flags, which win over the file. */
static gp_code scan_flags(int argc, char **argv, options *o, unsigned pass, scan *s, gp_error *err)
{
    struct option longs[N_FLAGS + 4];
    char shorts[2 * N_FLAGS + 4];
    make_getopt(longs, shorts);
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const flag *f = flag_of(c);
        if (c == 'h' || c == OPT_HELP) {
            s->help = true;
        } else if (c == 'v' || c == OPT_VERBOSE) {
            s->verbose = true;
        } else if (!f) {
            return fail_option(c, argv, longs, err);
        } else if (strcmp(f->name, "config") == 0) {
            s->config = optarg;
        } else if (pass == 2) {
            /* "-n=5" means what "-n 5" means. */
            const char *value = optarg && c < OPT_BASE && optarg[0] == '=' ? optarg + 1 : optarg;
            gp_code code = set_flag(o, f, value, err);
            if (code != GP_OK)
                return code;
        }
    }
    return GP_OK;
}

static gp_code set_defaults(options *o, gp_error *err)
{
    gp_code code = gp_args_set(&o->args.format, "txt", err);
    if (code == GP_OK)
        code = gp_args_set(&o->args.sort_by, "bytes", err);
    if (code == GP_OK)
        code = gp_args_set(&o->args.time_resolution, "5m", err);
    if (code == GP_OK)
        code = gp_args_set(&o->args.query_hosts_resolver_type, "string", err);
    o->args.num_results = GP_DEFAULT_NUM_RESULTS;
    o->args.max_mem_pct = GP_DEFAULT_MAX_MEM_PCT;
    o->args.dns.max_rows = GP_DEFAULT_RESOLVE_ROWS;
    o->args.dns.timeout_ns = GP_DEFAULT_RESOLVE_TIMEOUT_NS;
    return code;
}

static command command_of(const char *word)
{
    static const struct {
        const char *name;
        command cmd;
    } names[] = {{"list", CMD_LIST},
                 {"help", CMD_HELP},
                 {"examples", CMD_EXAMPLES},
                 {"version", CMD_VERSION},
                 {"completion", CMD_COMPLETION}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(word, names[i].name) == 0)
            return names[i].cmd;
    return CMD_QUERY;
}

/* The token itself comes from the environment or from a file, never from an argument. */
static gp_code read_token(options *o, gp_error *err)
{
    const char *token = getenv("GOQUERY_TOKEN");
    if (!o->server || !*o->server)
        return GP_OK;
    if (o->token_file && *o->token_file)
        return gp_client_token_from_file(o->token_file, &o->token, err);
    return token && *token ? gp_args_set(&o->token, token, err) : GP_OK;
}

gp_code options_parse(int argc, char **argv, options *o, gp_error *err)
{
    scan s = {0};
    *o = (options){.cmd = CMD_QUERY};
    gp_args_init(&o->args);
    gp_code code = set_defaults(o, err);
    if (code == GP_OK)
        code = scan_flags(argc, argv, o, 1, &s, err);
    if (code == GP_OK && s.config)
        code = apply_config(o, s.config, err);
    if (code == GP_OK)
        code = scan_flags(argc, argv, o, 2, &s, err);
    if (code == GP_OK)
        code = read_token(o, err);
    if (code != GP_OK)
        return code;
    o->rest = argv + optind;
    o->n_rest = argc - optind;
    if (o->n_rest)
        o->cmd = command_of(o->rest[0]);
    if (s.help)
        o->cmd = CMD_HELP;
    else if (s.verbose && o->cmd == CMD_LIST)
        o->detailed = true;
    else if (s.verbose)
        o->cmd = CMD_VERSION;
    if (o->cmd == CMD_QUERY && o->n_rest)
        code = gp_args_set(&o->args.query, o->rest[0], err);
    return code;
}

void print_flags(void)
{
    for (size_t i = 0; i < N_FLAGS; i++)
        if (flags[i].kind != K_IGNORED && flags[i].kind != K_IGNORED_BOOL)
            printf("--%s\n", flags[i].name);
    puts("--config\n--help\n--version");
}

void options_free(options *o)
{
    gp_args_free(&o->args);
    free(o->db);
    free(o->server);
    free(o->stored_query);
    free(o->query_log);
    free(o->token);
    free(o->token_file);
    free(o->tls_ca);
    free(o->tls_cert);
    free(o->tls_key);
}
