/* importer.h - `goprobe import`: capture files into a database. */
#ifndef GP_SENSOR_IMPORTER_H
#define GP_SENSOR_IMPORTER_H

#include "sensor/cmdline/cmdline.h"

/* Imports the files as one capture (capture/import.h). Prints what was read of each and what became of it to
 * standard output, and what is not in the database to standard error. *complete: nothing was left out. SIGINT
 * and SIGTERM are blocked from then on, and end the import early (GP_ECANCELED). */
gp_code gp_import_files(const gp_cmdline *c, bool *complete, gp_error *err);

#endif
