/* From the three sources to a gp_sensor_config. */
#include "proto/query/ifsel.h"
#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"
#include "sensor/config/config.h"
#include "sensor/config/validate.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { JOURNAL_INTERVAL_S = 3, JOURNAL_SIZE_LIMIT = 256 << 20, RETENTION_INTERVAL_S = 3600 };

typedef struct loader {
    gp_sensor_config *cfg;
    const gp_config_sources *src;
    gp_yaml_doc *file;     /* NULL: none */
    gp_yaml_doc *override; /* the flag or variable being read */
    bool out_of_memory;
    gp_error *err;
} loader;

static void warn(void *ctx, const char *sentence)
{
    loader *l = ctx;
    gp_string_list *w = &l->cfg->warnings;
    char **more = realloc(w->items, (w->n + 1) * sizeof *more);
    char *copy = strdup(sentence);
    if (more)
        w->items = more;
    if (!more || !copy) {
        free(copy);
        l->out_of_memory = true;
        return;
    }
    w->items[w->n++] = copy;
}

/* "api.addr" is API_ADDR in the environment; false if the key is too long to be one. */
static bool variable_name(const char *key, char *dst, size_t size)
{
    size_t n = 0;
    for (; key[n]; n++) {
        if (n + 1 >= size)
            return false;
        dst[n] = key[n] == '.' ? '_' : (char)toupper((unsigned char)key[n]);
    }
    dst[n] = '\0';
    return true;
}

/* A flag or variable becomes a document of one scalar, so that it is read and reported like the file. */
static gp_code override_node(loader *l, const char *name, const char *value, const gp_yaml_node **out)
{
    gp_buf quoted = GP_BUF_INIT;
    gp_buf_json_str(&quoted, value);
    gp_code rc = quoted.failed ? gp_fail(l->err, GP_ENOMEM, "%s: out of memory", name)
                               : gp_yaml_parse(&l->override, name, quoted.data, quoted.len, l->err);
    gp_buf_free(&quoted);
    if (rc == GP_OK)
        *out = gp_yaml_root(l->override);
    return rc;
}

static const char *flag_value(const gp_config_sources *src, const char *key)
{
    const char *value = NULL;
    for (size_t i = 0; i < src->n_flags; i++)
        if (strcasecmp(src->flags[i].key, key) == 0)
            value = src->flags[i].value; /* the last one counts */
    return value;
}

/* *out is NULL where no source has the key. */
static gp_code lookup(loader *l, const char *key, const gp_yaml_node **out)
{
    *out = NULL;
    gp_yaml_free(l->override);
    l->override = NULL;
    char name[128];
    const char *value = flag_value(l->src, key);
    if (value) {
        snprintf(name, sizeof name, "--%s", key);
        return override_node(l, name, value, out);
    }
    name[0] = '$';
    if (l->src->getenv && variable_name(key, name + 1, sizeof name - 1)) {
        value = l->src->getenv(name + 1);
        if (value && *value) /* as in v4, an empty variable is none */
            return override_node(l, name, value, out);
    }
    if (l->file)
        *out = gp_yaml_find(gp_yaml_root(l->file), key);
    return GP_OK;
}

static gp_code read_codec(const gp_yaml_node *n, gp_codec_type *out, gp_error *err)
{
    const char *name = NULL;
    gp_code rc = gp_yaml_str(n, &name, err);
    if (rc != GP_OK || !name || !*name)
        return rc;
    gp_error why = GP_ERROR_INIT;
    if (gp_codec_parse(name, out, &why) != GP_OK)
        return gp_yaml_fail(n, err, "%s", why.msg);
    return GP_OK;
}

static gp_code read_level(const gp_yaml_node *n, gp_log_level *out, gp_error *err)
{
    const char *name = NULL;
    gp_code rc = gp_yaml_str(n, &name, err);
    if (rc != GP_OK || !name || !*name)
        return rc;
    bool graver = strcasecmp(name, "fatal") == 0 || strcasecmp(name, "panic") == 0; /* levels of v4 */
    if (graver)
        *out = GP_LOG_ERROR;
    else if (!gp_log_level_parse(name, out))
        return gp_yaml_fail(n, err, "unknown log level \"%.200s\" (allowed: debug, info, warn, error)", name);
    return GP_OK;
}

static gp_code read_encoding(const gp_yaml_node *n, gp_log_encoding *out, gp_error *err)
{
    const char *name = NULL;
    gp_code rc = gp_yaml_str(n, &name, err);
    if (rc == GP_OK && name && *name && !gp_log_encoding_parse(name, out))
        return gp_yaml_fail(n, err, "unknown log encoding \"%.200s\" (allowed: logfmt, json)", name);
    return rc;
}

static gp_code read_mode(const gp_yaml_node *n, mode_t *out, gp_error *err)
{
    int64_t mode = (int64_t)*out;
    gp_code rc = gp_yaml_int(n, 0, UINT32_MAX, &mode, err);
    if (rc != GP_OK)
        return gp_yaml_fail(n, err,
                            "\"%.64s\" is not a file mode (allowed: 0 to 0777, octal with a leading 0)",
                            n->text ? n->text : "");
    *out = (mode_t)mode;
    return GP_OK;
}

static gp_code read_seccomp(const gp_yaml_node *n, gp_seccomp_mode *out, gp_error *err)
{
    const char *name = NULL;
    gp_code rc = gp_yaml_str(n, &name, err);
    if (rc == GP_OK && name && !gp_seccomp_mode_parse(name, out))
        return gp_yaml_fail(n, err, "\"%.200s\" is no mode of seccomp (allowed: on, kill, log, off)", name);
    return rc;
}

static gp_code read_duration(const gp_yaml_node *n, int64_t *out, gp_error *err)
{
    const char *text = NULL;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc == GP_OK && text && (gp_duration_parse(text, out, NULL) != GP_OK || *out < 0))
        return gp_yaml_fail(n, err, "\"%.200s\" is not a duration (for example 5s)", text);
    return rc;
}

static gp_code read_age(const gp_yaml_node *n, int64_t *out, gp_error *err)
{
    const char *text = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc == GP_OK && text && gp_retention_parse_age(text, out, &why) != GP_OK)
        return gp_yaml_fail(n, err, "%s", why.msg);
    return rc;
}

static gp_code read_size(const gp_yaml_node *n, int64_t *out, gp_error *err)
{
    const char *text = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code rc = gp_yaml_str(n, &text, err);
    if (rc == GP_OK && text && gp_retention_parse_size(text, out, &why) != GP_OK)
        return gp_yaml_fail(n, err, "%s", why.msg);
    return rc;
}

static gp_code read_str(const gp_yaml_node *n, char **out, gp_error *err)
{
    gp_code rc = gp_yaml_strdup(n, out, err);
    if (rc == GP_OK && *out && !**out) { /* empty is unset */
        free(*out);
        *out = NULL;
    }
    return rc;
}

static gp_code read_list(const gp_yaml_node *n, gp_string_list *out, gp_error *err)
{
    return gp_yaml_strlist(n, &out->items, &out->n, err);
}

static gp_code read_option(const gp_option *o, const gp_yaml_node *n, void *at, gp_error *err)
{
    switch (o->type) {
    case GP_OPT_STR:
        return read_str(n, at, err);
    case GP_OPT_BOOL:
        return gp_yaml_bool(n, at, err);
    case GP_OPT_INT:
        return gp_yaml_int(n, INT64_MIN, INT64_MAX, at, err); /* validate.c knows the bounds */
    case GP_OPT_F64:
        return gp_yaml_f64(n, -1e300, 1e300, at, err);
    case GP_OPT_LIST:
        return read_list(n, at, err);
    case GP_OPT_SECCOMP:
        return read_seccomp(n, at, err);
    case GP_OPT_DURATION:
        return read_duration(n, at, err);
    case GP_OPT_AGE:
        return read_age(n, at, err);
    case GP_OPT_SIZE:
        return read_size(n, at, err);
    case GP_OPT_MODE:
        return read_mode(n, at, err);
    case GP_OPT_CODEC:
        return read_codec(n, at, err);
    case GP_OPT_LEVEL:
        return read_level(n, at, err);
    case GP_OPT_ENCODING:
        return read_encoding(n, at, err);
    default:
        return GP_OK;
    }
}

/* An empty text is as good as none, for every type (v4 reads it as 0, false or its default). */
static bool is_given(const gp_yaml_node *n)
{
    return n && n->kind != GP_YAML_NULL && !(n->kind == GP_YAML_SCALAR && !*n->text);
}

static gp_code read_options(loader *l)
{
    size_t n;
    const gp_option *options = gp_config_options(&n);
    gp_code rc = GP_OK;
    for (size_t i = 0; rc == GP_OK && i < n; i++) {
        const gp_yaml_node *node = NULL;
        rc = lookup(l, options[i].key, &node);
        if (rc == GP_OK && is_given(node))
            rc = read_option(&options[i], node, (char *)l->cfg + options[i].offset, l->err);
        if (rc == GP_OK)
            rc = gp_config_check_option(l->cfg, &options[i], node, l->err);
    }
    return rc;
}

static gp_code read_ifaces(loader *l)
{
    const gp_yaml_node *ifaces = l->file ? gp_yaml_find(gp_yaml_root(l->file), "interfaces") : NULL;
    gp_code rc = gp_capconfig_map_from_yaml(ifaces, &l->cfg->ifaces, l->err);
    if (rc != GP_OK || !ifaces)
        return rc;
    for (size_t i = 0; rc == GP_OK && i < ifaces->n; i++) {
        const gp_yaml_node *node = ifaces->entries[i].value;
        const char *name = ifaces->entries[i].key;
        const gp_capconfig *c = gp_capconfig_map_get(&l->cfg->ifaces, name);
        gp_error why = GP_ERROR_INIT;
        gp_code usable = c ? gp_capconfig_validate(NULL, c, &why) : GP_OK;
        if (usable == GP_OK && gp_ifsel_is_regex(name))
            usable = gp_ifsel_validate(name, &why);
        if (usable != GP_OK)
            rc = gp_yaml_fail(node, l->err, "%s", why.msg);
    }
    return rc;
}

static gp_code read_retention_rule(loader *l, const gp_yaml_entry *e, gp_retention_rule *rule)
{
    gp_code rc = gp_yaml_expect(e->value, GP_YAML_MAP, l->err);
    const gp_yaml_node *age = gp_yaml_get(e->value, "max_age");
    const gp_yaml_node *size = gp_yaml_get(e->value, "max_size");
    rule->limits = (gp_retention_limits){l->cfg->retention.max_age_s, l->cfg->retention.max_size};
    if (rc == GP_OK && is_given(age))
        rc = read_age(age, &rule->limits.max_age_s, l->err);
    if (rc == GP_OK && is_given(size))
        rc = read_size(size, &rule->limits.max_size, l->err);
    if (rc == GP_OK && !(rule->iface = strdup(e->key)))
        rc = gp_fail(l->err, GP_ENOMEM, "out of memory while reading the configuration");
    return rc;
}

static gp_code read_retention_rules(loader *l)
{
    gp_retention_options *o = &l->cfg->retention;
    const gp_yaml_node *ifaces = l->file ? gp_yaml_find(gp_yaml_root(l->file), "retention.interfaces") : NULL;
    gp_code rc = gp_yaml_expect(ifaces, GP_YAML_MAP, l->err);
    if (rc != GP_OK || !ifaces || ifaces->n == 0)
        return rc;
    o->ifaces = calloc(ifaces->n, sizeof *o->ifaces);
    if (!o->ifaces)
        return gp_fail(l->err, GP_ENOMEM, "out of memory while reading the configuration");
    o->n_ifaces = ifaces->n;
    for (size_t i = 0; rc == GP_OK && i < ifaces->n; i++)
        rc = read_retention_rule(l, &ifaces->entries[i], &o->ifaces[i]);
    return rc;
}

gp_retention_limits gp_retention_limits_of(const gp_retention_options *o, const char *iface)
{
    for (size_t i = 0; i < o->n_ifaces; i++)
        if (strcmp(o->ifaces[i].iface, iface) == 0)
            return o->ifaces[i].limits;
    return (gp_retention_limits){o->max_age_s, o->max_size};
}

static void warn_unknown_below_retention(loader *l, const gp_yaml_node *ifaces)
{
    static const char *const limits[] = {"max_age", "max_size"};
    for (size_t i = 0; ifaces && i < ifaces->n; i++)
        gp_yaml_unknown(ifaces->entries[i].value, limits, sizeof limits / sizeof *limits, warn, l);
}

static void warn_unknown_below_interfaces(loader *l, const gp_yaml_node *ifaces)
{
    static const char *const capture[] = {"ignore_vlans", "promisc",   "ring_buffer", "extra_bpf_filters",
                                          "disable",      "max_flows", "in_kernel"};
    static const char *const ring[] = {"block_size", "num_blocks", "num_rings"};
    for (size_t i = 0; ifaces && i < ifaces->n; i++) {
        const gp_yaml_node *c = ifaces->entries[i].value;
        gp_yaml_unknown(c, capture, sizeof capture / sizeof *capture, warn, l);
        gp_yaml_unknown(gp_yaml_get(c, "ring_buffer"), ring, sizeof ring / sizeof *ring, warn, l);
    }
}

/* Beside the options there are interfaces, whose keys are names. */
static void warn_unknown_section(loader *l, const char *section)
{
    enum { MOST = 256 };
    const char *keys[MOST];
    size_t n_keys = 0;
    size_t n;
    const gp_option *options = gp_config_options(&n);
    for (size_t i = 0; i < n && n_keys + 2 < MOST; i++)
        keys[n_keys++] = options[i].key;
    keys[n_keys++] = "interfaces";
    keys[n_keys++] = "retention.interfaces";
    gp_yaml_unknown_below(gp_yaml_root(l->file), section, keys, n_keys, warn, l);
}

static void warn_unknown(loader *l)
{
    static const char *const sections[] = {"",
                                           "db",
                                           "api",
                                           "api.query_rate_limit",
                                           "api.limits",
                                           "api.socket",
                                           "api.tls",
                                           "logging",
                                           "autodetection",
                                           "tracing",
                                           "tracing.collector",
                                           "journal",
                                           "local_buffers",
                                           "nanomsg",
                                           "retention",
                                           "security"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        warn_unknown_section(l, sections[i]);
    warn_unknown_below_interfaces(l, gp_yaml_find(gp_yaml_root(l->file), "interfaces"));
    warn_unknown_below_retention(l, gp_yaml_find(gp_yaml_root(l->file), "retention.interfaces"));
}

static void warn_without_effect(loader *l)
{
    gp_sensor_config *c = l->cfg;
    if (c->db.permissions & ~(mode_t)0777) { /* v4 takes any number */
        warn(l, "db.permissions has bits beyond 0777, which are not used (octal numbers need a leading 0)");
        c->db.permissions &= 0777;
    }
    const gp_yaml_node *tracing = l->file ? gp_yaml_find(gp_yaml_root(l->file), "tracing.enabled") : NULL;
    bool traced = false;
    if (gp_yaml_bool(tracing, &traced, NULL) == GP_OK && traced)
        warn(l, "tracing.enabled is set, but this program does not trace");
}

static gp_code load(loader *l)
{
    l->cfg->db.codec = GP_CODEC_LZ4;
    l->cfg->journal = (gp_journal_options){
        .enabled = true, .fsync = true, .interval = JOURNAL_INTERVAL_S, .size_limit = JOURNAL_SIZE_LIMIT};
    l->cfg->retention.interval_ns = RETENTION_INTERVAL_S * GP_NS_PER_SEC;
    l->cfg->logging.level = GP_LOG_INFO;
    l->cfg->security.drop_caps = true;
    l->cfg->logging.encoding = GP_LOG_LOGFMT;
    gp_code rc = GP_OK;
    if (l->file)
        rc = gp_yaml_expect(gp_yaml_root(l->file), GP_YAML_MAP, l->err);
    if (rc == GP_OK)
        rc = read_options(l);
    if (rc == GP_OK)
        rc = read_ifaces(l);
    if (rc == GP_OK)
        rc = read_retention_rules(l);
    if (rc == GP_OK)
        rc = gp_config_check(l->cfg, l->src->path, l->err);
    if (rc == GP_OK && l->file)
        warn_unknown(l);
    if (rc == GP_OK)
        warn_without_effect(l);
    if (rc == GP_OK && l->out_of_memory)
        rc = gp_fail(l->err, GP_ENOMEM, "out of memory while reading the configuration");
    return rc;
}

static gp_code finish(loader *l)
{
    gp_code rc = load(l);
    gp_yaml_free(l->override);
    gp_yaml_free(l->file);
    if (rc != GP_OK)
        gp_sensor_config_free(l->cfg);
    return rc;
}

gp_code gp_sensor_config_parse(gp_sensor_config *out, const gp_config_sources *src, const char *text,
                               size_t len, gp_error *err)
{
    *out = (gp_sensor_config){.api.page = true};
    loader l = {.cfg = out, .src = src, .err = err};
    gp_code rc = gp_yaml_parse(&l.file, src->path ? src->path : "configuration", text, len, err);
    return rc == GP_OK ? finish(&l) : rc;
}

gp_code gp_sensor_config_load(gp_sensor_config *out, const gp_config_sources *src, gp_error *err)
{
    *out = (gp_sensor_config){.api.page = true};
    loader l = {.cfg = out, .src = src, .err = err};
    if (src->path) {
        const char *ending = strrchr(src->path, '.');
        if (ending && strcasecmp(ending, ".toml") == 0)
            return gp_fail(err, GP_EUNSUPPORTED, "'%s': TOML is not supported, use YAML or JSON", src->path);
        gp_code rc = gp_yaml_load(&l.file, src->path, err);
        if (rc != GP_OK)
            return rc;
    }
    return finish(&l);
}

void gp_sensor_config_free(gp_sensor_config *cfg)
{
    free(cfg->db.path);
    gp_yaml_strlist_free(cfg->autodetect.exclude.items, cfg->autodetect.exclude.n);
    gp_capconfig_map_free(&cfg->ifaces);
    free(cfg->api.addr);
    free(cfg->api.socket_owner);
    free(cfg->api.socket_group);
    free(cfg->api.tokens);
    free(cfg->api.tls.cert);
    free(cfg->api.tls.key);
    free(cfg->api.tls.client_ca);
    free(cfg->api.tls.client_scopes);
    gp_yaml_strlist_free(cfg->api.keys.items, cfg->api.keys.n);
    for (size_t i = 0; i < cfg->retention.n_ifaces; i++)
        free(cfg->retention.ifaces[i].iface);
    free(cfg->retention.ifaces);
    gp_yaml_strlist_free(cfg->nanomsg.addrs.items, cfg->nanomsg.addrs.n);
    free(cfg->security.user);
    free(cfg->logging.destination);
    free(cfg->logging.audit_destination);
    gp_yaml_strlist_free(cfg->warnings.items, cfg->warnings.n);
    *cfg = (gp_sensor_config){0};
}
