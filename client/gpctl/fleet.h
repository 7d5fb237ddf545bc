/* fleet.h - one command to many hosts at a time. */
#ifndef GP_GPCTL_FLEET_H
#define GP_GPCTL_FLEET_H

#include "client/endpoints.h"
#include "client/gpctl/gpctl.h"

typedef struct target {
    const char *name;
    gp_client_config cfg;
} target;

typedef struct targets {
    target *items;
    size_t n;
    char *addrs; /* what the items point into, one or the other */
    gp_endpoints endpoints;
} targets;

/* targets.c: whom the options name, in that order (those of a file by name), each once. */
gp_code targets_make(const options *o, targets *out, gp_error *err);
void targets_free(targets *t);

/* What one host said; which member counts follows from the command. */
typedef struct answer {
    gp_code code;
    gp_error err;
    gp_status status;
    gp_capconfig_map config;
    gp_config_update update;
    char *level;
} answer;

/* fleet.c: asks all, appends what they said, for people a table with a line for each, and fails if one
 * of them did. */
gp_code run_fleet(const options *o, const targets *t, bool color, gp_buf *out, gp_error *err);

/* fleetdata.c: in the JSON or CSV that the options ask for. */
void fleet_data(const options *o, const targets *t, const answer *answers, gp_buf *out);

/* fleetreport.c */
gp_code fleet_report(const options *o, const targets *t, const answer *answers, bool color, gp_buf *out,
                     gp_error *err);

#endif
