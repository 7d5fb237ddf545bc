/*
 * args_internal.h - the fields of gp_args in one table, from which JSON, URL parameters, copying and
 * releasing follow. Not for use outside of proto/query.
 */
#ifndef GP_QUERY_ARGS_INTERNAL_H
#define GP_QUERY_ARGS_INTERNAL_H

#include "proto/query/args.h"

/* ARGS_DNS stands for the object dns_resolution, whose members are args_dns_fields. */
typedef enum args_type { ARGS_STRING, ARGS_BOOL, ARGS_UNSIGNED, ARGS_SIGNED, ARGS_DNS } args_type;

typedef struct args_field {
    const char *json;    /* member of the body, or of dns_resolution in it */
    const char *param;   /* URL parameter; NULL: none */
    args_type type;      /* char *, bool, uint64_t, int64_t */
    size_t offset;       /* in gp_args */
    bool required;       /* in bodies */
    unsigned min_length; /* strings: characters; 0: any */
    const char *choices; /* strings: the only values, separated by ", "; NULL: any */
    int64_t min;         /* numbers */
    int64_t max;         /* numbers; 0: no limit */
    int64_t preset;      /* numbers: value where the client gave none */
} args_field;

/* In the order in which URL parameters are checked. */
extern const args_field args_fields[];
extern const size_t args_n_fields;
extern const args_field args_dns_fields[];
extern const size_t args_n_dns_fields;

/* Where the field lives in *a. */
void *args_place(gp_args *a, const args_field *f);
const void *args_place_const(const gp_args *a, const args_field *f);
/* The values that v4's schema gives to fields which the client did not name. */
gp_code args_apply_presets(gp_args *a, gp_error *err);

/* The checks of values; `value_json` is echoed. */
void args_check_string(const args_field *f, const char *location, const char *value, gp_problem *problem);
void args_check_number(const args_field *f, const char *location, double value, const char *value_json,
                       gp_problem *problem);
/* gp_problem_add with a string as the offending value. */
void args_problem_text(gp_problem *problem, const char *location, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
