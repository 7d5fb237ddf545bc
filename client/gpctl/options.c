#include "client/gpctl/gpctl.h"
#include "proto/base/suggest.h"
#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT_NS (10 * GP_NS_PER_SEC)
static const char default_file[] = "/.gpctl.yaml"; /* below the home directory */

enum {
    OPT_CONFIG = 256,
    OPT_SILENT,
    OPT_TLS_CA,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TOKEN_FILE,
    OPT_ENDPOINTS,
    OPT_FORMAT
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"server.addr", required_argument, NULL, 's'},
    {"endpoints", required_argument, NULL, OPT_ENDPOINTS},
    {"hosts", required_argument, NULL, 'q'},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"timeout", required_argument, NULL, 't'},
    {"tls.ca", required_argument, NULL, OPT_TLS_CA},
    {"tls.cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls.key", required_argument, NULL, OPT_TLS_KEY},
    {"token.file", required_argument, NULL, OPT_TOKEN_FILE},
    {"detailed", optional_argument, NULL, 'v'},
    {"file", required_argument, NULL, 'f'},
    {"reload", optional_argument, NULL, 'r'},
    {"silent", optional_argument, NULL, OPT_SILENT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Flags as they were given, before the other sources are asked. */
typedef struct flags {
    const char *config, *server_addr, *timeout, *tls_ca, *tls_cert, *tls_key, *token_file;
    bool help;
    int seen[16]; /* the command's own flags, to be checked once the command is known */
    size_t n_seen;
} flags;

static const struct {
    const char *name;
    command cmd;
} commands[] = {{"status", CMD_STATUS},         {"config", CMD_CONFIG},   {"log-level", CMD_LOG_LEVEL},
                {"completion", CMD_COMPLETION}, {"version", CMD_VERSION}, {"help", CMD_HELP}};

static gp_code find_command(const char *name, command *out, gp_error *err)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0) {
            *out = commands[i].cmd;
            return GP_OK;
        }
    gp_suggestion near = {0};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        gp_suggest(&near, name, strlen(name), commands[i].name);
    return near.best ? gp_fail(err, GP_EINVAL, "unknown command \"%s\" for \"gpctl\" (did you mean %s?)",
                               name, near.best)
                     : gp_fail(err, GP_EINVAL, "unknown command \"%s\" for \"gpctl\"", name);
}

static const char *long_name(int opt)
{
    for (const struct option *o = long_options; o->name; o++)
        if (o->val == opt)
            return o->name;
    return "?";
}

/* "--detailed" or "--detailed=false". */
static gp_code set_bool(const char *name, const char *value, bool *out, gp_error *err)
{
    *out = !value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (*out || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "invalid argument \"%s\" for \"--%s\" flag: write true or false", value,
                   name);
}

static gp_code set_format(const char *value, format *out, gp_error *err)
{
    static const char *const names[] = {[FORMAT_TXT] = "txt", [FORMAT_JSON] = "json", [FORMAT_CSV] = "csv"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (value && strcmp(value, names[i]) == 0) {
            *out = (format)i;
            return GP_OK;
        }
    return gp_fail(err, GP_EINVAL, "invalid argument \"%s\" for \"--format\" flag: write txt, json or csv",
                   value ? value : "");
}

static gp_code set_flag(int opt, flags *f, options *o, gp_error *err)
{
    /* "-s=addr" means what "-s addr" means. */
    const char *value = optarg && optarg[0] == '=' && opt < OPT_CONFIG ? optarg + 1 : optarg;
    switch (opt) {
    case OPT_CONFIG:
        f->config = value;
        return GP_OK;
    case 's':
        f->server_addr = value;
        return GP_OK;
    case 't':
        f->timeout = value;
        return GP_OK;
    case OPT_ENDPOINTS:
        o->endpoints = value;
        return GP_OK;
    case 'q':
        o->hosts = value;
        return GP_OK;
    case OPT_FORMAT:
        return set_format(value, &o->format, err);
    case OPT_TLS_CA:
        f->tls_ca = value;
        return GP_OK;
    case OPT_TLS_CERT:
        f->tls_cert = value;
        return GP_OK;
    case OPT_TLS_KEY:
        f->tls_key = value;
        return GP_OK;
    case OPT_TOKEN_FILE:
        f->token_file = value;
        return GP_OK;
    case 'h':
        f->help = true;
        return GP_OK;
    default:
        break;
    }
    if (f->n_seen < sizeof f->seen / sizeof f->seen[0])
        f->seen[f->n_seen++] = opt;
    if (opt == 'f') {
        o->file = value;
        return GP_OK;
    }
    bool *target = opt == 'v' ? &o->detailed : opt == 'r' ? &o->reload : &o->silent;
    return set_bool(long_name(opt), value, target, err);
}

static gp_code unknown_flag(const char *word, gp_error *err)
{
    const char *name = word + strspn(word, "-");
    gp_suggestion near = {0};
    for (const struct option *o = long_options; o->name; o++)
        gp_suggest(&near, name, strcspn(name, "="), o->name);
    return near.best ? gp_fail(err, GP_EINVAL, "unknown flag: %s (did you mean --%s?)", word, near.best)
                     : gp_fail(err, GP_EINVAL, "unknown flag: %s", word);
}

static gp_code bad_flag(int opt, char **argv, gp_error *err)
{
    const char *word = argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;
    if (opt == ':')
        return gp_fail(err, GP_EINVAL, "flag needs an argument: %s", word);
    if (is_long || optopt == 0)
        return unknown_flag(word, err);
    return gp_fail(err, GP_EINVAL, "unknown shorthand flag: '%c' in %s", optopt, word);
}

static gp_code read_flags(int argc, char **argv, flags *f, options *o, gp_error *err)
{
    opterr = 0;
    for (;;) {
        int opt = getopt_long(argc, argv, ":s:q:t:vf:rh", long_options, NULL);
        if (opt == -1)
            return GP_OK;
        gp_code rc = opt == '?' || opt == ':' ? bad_flag(opt, argv, err) : set_flag(opt, f, o, err);
        if (rc != GP_OK)
            return rc;
    }
}

static gp_code check_flags(const flags *f, const options *o, gp_error *err)
{
    for (size_t i = 0; i < f->n_seen; i++) {
        command owner = f->seen[i] == 'v' ? CMD_STATUS : CMD_CONFIG;
        if (o->cmd != owner)
            return gp_fail(err, GP_EINVAL, "unknown flag: --%s", long_name(f->seen[i]));
    }
    if (o->hosts && !o->endpoints)
        return gp_fail(err, GP_EINVAL, "--hosts names hosts of a file: name the file with --endpoints");
    if (f->server_addr && o->endpoints)
        return gp_fail(err, GP_EINVAL, "-s and --endpoints exclude each other");
    if (o->file && o->file[0] == '\0')
        return gp_fail(err, GP_EINVAL, "--file: empty");
    if (o->file && o->reload)
        return gp_fail(
            err, GP_EINVAL,
            "cannot perform both config reload from disk and apply external runtime configuration");
    return GP_OK;
}

/* The command and what stands behind it. */
static gp_code read_command(int argc, char **argv, const flags *f, options *o, gp_error *err)
{
    if (optind < argc) {
        gp_code rc = find_command(argv[optind++], &o->cmd, err);
        if (rc != GP_OK)
            return rc;
    }
    o->ifaces = (const char *const *)&argv[optind];
    o->n_ifaces = (size_t)(argc - optind);
    if (o->cmd == CMD_HELP && o->n_ifaces > 0)
        return find_command(o->ifaces[0], &o->help_for, err);
    if (f->help) {
        o->help_for = o->cmd;
        o->cmd = CMD_HELP;
        return GP_OK;
    }
    if (o->cmd == CMD_NONE)
        return gp_fail(err, GP_EINVAL, "no sub-command provided");
    if (o->cmd == CMD_LOG_LEVEL && o->n_ifaces > 1)
        return gp_fail(err, GP_EINVAL, "log-level takes one level: debug, info, warn or error");
    if (o->cmd == CMD_COMPLETION && o->n_ifaces != 1)
        return gp_fail(err, GP_EINVAL, "completion takes one shell: bash, zsh or fish");
    return check_flags(f, o, err);
}

/* Opens the configuration file; the default one may be missing (*doc is NULL then). */
static gp_code load_file(const char *path, gp_yaml_doc **doc, gp_error *err)
{
    gp_buf home_file = GP_BUF_INIT;
    const char *home = getenv("HOME");
    *doc = NULL;
    if (!path) {
        gp_buf_puts(&home_file, home ? home : "");
        gp_buf_puts(&home_file, default_file);
    }
    const char *name = path ? path : home_file.data;
    gp_code rc = name ? gp_yaml_load(doc, name, err) : GP_OK;
    if (rc == GP_ENOTFOUND && !path)
        rc = GP_OK;
    else if (rc != GP_OK)
        gp_error_prefix(err, "failed to read config from file %s", name);
    gp_buf_free(&home_file);
    return rc == GP_EINVAL ? GP_EIO : rc; /* no matter of usage */
}

/* The first of flag, two variables and the file's key that says something; NULL: none does. */
static gp_code setting(const char *flag, const char *var, const char *v4_var, const gp_yaml_doc *doc,
                       const char *key, const char **out, gp_error *err)
{
    const char *values[] = {flag, getenv(var), getenv(v4_var)};
    *out = NULL;
    for (size_t i = 0; i < 3; i++)
        if (values[i] && (i == 0 || values[i][0])) {
            *out = values[i];
            return GP_OK;
        }
    return doc ? gp_yaml_str(gp_yaml_find(gp_yaml_root(doc), key), out, err) : GP_OK;
}

static gp_code take_timeout(const char *text, int64_t *out, gp_error *err)
{
    gp_code rc = gp_duration_parse(text, out, err);
    if (rc != GP_OK)
        gp_error_prefix(err, "timeout");
    else if (*out <= 0)
        rc = gp_fail(err, GP_EINVAL, "timeout: %s is not a positive duration", text);
    return rc;
}

static gp_code check_addr(const char *addr, gp_error *err)
{
    char *url = NULL;
    char *socket = NULL;
    gp_code rc = gp_client_parse_addr(addr, &url, &socket, err);
    free(url);
    free(socket);
    return rc == GP_OK ? GP_OK : gp_error_prefix(err, "server.addr");
}

/* One address, or several with commas between them. */
static gp_code take_server(const char *addr, char **out, gp_error *err)
{
    if (!addr || !*addr)
        return gp_fail(err, GP_EINVAL, "server.addr: empty");
    char *copy = strdup(addr);
    char *rest = copy;
    gp_code rc = copy ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory");
    for (char *one; rc == GP_OK && (one = strsep(&rest, ",")) != NULL;)
        rc = check_addr(one + strspn(one, " "), err);
    free(copy);
    if (rc != GP_OK)
        return rc;
    *out = strdup(addr);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory");
}

static gp_code take(const char *value, char **out, gp_error *err)
{
    if (!value)
        return GP_OK;
    *out = strdup(value);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory");
}

/* Names of files; the token itself comes from the environment or from a file, never from an argument. */
static gp_code read_access(const flags *f, const gp_yaml_doc *doc, options *o, gp_error *err)
{
    const char *const token = getenv("GPCTL_TOKEN");
    const struct {
        const char *flag, *var, *key;
        char **out;
    } files[] = {{f->tls_ca, "GPCTL_TLS_CA", "tls.ca", &o->tls_ca},
                 {f->tls_cert, "GPCTL_TLS_CERT", "tls.cert", &o->tls_cert},
                 {f->tls_key, "GPCTL_TLS_KEY", "tls.key", &o->tls_key}};
    gp_code rc = GP_OK;
    const char *value = NULL;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && rc == GP_OK; i++) {
        rc = setting(files[i].flag, files[i].var, files[i].var, doc, files[i].key, &value, err);
        if (rc == GP_OK)
            rc = take(value, files[i].out, err);
    }
    if (rc == GP_OK)
        rc = setting(f->token_file, "GPCTL_TOKEN_FILE", "GPCTL_TOKEN_FILE", doc, "token.file", &value, err);
    if (rc != GP_OK)
        return rc;
    if (f->token_file || !token || !*token)
        return value ? gp_client_token_from_file(value, &o->token, err) : GP_OK;
    return take(token, &o->token, err);
}

static gp_code read_settings(const flags *f, options *o, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    const char *addr = NULL;
    const char *timeout = NULL;
    gp_code rc = load_file(f->config, &doc, err);
    if (rc == GP_OK)
        rc = setting(f->timeout, "GPCTL_TIMEOUT", "TIMEOUT", doc, "timeout", &timeout, err);
    if (rc == GP_OK && timeout)
        rc = take_timeout(timeout, &o->timeout_ns, err);
    if (rc == GP_OK)
        rc = setting(f->server_addr, "GPCTL_SERVER_ADDR", "SERVER.ADDR", doc, "server.addr", &addr, err);
    if (rc == GP_OK && !o->endpoints)
        rc = take_server(addr, &o->server_addr, err);
    if (rc == GP_OK)
        rc = read_access(f, doc, o, err);
    gp_yaml_free(doc);
    return rc;
}

gp_code options_parse(int argc, char **argv, options *o, gp_error *err)
{
    flags f = {0};
    *o = (options){.timeout_ns = DEFAULT_TIMEOUT_NS};
    gp_code rc = read_flags(argc, argv, &f, o, err);
    if (rc == GP_OK)
        rc = read_command(argc, argv, &f, o, err);
    if (rc == GP_OK && (o->cmd == CMD_STATUS || o->cmd == CMD_CONFIG || o->cmd == CMD_LOG_LEVEL))
        rc = read_settings(&f, o, err);
    return rc;
}

void options_free(options *o)
{
    free(o->server_addr);
    free(o->token);
    free(o->tls_ca);
    free(o->tls_cert);
    free(o->tls_key);
    *o = (options){0};
}
