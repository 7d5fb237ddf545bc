/*
 * schema.h - which field of a CSV record is what, and a record as a flow. Names of fields are those that
 * goProbe v4's queries print: time, iface, sip, dip, dport, proto, "packets received", "packets sent", "data
 * vol. received", "data vol. sent"; any other field is passed over.
 *
 * Plain functions without state.
 */
#ifndef GP_GPDB_SCHEMA_H
#define GP_GPDB_SCHEMA_H

#include "proto/base/error.h"
#include "proto/flow/flow.h"

typedef enum gp_csv_field {
    GP_CSV_TIME,
    GP_CSV_IFACE,
    GP_CSV_SIP,
    GP_CSV_DIP,
    GP_CSV_DPORT,
    GP_CSV_PROTO,
    GP_CSV_PKTS_RCVD,
    GP_CSV_PKTS_SENT,
    GP_CSV_BYTES_RCVD,
    GP_CSV_BYTES_SENT,
    GP_CSV_FIELDS
} gp_csv_field;

const char *gp_csv_field_name(gp_csv_field f);

enum { GP_SCHEMA_MAX = 4096 }; /* fields */

typedef struct gp_schema {
    int at[GP_CSV_FIELDS]; /* position of each field; -1: not there */
    size_t min_fields;     /* a record with fewer lacks a field that is named */
} gp_schema;

/* From names as they stand in a header. White space around a name and its case do not count; of a field named
 * twice the last counts. GP_EINVAL without any known name, or without time. */
gp_code gp_schema_from_names(char *const *names, size_t n, gp_schema *out, gp_error *err);
/* From "time,sip,...". */
gp_code gp_schema_parse(const char *text, gp_schema *out, gp_error *err);

typedef struct gp_csv_row {
    int64_t ts;
    const char *iface; /* into the fields */
    gp_flow flow;      /* what the schema lacks is zero, an address 0.0.0.0 or :: */
} gp_csv_row;

/* Trims the fields in place. GP_EINVAL says what is wrong with which field. */
gp_code gp_schema_row(const gp_schema *s, char *const *fields, size_t n, const char *default_iface,
                      gp_csv_row *out, gp_error *err);

#endif
