#include "proto/control/json.h"
#include "proto/query/timeparse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond 2^53 a double skips integers. */
#define JSON_INT_MAX 9007199254740992.0

cJSON *gp_cjson_object(const char *text, size_t len, const char *what, gp_error *err)
{
    cJSON *root = cJSON_ParseWithLength(text, len);
    if (cJSON_IsObject(root))
        return root;
    if (root)
        gp_fail(err, GP_ECORRUPT, "%s: expected a JSON object", what);
    else
        gp_fail(err, GP_ECORRUPT, "%s: not valid JSON (%zu bytes)", what, len);
    cJSON_Delete(root);
    return NULL;
}

bool gp_cjson_to_i64(const cJSON *number, int64_t *out)
{
    if (!cJSON_IsNumber(number))
        return false;
    double v = number->valuedouble;
    if (!(fabs(v) <= JSON_INT_MAX) || v != floor(v))
        return false;
    *out = (int64_t)v;
    return true;
}

static const cJSON *member(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNull(v) ? NULL : v;
}

gp_code gp_member_bool(const cJSON *o, const char *what, const char *name, bool *out, gp_error *err)
{
    const cJSON *v = member(o, name);
    if (!v)
        return GP_OK;
    if (!cJSON_IsBool(v))
        return gp_fail(err, GP_ECORRUPT, "%s: \"%s\" must be true or false", what, name);
    *out = cJSON_IsTrue(v);
    return GP_OK;
}

gp_code gp_member_i64(const cJSON *o, const char *what, const char *name, int64_t *out, gp_error *err)
{
    const cJSON *v = member(o, name);
    if (!v)
        return GP_OK;
    if (!gp_cjson_to_i64(v, out))
        return gp_fail(err, GP_ECORRUPT, "%s: \"%s\" must be an integer", what, name);
    return GP_OK;
}

gp_code gp_member_u64(const cJSON *o, const char *what, const char *name, uint64_t *out, gp_error *err)
{
    int64_t v = 0;
    if (!member(o, name))
        return GP_OK;
    if (!gp_cjson_to_i64(member(o, name), &v) || v < 0)
        return gp_fail(err, GP_ECORRUPT, "%s: \"%s\" must be an integer of at least 0", what, name);
    *out = (uint64_t)v;
    return GP_OK;
}

gp_code gp_member_time(const cJSON *o, const char *what, const char *name, int64_t *sec, int32_t *nsec,
                       gp_error *err)
{
    const cJSON *v = member(o, name);
    if (!v)
        return GP_OK;
    if (!cJSON_IsString(v) || !gp_time_parse_rfc3339(v->valuestring, sec, nsec))
        return gp_fail(err, GP_ECORRUPT, "%s: \"%s\" must be a time as in RFC 3339", what, name);
    if (*sec == GP_GO_ZERO_TIME) {
        *sec = 0;
        *nsec = 0;
    }
    return GP_OK;
}

gp_code gp_member_dup_str(const cJSON *o, const char *what, const char *name, char **out, gp_error *err)
{
    const cJSON *v = member(o, name);
    if (!v)
        return GP_OK;
    if (!cJSON_IsString(v))
        return gp_fail(err, GP_ECORRUPT, "%s: \"%s\" must be a string", what, name);
    char *copy = strdup(v->valuestring);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "%s: out of memory for \"%s\"", what, name);
    free(*out);
    *out = copy;
    return GP_OK;
}
