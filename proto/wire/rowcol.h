/* rowcol.h - rows as columns of integers, in the order in which answers hold them. Internal to proto/wire. */
#ifndef GP_WIRE_ROWCOL_H
#define GP_WIRE_ROWCOL_H

#include "proto/wire/intcol.h"

enum { GP_ROW_GROUP = GP_INTCOL_MAX /* rows whose columns lie together */ };

typedef enum gp_rowcol {
    GP_ROWCOL_TS,
    GP_ROWCOL_IFACE, /* labels: place in the table of strings, from 1; 0: none */
    GP_ROWCOL_HOST,
    GP_ROWCOL_HOSTID,
    GP_ROWCOL_SIP, /* place in the table of addresses, from 1; 0: none */
    GP_ROWCOL_DIP,
    GP_ROWCOL_DPORT,
    GP_ROWCOL_PROTO,
    GP_ROWCOL_BYTES_RCVD,
    GP_ROWCOL_BYTES_SENT,
    GP_ROWCOL_PKTS_RCVD,
    GP_ROWCOL_PKTS_SENT,
    GP_ROWCOL_COUNT
} gp_rowcol;

#endif
