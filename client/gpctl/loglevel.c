#include "client/gpctl/gpctl.h"

#include <stdlib.h>

/* What stands behind the command is not an interface here but the new level, if any. */
gp_code run_log_level(const options *o, gp_client *c, gp_buf *out, gp_error *err)
{
    char *level = NULL;
    gp_code rc = o->n_ifaces ? gp_client_set_log_level(c, o->ifaces[0], &level, err)
                             : gp_client_log_level(c, &level, err);
    if (rc == GP_OK)
        gp_buf_printf(out, "%s\n", level);
    free(level);
    return rc;
}
