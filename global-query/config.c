#include "global-query/config.h"

#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct setting {
    const char *name;
    bool has_value; /* false: a switch, "--name" or "--name=false" */
    gp_code (*set)(gp_gq_config *c, const char *value, gp_error *err);
} setting;

static gp_code replace(char **field, const char *value, gp_error *err)
{
    char *copy = strdup(value);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "out of memory for the configuration");
    free(*field);
    *field = copy;
    return GP_OK;
}

static gp_code set_level(gp_gq_config *c, const char *v, gp_error *err)
{
    if (gp_log_level_parse(v, &c->level))
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "logging.level: \"%s\" is none of debug, info, warn, error", v);
}

static gp_code set_encoding(gp_gq_config *c, const char *v, gp_error *err)
{
    if (gp_log_encoding_parse(v, &c->encoding))
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "logging.encoding: \"%s\" is neither logfmt nor json", v);
}

static gp_code set_destination(gp_gq_config *c, const char *v, gp_error *err)
{
    return replace(&c->log_destination, v, err);
}

static gp_code add_resolver(gp_gq_config *c, const char *type, const char *config, gp_error *err)
{
    gp_gq_resolver_config *list = realloc(c->resolvers, (c->n_resolvers + 1) * sizeof *list);
    if (!list)
        return gp_fail(err, GP_ENOMEM, "out of memory for the configuration");
    c->resolvers = list;
    gp_gq_resolver_config *r = &list[c->n_resolvers++];
    *r = (gp_gq_resolver_config){0};
    gp_code rc = replace(&r->type, type, err);
    return rc == GP_OK && config ? replace(&r->config, config, err) : rc;
}

static gp_code set_resolver(gp_gq_config *c, const char *v, gp_error *err)
{
    return add_resolver(c, v, NULL, err);
}

static gp_code set_resolver_config(gp_gq_config *c, const char *v, gp_error *err)
{
    if (c->n_resolvers == 0)
        return gp_fail(err, GP_EINVAL, "hosts.resolver.config needs hosts.resolver.type");
    return replace(&c->resolvers[c->n_resolvers - 1].config, v, err);
}

static gp_code set_querier(gp_gq_config *c, const char *v, gp_error *err)
{
    return replace(&c->querier_type, v, err);
}

static gp_code set_querier_config(gp_gq_config *c, const char *v, gp_error *err)
{
    return replace(&c->querier_config, v, err);
}

static gp_code read_number(const char *name, const char *v, int64_t max, int64_t *out, gp_error *err)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(v, &end, 10);
    if (errno || end == v || *end || n < 0 || n > max)
        return gp_fail(err, GP_EINVAL, "%s: \"%s\" is no number from 0 to %lld", name, v, (long long)max);
    *out = n;
    return GP_OK;
}

static gp_code read_duration(const char *name, const char *v, int64_t *out, gp_error *err)
{
    int64_t ns;
    if (gp_duration_parse(v, &ns, NULL) != GP_OK || ns < 0)
        return gp_fail(err, GP_EINVAL, "%s: \"%s\" is no duration (for example 15s)", name, v);
    *out = ns;
    return GP_OK;
}

#define SET_NUMBER(field, name, max)                                                                         \
    static gp_code set_##field(gp_gq_config *c, const char *v, gp_error *err)                                \
    {                                                                                                        \
        return read_number(name, v, max, &c->field, err);                                                    \
    }
#define SET_DURATION(field, name)                                                                            \
    static gp_code set_##field(gp_gq_config *c, const char *v, gp_error *err)                                \
    {                                                                                                        \
        return read_duration(name, v, &c->field, err);                                                       \
    }
SET_NUMBER(max_concurrent, "querier.max_concurrent", 1000000)
SET_NUMBER(max_queries, "querier.max_queries", 1000000)
SET_NUMBER(max_requests, "querier.max_requests", 1000000)
SET_NUMBER(max_memory_mib, "querier.max_memory", 1 << 24)
SET_NUMBER(max_response_mib, "querier.max_response", 1 << 20)
SET_NUMBER(retries, "querier.retries", 10)
SET_NUMBER(breaker_failures, "querier.breaker.failures", 1000000)
SET_DURATION(breaker_pause_ns, "querier.breaker.pause")
SET_DURATION(deadline_ns, "querier.deadline")
SET_DURATION(shutdown_grace_ns, "server.shutdowngraceperiod")

static gp_code set_addr(gp_gq_config *c, const char *v, gp_error *err)
{
    return replace(&c->addr, v, err);
}

/* Settings that are just a text. */
#define SET_TEXT(field)                                                                                      \
    static gp_code set_##field(gp_gq_config *c, const char *v, gp_error *err)                                \
    {                                                                                                        \
        return replace(&c->field, v, err);                                                                   \
    }
SET_TEXT(tls_cert)
SET_TEXT(tls_key)
SET_TEXT(tls_client_ca)
SET_TEXT(tls_client_scopes)
SET_TEXT(tokens)
SET_TEXT(socket_owner)
SET_TEXT(socket_group)
SET_TEXT(token_file)
SET_TEXT(sensor_ca)
SET_TEXT(sensor_cert)
SET_TEXT(sensor_key)
SET_TEXT(audit_destination)
SET_TEXT(user)
#undef SET_TEXT

static gp_code set_socket_mode(gp_gq_config *c, const char *v, gp_error *err)
{
    char *end = NULL;
    unsigned long mode = strtoul(v, &end, 8);
    if (end == v || *end || v[0] == '-' || mode == 0 || mode > 0777)
        return gp_fail(err, GP_EINVAL, "server.socket.mode: \"%s\" is no mode from 0001 to 0777", v);
    c->socket_mode = (mode_t)mode;
    return GP_OK;
}

static gp_code read_limit(const char *name, const char *v, int64_t least, int64_t most, int64_t *out,
                          gp_error *err)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(v, &end, 10);
    if (errno || end == v || *end || n < least || n > most)
        return gp_fail(err, GP_EINVAL, "%s: \"%s\" is no number from %lld to %lld", name, v, (long long)least,
                       (long long)most);
    *out = n;
    return GP_OK;
}

static gp_code set_max_connections(gp_gq_config *c, const char *v, gp_error *err)
{
    return read_limit("server.limits.max_connections", v, 1, 100000, &c->max_connections, err);
}

static gp_code set_max_per_client(gp_gq_config *c, const char *v, gp_error *err)
{
    return read_limit("server.limits.max_connections_per_client", v, 1, 100000,
                      &c->max_connections_per_client, err);
}

static gp_code set_max_body(gp_gq_config *c, const char *v, gp_error *err)
{
    return read_limit("server.limits.max_body", v, 1024, INT64_C(1) << 32, &c->max_body, err);
}

static gp_code set_max_header(gp_gq_config *c, const char *v, gp_error *err)
{
    return read_limit("server.limits.max_header", v, 1024, 16 << 20, &c->max_header, err);
}

static gp_code set_max_burst(gp_gq_config *c, const char *v, gp_error *err)
{
    return read_limit("server.query_rate_limit.max_burst", v, 1, 1000000, &c->max_burst, err);
}

static gp_code set_request_timeout(gp_gq_config *c, const char *v, gp_error *err)
{
    if (gp_duration_parse(v, &c->request_timeout_ns, NULL) == GP_OK && c->request_timeout_ns > 0)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "server.limits.request_timeout: \"%s\" is no duration (for example 30s)",
                   v);
}

static gp_code set_rate(gp_gq_config *c, const char *v, gp_error *err)
{
    char *end = NULL;
    c->max_req_per_sec = strtod(v, &end);
    if (end != v && !*end && c->max_req_per_sec > 0 && c->max_req_per_sec < 1e9)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "server.query_rate_limit.max_req_per_sec: \"%s\" is no number above 0", v);
}

static gp_code set_slow_query(gp_gq_config *c, const char *v, gp_error *err)
{
    if (gp_duration_parse(v, &c->slow_query_ns, NULL) == GP_OK && c->slow_query_ns >= 0)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "logging.slow_query: \"%s\" is no duration (for example 5s)", v);
}

static gp_code read_bool(const char *name, const char *v, bool *out, gp_error *err)
{
    *out = strcmp(v, "true") == 0;
    if (*out || strcmp(v, "false") == 0)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "%s: \"%s\" is neither true nor false", name, v);
}

static gp_code set_allow_without_token(gp_gq_config *c, const char *v, gp_error *err)
{
    return read_bool("server.allow_without_token", v, &c->allow_without_token, err);
}

static gp_code set_drop_caps(gp_gq_config *c, const char *v, gp_error *err)
{
    bool drop;
    gp_code rc = read_bool("security.drop_capabilities", v, &drop, err);
    c->keep_caps = rc == GP_OK && !drop;
    return rc;
}

static gp_code set_seccomp(gp_gq_config *c, const char *v, gp_error *err)
{
    if (gp_seccomp_mode_parse(v, &c->seccomp))
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "security.seccomp: \"%s\" is none of on, kill, log, off", v);
}

static gp_code set_spec(gp_gq_config *c, const char *v, gp_error *err)
{
    return replace(&c->spec_outfile, v, err);
}

static gp_code set_origins(gp_gq_config *c, const char *v, gp_error *err)
{
    gp_strlist_free(c->cors_origins, c->n_cors_origins);
    c->cors_origins = NULL;
    c->n_cors_origins = 0;
    gp_code rc = GP_OK;
    for (const char *at = v; rc == GP_OK && *at;) {
        size_t len = strcspn(at, ",");
        char *one = strndup(at, len);
        rc = one ? gp_strlist_add(&c->cors_origins, &c->n_cors_origins, one, err)
                 : gp_fail(err, GP_ENOMEM, "out of memory for the configuration");
        free(one);
        at += len + (at[len] == ',');
    }
    return rc;
}

static gp_code set_page(gp_gq_config *c, const char *v, gp_error *err)
{
    bool on = strcmp(v, "true") == 0;
    if (!on && strcmp(v, "false") != 0)
        return gp_fail(err, GP_EINVAL, "server.page: \"%s\" is neither true nor false", v);
    c->page = on;
    return GP_OK;
}

/* v4 knows it; there is nothing here that it would set. */
static gp_code ignore(gp_gq_config *c, const char *v, gp_error *err)
{
    (void)c;
    (void)v;
    (void)err;
    return GP_OK;
}

static const setting settings[] = {
    {"logging.level", true, set_level},
    {"logging.encoding", true, set_encoding},
    {"logging.destination", true, set_destination},
    {"logging.audit_destination", true, set_audit_destination},
    {"logging.slow_query", true, set_slow_query},
    {"hosts.resolver.type", true, set_resolver},
    {"hosts.resolver.config", true, set_resolver_config},
    {"querier.type", true, set_querier},
    {"querier.config", true, set_querier_config},
    {"querier.max_concurrent", true, set_max_concurrent},
    {"querier.max_queries", true, set_max_queries},
    {"querier.max_requests", true, set_max_requests},
    {"querier.max_memory", true, set_max_memory_mib},
    {"querier.max_response", true, set_max_response_mib},
    {"querier.retries", true, set_retries},
    {"querier.deadline", true, set_deadline_ns},
    {"querier.breaker.failures", true, set_breaker_failures},
    {"querier.breaker.pause", true, set_breaker_pause_ns},
    {"server.addr", true, set_addr},
    {"server.cors_origins", true, set_origins},
    {"security.user", true, set_user},
    {"security.drop_capabilities", false, set_drop_caps},
    {"security.seccomp", true, set_seccomp},
    {"server.allow_without_token", false, set_allow_without_token},
    {"server.tokens", true, set_tokens},
    {"server.limits.max_connections", true, set_max_connections},
    {"server.limits.max_connections_per_client", true, set_max_per_client},
    {"server.limits.max_body", true, set_max_body},
    {"server.limits.max_header", true, set_max_header},
    {"server.limits.request_timeout", true, set_request_timeout},
    {"server.query_rate_limit.max_req_per_sec", true, set_rate},
    {"server.query_rate_limit.max_burst", true, set_max_burst},
    {"server.socket.owner", true, set_socket_owner},
    {"server.socket.group", true, set_socket_group},
    {"server.socket.mode", true, set_socket_mode},
    {"querier.token_file", true, set_token_file},
    {"querier.tls.ca", true, set_sensor_ca},
    {"querier.tls.cert", true, set_sensor_cert},
    {"querier.tls.key", true, set_sensor_key},
    {"server.tls.cert", true, set_tls_cert},
    {"server.tls.key", true, set_tls_key},
    {"server.tls.client_ca", true, set_tls_client_ca},
    {"server.tls.client_scopes", true, set_tls_client_scopes},
    {"server.page", false, set_page},
    {"server.shutdowngraceperiod", true, set_shutdown_grace_ns},
    {"openapi.spec-outfile", true, set_spec},
    {"profiling.enabled", false, ignore},
    {"tracing.enabled", false, ignore},
    {"tracing.collector.endpoint", true, ignore},
    {"tracing.collector.type", true, ignore},
};
enum { N_SETTINGS = sizeof settings / sizeof settings[0] };

/* ---- file ---------------------------------------------------------------------------------------------- */

/* Out of memory the warning is lost, and nothing else. */
static void warn(void *config, const char *sentence)
{
    gp_gq_config *c = config;
    (void)gp_strlist_add(&c->warnings, &c->n_warnings, sentence, NULL);
}

/* A setting that is mistyped does nothing, which nobody would notice. */
static void warn_unknown(gp_gq_config *c, const gp_yaml_node *root)
{
    static const char *const sections[] = {"",
                                           "logging",
                                           "hosts",
                                           "hosts.resolver",
                                           "querier",
                                           "querier.breaker",
                                           "querier.tls",
                                           "server",
                                           "server.limits",
                                           "server.query_rate_limit",
                                           "server.socket",
                                           "server.tls",
                                           "security",
                                           "openapi",
                                           "profiling",
                                           "tracing",
                                           "tracing.collector"};
    static const char *const resolver[] = {"type", "config"};
    const char *keys[N_SETTINGS + 1];
    for (size_t i = 0; i < N_SETTINGS; i++)
        keys[i] = settings[i].name;
    keys[N_SETTINGS] = "hosts.resolvers";
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        gp_yaml_unknown_below(root, sections[i], keys, N_SETTINGS + 1, warn, c);
    const gp_yaml_node *resolvers = gp_yaml_find(root, "hosts.resolvers");
    for (size_t i = 0; resolvers && i < resolvers->n; i++)
        gp_yaml_unknown(resolvers->entries[i].value, resolver, sizeof resolver / sizeof *resolver, warn, c);
}

static gp_code read_resolvers(gp_gq_config *c, const gp_yaml_node *list, gp_error *err)
{
    gp_code rc = gp_yaml_expect(list, GP_YAML_LIST, err);
    for (size_t i = 0; rc == GP_OK && list && i < list->n; i++) {
        const gp_yaml_node *item = list->entries[i].value;
        const char *type = NULL;
        const char *config = NULL;
        rc = gp_yaml_str(gp_yaml_get(item, "type"), &type, err);
        if (rc == GP_OK)
            rc = gp_yaml_str(gp_yaml_get(item, "config"), &config, err);
        if (rc == GP_OK && !type)
            rc = gp_yaml_fail(item, err, "a resolver needs a type (string, static, dns or ansible)");
        if (rc == GP_OK)
            rc = add_resolver(c, type, config, err);
    }
    return rc;
}

static gp_code read_setting(gp_gq_config *c, const setting *s, const gp_yaml_node *node, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    const char *value = NULL;
    if (node && node->kind == GP_YAML_LIST && s->set == set_origins)
        return gp_yaml_strlist(node, &c->cors_origins, &c->n_cors_origins, err);
    gp_code rc = gp_yaml_str(node, &value, err);
    if (rc != GP_OK || !value)
        return rc;
    rc = s->set(c, value, &why);
    return rc == GP_OK ? GP_OK : gp_yaml_fail(node, err, "%s", why.msg);
}

static gp_code read_file(gp_gq_config *c, const char *path, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    gp_code rc = gp_yaml_load(&doc, path, err);
    if (rc != GP_OK) {
        gp_error_prefix(err, "failed to read in config");
        return rc;
    }
    const gp_yaml_node *root = gp_yaml_root(doc);
    rc = read_resolvers(c, gp_yaml_find(root, "hosts.resolvers"), err);
    for (size_t i = 0; i < N_SETTINGS && rc == GP_OK; i++)
        rc = read_setting(c, &settings[i], gp_yaml_find(root, settings[i].name), err);
    warn_unknown(c, root);
    gp_yaml_free(doc);
    return rc;
}

/* ---- environment --------------------------------------------------------------------------------------- */

static const char *environment_of(const char *name)
{
    char key[64];
    size_t n = 0;
    for (; *name && n + 3 < sizeof key; name++) {
        if (*name == '-')
            key[n++] = '_';
        key[n++] = (char)(*name == '.' || *name == '-'   ? '_'
                          : *name >= 'a' && *name <= 'z' ? *name - 32
                                                         : *name);
    }
    key[n] = '\0';
    return getenv(key);
}

static gp_code read_environment(gp_gq_config *c, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < N_SETTINGS && rc == GP_OK; i++) {
        const char *value = environment_of(settings[i].name);
        if (value && *value)
            rc = settings[i].set(c, value, err);
    }
    return rc;
}

/* ---- command line -------------------------------------------------------------------------------------- */

typedef struct parsed_flag {
    const setting *setting; /* NULL: not a setting */
    const char *value;
} parsed_flag;

/* One argument that begins with '-': which setting, and its value, from behind '=' or the next argument. */
static gp_code parse_flag(int argc, char **argv, int *i, const char **config, parsed_flag *out, gp_error *err)
{
    const char *arg = argv[*i];
    const char *name = arg + strspn(arg, "-");
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    bool is_config = (len == 6 && strncmp(name, "config", 6) == 0) || (len == 1 && *name == 'c');
    *out = (parsed_flag){0};
    for (size_t k = 0; k < N_SETTINGS; k++)
        if (strlen(settings[k].name) == len && strncmp(settings[k].name, name, len) == 0)
            out->setting = &settings[k];
    if (!is_config && !out->setting)
        return gp_fail(err, GP_EINVAL, "unknown flag: %s (see global-query --help)", arg);
    bool wants = is_config || out->setting->has_value;
    if (wants && !value && ++*i >= argc)
        return gp_fail(err, GP_EINVAL, "flag needs an argument: %s", arg);
    out->value = value ? value : wants ? argv[*i] : "true";
    if (is_config)
        *config = out->value;
    return GP_OK;
}

static gp_code set_command(const char *word, gp_gq_command *command, gp_error *err)
{
    if (strcmp(word, "server") == 0)
        *command = GP_GQ_SERVER;
    else if (strcmp(word, "version") == 0)
        *command = GP_GQ_VERSION;
    else if (strcmp(word, "help") == 0)
        *command = GP_GQ_HELP;
    else
        return gp_fail(err, GP_EINVAL,
                       "unknown command \"%s\" for \"global-query\" (there are: server, version, help)",
                       word);
    return GP_OK;
}

/* apply: set what the flags say; otherwise only look for the command and the file. */
static gp_code read_flags(int argc, char **argv, bool apply, gp_gq_command *command, const char **config,
                          gp_gq_config *c, gp_error *err)
{
    gp_code rc = GP_OK;
    for (int i = 1; i < argc && rc == GP_OK; i++) {
        parsed_flag f;
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            *command = GP_GQ_HELP;
            return GP_OK;
        }
        if (strcmp(argv[i], "-v") == 0 || strcmp(argv[i], "--version") == 0) {
            *command = GP_GQ_VERSION;
            return GP_OK;
        }
        if (argv[i][0] != '-') {
            rc = set_command(argv[i], command, err);
            continue;
        }
        rc = parse_flag(argc, argv, &i, config, &f, err);
        if (rc == GP_OK && apply && f.setting)
            rc = f.setting->set(c, f.value, err);
    }
    return rc;
}

static gp_code set_defaults(gp_gq_config *c, gp_error *err)
{
    *c = (gp_gq_config){.level = GP_LOG_INFO, .encoding = GP_LOG_LOGFMT, .page = true};
    c->max_requests = 1024;
    c->max_queries = 128;
    c->max_memory_mib = 1024;
    c->retries = 1;
    c->breaker_failures = 5;
    c->breaker_pause_ns = INT64_C(5000000000);
    c->shutdown_grace_ns = INT64_C(30000000000);
    gp_code rc = replace(&c->querier_type, "api", err);
    return rc == GP_OK ? replace(&c->addr, "localhost:8145", err) : rc;
}

static gp_code check(const gp_gq_config *c, gp_error *err)
{
    if (strcmp(c->querier_type, "api") != 0 && strcmp(c->querier_type, "nanomsg") != 0)
        return gp_fail(err, GP_EINVAL,
                       "querier.type: querier plugin \"%s\" not registered (there are: api, nanomsg)",
                       c->querier_type);
    if (!c->spec_outfile && !c->n_resolvers && (!c->querier_config || !*c->querier_config))
        return gp_fail(err, GP_EINVAL,
                       "querier.config is missing: name the file that says how hosts are reached");
    if ((c->max_req_per_sec > 0) != (c->max_burst > 0))
        return gp_fail(err, GP_EINVAL,
                       "server.query_rate_limit: max_req_per_sec and max_burst must be given together");
    if (c->tls_client_scopes && !c->tls_client_ca)
        return gp_fail(
            err, GP_EINVAL,
            "server.tls.client_scopes is set, but not server.tls.client_ca: name the CA of the clients, too");
    if (!c->tls_cert && (c->tls_key || c->tls_client_ca))
        return gp_fail(err, GP_EINVAL,
                       "server.tls.%s is set, but not server.tls.cert: name the certificate, too",
                       c->tls_key ? "key" : "client_ca");
    return GP_OK;
}

gp_code gp_gq_config_load(int argc, char **argv, gp_gq_command *command, gp_gq_config *out, gp_error *err)
{
    const char *file = NULL;
    *command = GP_GQ_HELP;
    gp_code rc = set_defaults(out, err);
    if (rc == GP_OK)
        rc = read_flags(argc, argv, false, command, &file, out, err);
    if (rc != GP_OK || *command != GP_GQ_SERVER)
        return rc;
    if (file && *file)
        rc = read_file(out, file, err);
    if (rc == GP_OK)
        rc = read_environment(out, err);
    if (rc == GP_OK)
        rc = read_flags(argc, argv, true, command, &file, out, err);
    return rc == GP_OK ? check(out, err) : rc;
}

void gp_gq_config_free(gp_gq_config *c)
{
    for (size_t i = 0; i < c->n_resolvers; i++) {
        free(c->resolvers[i].type);
        free(c->resolvers[i].config);
    }
    free(c->resolvers);
    free(c->user);
    free(c->log_destination);
    free(c->audit_destination);
    free(c->querier_type);
    free(c->querier_config);
    free(c->addr);
    free(c->tokens);
    free(c->socket_owner);
    free(c->socket_group);
    free(c->token_file);
    free(c->sensor_ca);
    free(c->sensor_cert);
    free(c->sensor_key);
    free(c->tls_cert);
    free(c->tls_key);
    free(c->tls_client_ca);
    free(c->tls_client_scopes);
    free(c->spec_outfile);
    gp_strlist_free(c->cors_origins, c->n_cors_origins);
    gp_strlist_free(c->warnings, c->n_warnings);
    *c = (gp_gq_config){0};
}
