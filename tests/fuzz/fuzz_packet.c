/* A frame of any link type: first byte chooses the type, the rest is the frame. */
#include "sensor/capture/flowtable.h"
#include "sensor/capture/linklayer.h"

#include <pcap/dlt.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int types[] = {DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_NULL, DLT_PPP, DLT_RAW};
    gp_packet p;
    gp_flow *flows = NULL;
    size_t n = 0;
    gp_flowtable *t = NULL;
    if (size < 1)
        return 0;
    int dlt = types[data[0] % (sizeof types / sizeof types[0])];
    int offset = gp_link_ip_offset(dlt, data + 1, (uint32_t)size - 1);
    if (offset < 0 || (size_t)offset >= size - 1)
        return 0;
    if (gp_packet_parse(data + 1 + offset, (uint32_t)(size - 1) - (uint32_t)offset, &p) != GP_PACKET_OK)
        return 0;
    if (gp_flowtable_new(&t, NULL, 0, NULL) != GP_OK)
        return 0;
    const gp_counted c = {p, (uint32_t)size, data[0] & 1};
    gp_flowtable_add(t, 0, NULL, &c, 1);
    if (gp_flowtable_flows(t) != 1)
        abort();
    if (gp_flowtable_export(t, &flows, &n, NULL) != GP_OK || gp_flows_merge(flows, n) != 1)
        abort();
    free(flows);
    gp_flowtable_free(t);
    return 0;
}
