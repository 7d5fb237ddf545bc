#include "proto/base/version.h"

#include "gp_version.h"

const char *gp_version(void)
{
    return GP_VERSION;
}

const char *gp_version_commit(void)
{
    return GP_COMMIT;
}
