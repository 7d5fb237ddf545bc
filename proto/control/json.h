/* json.h - typed access to members of a parsed JSON object; internal to proto/control. */
#ifndef GP_CONTROL_JSON_H
#define GP_CONTROL_JSON_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <cjson/cJSON.h>

/* 0001-01-01T00:00:00Z in UNIX seconds: the zero time of Go, with which v4 says "never". */
#define GP_GO_ZERO_TIME (-INT64_C(62135596800))

/* An object, or NULL with GP_ECORRUPT in *err that names `what`. Free with cJSON_Delete. */
cJSON *gp_cjson_object(const char *text, size_t len, const char *what, gp_error *err);

/*
 * Each leaves *out alone where the member is missing or null, and fails where it has another type or
 * does not fit; `what` names the object in the message.
 */
gp_code gp_member_bool(const cJSON *o, const char *what, const char *name, bool *out, gp_error *err);
gp_code gp_member_i64(const cJSON *o, const char *what, const char *name, int64_t *out, gp_error *err);
gp_code gp_member_u64(const cJSON *o, const char *what, const char *name, uint64_t *out, gp_error *err);
gp_code gp_member_time(const cJSON *o, const char *what, const char *name, int64_t *sec, int32_t *nsec,
                       gp_error *err); /* the zero time gives 0, 0 */
gp_code gp_member_dup_str(const cJSON *o, const char *what, const char *name, char **out, gp_error *err);

/* A JSON number as an integer; false when it is none or would not survive a double exactly. */
bool gp_cjson_to_i64(const cJSON *number, int64_t *out);

#endif
