#include "sensor/config/validate.h"
#include "proto/nanomsg/addr.h"
#include "proto/query/ifsel.h"
#include "proto/query/timeparse.h"
#include "proto/yaml/yaml.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(gp_sensor_config, member)

static gp_code check_not_negative(const gp_sensor_config *cfg, const gp_option *o, const gp_yaml_node *node,
                                  const char *what, gp_error *err)
{
    int64_t v;
    memcpy(&v, (const char *)cfg + o->offset, sizeof v);
    if (v >= 0)
        return GP_OK;
    return gp_yaml_fail(node, err, "%s, not %lld (allowed: 0 or more)", what, (long long)v);
}

static gp_code check_range(const gp_sensor_config *cfg, const gp_option *o, const gp_yaml_node *node,
                           int64_t min, int64_t max, gp_error *err)
{
    int64_t v;
    memcpy(&v, (const char *)cfg + o->offset, sizeof v);
    if (v >= min && v <= max)
        return GP_OK;
    return gp_yaml_fail(node, err, "%s cannot be %lld (allowed: %lld to %lld)", o->key, (long long)v,
                        (long long)min, (long long)max);
}

/* The keys of v4's README: everybody knows them. */
static bool is_demo_key(const char *key)
{
    return strcmp(key, "da53ae3fb482db63d9606a9324a694bf51f7ad47623c04ab7b97a811f2a78e05") == 0 ||
           strcmp(key, "9e3b84ae1437a73154ac5c48a37d5085a3f6e68621b56b626f81620de271a2f6") == 0;
}

/* The key itself is a secret and does not belong into a log: its position names it. */
static gp_code check_keys(const gp_sensor_config *cfg, const gp_yaml_node *node, gp_error *err)
{
    for (size_t i = 0; i < cfg->api.keys.n; i++) {
        size_t len = strlen(cfg->api.keys.items[i]);
        if (len < GP_API_KEY_MIN)
            return gp_yaml_fail(node, err,
                                "API key %zu considered insecure: insufficient key length %zu (allowed: %d "
                                "characters or more)",
                                i + 1, len, GP_API_KEY_MIN);
        if (is_demo_key(cfg->api.keys.items[i]))
            return gp_yaml_fail(node, err, "API key %zu considered compromised: it is a published demo key",
                                i + 1);
    }
    return GP_OK;
}

static gp_code check_nanomsg(const gp_sensor_config *cfg, const gp_yaml_node *node, gp_error *err)
{
    for (size_t i = 0; i < cfg->nanomsg.addrs.n; i++) {
        gp_error why = GP_ERROR_INIT;
        if (gp_nanomsg_addr_check(cfg->nanomsg.addrs.items[i], &why) != GP_OK)
            return gp_yaml_fail(node, err, "%s", why.msg);
    }
    return GP_OK;
}

/* Without an address there is no API, and v4 does not look at the rest of the section. */
static gp_code check_api_option(const gp_sensor_config *cfg, const gp_option *o, const gp_yaml_node *node,
                                gp_error *err)
{
    if (!cfg->api.addr)
        return GP_OK;
    if (o->offset == AT(api.keys))
        return check_keys(cfg, node, err);
    if (o->offset == AT(api.request_timeout))
        return check_not_negative(cfg, o, node, "the request timeout must be a positive number", err);
    if (o->offset == AT(api.max_concurrent))
        return check_not_negative(cfg, o, node, "the number of concurrent queries must be a positive number",
                                  err);
    return GP_OK;
}

gp_code gp_config_check_option(const gp_sensor_config *cfg, const gp_option *o,
                               const struct gp_yaml_node *node, gp_error *err)
{
    if (!node || o->type == GP_OPT_IGNORED)
        return GP_OK;
    if (o->offset == AT(local_buffers.size_limit))
        return check_not_negative(cfg, o, node, "local buffer size must be a positive number", err);
    if (o->offset == AT(local_buffers.num_buffers))
        return check_not_negative(cfg, o, node, "number of local buffers must be a positive number", err);
    if (o->offset == AT(journal.interval))
        return check_range(cfg, o, node, 1, 60, err);
    if (o->offset == AT(journal.size_limit))
        return check_range(cfg, o, node, 1 << 20, INT64_C(1) << 40, err);
    if (o->offset == AT(retention.interval_ns) && cfg->retention.interval_ns < 60 * GP_NS_PER_SEC)
        return gp_yaml_fail(node, err, "is too short an interval (allowed: 1m or more)");
    if (o->offset == AT(nanomsg.addrs))
        return check_nanomsg(cfg, node, err);
    if (o->offset == AT(db.level))
        return check_range(cfg, o, node, 0, gp_codec_max_level(GP_CODEC_ZSTD), err);
    return check_api_option(cfg, o, node, err);
}

static gp_code check_rate(const gp_api_config *api, const char *where, gp_error *err)
{
    if (!api->addr || (api->max_req_per_sec > 0) == (api->max_burst > 0))
        return GP_OK;
    return gp_fail(err, GP_EINVAL,
                   "%sapi.query_rate_limit: the query rate limit values must both be positive numbers "
                   "(max_req_per_sec is %g, max_burst is %lld)",
                   where, api->max_req_per_sec, (long long)api->max_burst);
}

static gp_code check_tls(const gp_tls_config *tls, const char *where, gp_error *err)
{
    if (tls->client_scopes && !tls->client_ca)
        return gp_fail(
            err, GP_EINVAL,
            "%sapi.tls.client_scopes is set, but not api.tls.client_ca: name the CA of the clients, too",
            where);
    if (tls->cert || !(tls->key || tls->client_ca))
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "%sapi.tls.%s is set, but not api.tls.cert: name the certificate, too",
                   where, tls->key ? "key" : "client_ca");
}

static gp_code check_limits(const gp_limits_config *l, const char *where, gp_error *err)
{
    const struct {
        const char *key;
        int64_t value, least, most; /* 0 is the default */
    } limits[] = {
        {"max_connections", l->max_connections, 1, 100000},
        {"max_connections_per_client", l->max_connections_per_client, 1, 100000},
        {"max_body", l->max_body, 1024, INT64_C(1) << 32},
        {"max_header", l->max_header, 1024, 16 << 20},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value && (limits[i].value < limits[i].least || limits[i].value > limits[i].most))
            return gp_fail(err, GP_EINVAL, "%sapi.limits.%s: %lld is out of range (allowed: %lld to %lld)",
                           where, limits[i].key, (long long)limits[i].value, (long long)limits[i].least,
                           (long long)limits[i].most);
    return GP_OK;
}

static gp_code check_socket_mode(mode_t mode, const char *where, gp_error *err)
{
    if (mode <= 0777)
        return GP_OK;
    return gp_fail(err, GP_EINVAL,
                   "%sapi.socket.mode %o is no mode (allowed: 0001 to 0777, with a leading 0)", where,
                   (unsigned)mode);
}

static gp_code check_autodetect(const gp_sensor_config *cfg, const char *where, gp_error *err)
{
    if (cfg->ifaces.n > 0)
        return gp_fail(err, GP_EINVAL,
                       "%scannot have interface configurations present when auto-detection is enabled: "
                       "remove interfaces, or set autodetection.enabled to false",
                       where);
    for (size_t i = 0; i < cfg->autodetect.exclude.n; i++) {
        const char *name = cfg->autodetect.exclude.items[i];
        gp_error why = GP_ERROR_INIT;
        if (gp_ifsel_is_regex(name) && gp_ifsel_validate(name, &why) != GP_OK)
            return gp_fail(err, GP_EINVAL,
                           "%sautodetection.exclude: invalid regexp exclusion pattern '%s': %s", where, name,
                           why.msg);
    }
    return GP_OK;
}

static gp_code check_db(const gp_db_config *db, const char *where, bool from_file, gp_error *err)
{
    if (!db->path)
        return gp_fail(err, GP_EINVAL, "%sdb.path: database path must not be empty%s", where,
                       from_file ? "" : " (name a configuration file with -c, or give --db.path)");
    if (db->level <= gp_codec_max_level(db->codec))
        return GP_OK;
    return gp_fail(err, GP_EINVAL,
                   "%sdb.encoder_level: encoder %s has levels up to %d (0: what pays), not %lld", where,
                   gp_codec_name(db->codec), gp_codec_max_level(db->codec), (long long)db->level);
}

gp_code gp_config_check(const gp_sensor_config *cfg, const char *file, gp_error *err)
{
    char where[300] = "";
    if (file)
        snprintf(where, sizeof where, "%.290s: ", file);
    gp_code rc = check_db(&cfg->db, where, file != NULL, err);
    if (rc == GP_OK)
        rc = check_rate(&cfg->api, where, err);
    if (rc == GP_OK)
        rc = check_tls(&cfg->api.tls, where, err);
    if (rc == GP_OK)
        rc = check_socket_mode(cfg->api.socket_mode, where, err);
    if (rc == GP_OK)
        rc = check_limits(&cfg->api.limits, where, err);
    if (rc != GP_OK)
        return rc;
    if (cfg->autodetect.enabled)
        return check_autodetect(cfg, where, err);
    if (cfg->ifaces.n == 0)
        return gp_fail(err, GP_EINVAL,
                       "%sno interfaces specified: name at least one below interfaces, or set "
                       "autodetection.enabled",
                       where);
    if (cfg->ifaces.n > GP_MAX_IFACES)
        return gp_fail(err, GP_ELIMIT, "%scannot monitor more than %d interfaces (%zu are configured)", where,
                       GP_MAX_IFACES, cfg->ifaces.n);
    return GP_OK;
}
