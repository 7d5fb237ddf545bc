/*
 * column.h - the columns of goDB and the query types built from them.
 *
 * Source of names and order: the goDB v4 format (spec/godb-format.md).
 */
#ifndef GP_QUERY_COLUMN_H
#define GP_QUERY_COLUMN_H

#include "proto/base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Index of a column in a day folder; the order is that of .blockmeta. */
typedef enum gp_column {
    GP_COL_SIP,
    GP_COL_DIP,
    GP_COL_PROTO,
    GP_COL_DPORT,
    GP_COL_BYTES_RCVD,
    GP_COL_BYTES_SENT,
    GP_COL_PKTS_RCVD,
    GP_COL_PKTS_SENT,
    GP_COL_COUNT,
    GP_COL_ATTR_COUNT = GP_COL_BYTES_RCVD /* attributes come first, then counters */
} gp_column;

const char *gp_column_name(gp_column col); /* "sip", ..., also the file name without ".gpf" */

/* Sets of attributes and labels, as bit masks. */
enum {
    GP_ATTR_SIP = 1u << GP_COL_SIP,
    GP_ATTR_DIP = 1u << GP_COL_DIP,
    GP_ATTR_PROTO = 1u << GP_COL_PROTO,
    GP_ATTR_DPORT = 1u << GP_COL_DPORT
};
enum { GP_LABEL_TIME = 1u, GP_LABEL_IFACE = 2u, GP_LABEL_HOSTNAME = 4u, GP_LABEL_HOSTID = 8u };

/* A parsed query type: which attributes in which order, and which labels. */
typedef struct gp_query_type {
    gp_column attrs[GP_COL_ATTR_COUNT]; /* without duplicates, in the order the user named them */
    unsigned n_attrs;
    uint32_t attr_mask;  /* GP_ATTR_* */
    uint32_t label_mask; /* GP_LABEL_* */
} gp_query_type;

/*
 * Parses "sip,dip", "talk_conv", "raw", "talk_src,time", ... White space is ignored; aliases src, dst, port,
 * protocol, ipproto, hostname are understood. On an unknown name GP_EINVAL with the position marked by
 * '^' in a second line and the description in a third, as goProbe v4 words it ("unknown attribute").
 */
gp_code gp_query_type_parse(const char *text, gp_query_type *out, gp_error *err);

/* All names that gp_query_type_parse understands, the usual ones first; NULL behind the last. */
const char *gp_query_type_name(size_t i);

#endif
