/* In place of ebpf.c where libbpf or clang was missing when this was built. */
#include "sensor/capture/source.h"

gp_code gp_source_open_ebpf(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    (void)out;
    (void)cfg;
    return gp_fail(err, GP_EUNSUPPORTED, "'%s': this program was built without libbpf or clang", iface);
}
