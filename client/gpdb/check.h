/* check.h - what check and repair share: findings, printed and counted. */
#ifndef GP_GPDB_CHECK_H
#define GP_GPDB_CHECK_H

#include "client/gpdb/gpdb.h"
#include "sensor/godb/verify.h"

typedef struct checker {
    gp_codec *codec;
    const char *iface;
    progress progress;
    size_t days, blocks, intact, damages, notes;
} checker;

/* Prints each finding as a line on stdout. */
gp_finding_sink checker_sink(checker *c);

#endif
