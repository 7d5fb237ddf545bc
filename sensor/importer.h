/* importer.h - `goprobe import`: capture files into a database. */
#ifndef GP_SENSOR_IMPORTER_H
#define GP_SENSOR_IMPORTER_H

#include "sensor/cmdline/cmdline.h"

/* Imports the files in the given order, which must be that of their packets: a database only grows at its
 * end. Prints one line of what was read for each. */
gp_code gp_import_files(const gp_cmdline *c, gp_error *err);

#endif
