/* version.h - the version of this build, for --version, User-Agent and /-/info. Static strings. */
#ifndef GP_BASE_VERSION_H
#define GP_BASE_VERSION_H

const char *gp_version(void);        /* "5.0.0" */
const char *gp_version_commit(void); /* short commit id, or "unknown" */

#endif
