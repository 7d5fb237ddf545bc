/* A capture file of any format that libpcap knows, gzip'ed or not, down to the flows. */
#include "sensor/capture/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct seen {
    int64_t ts;
    uint64_t flows, blocks;
} seen;

static gp_code take(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                    const gp_capture_stats *stats, gp_error *err)
{
    seen *s = ctx;
    (void)iface;
    (void)stats;
    (void)err;
    if (n == 0 || ts <= s->ts || ts % 300 != 0)
        abort();
    for (size_t i = 0; i < n; i++)
        if (flows[i].c.pkts_rcvd + flows[i].c.pkts_sent == 0 || flows[i].sip.len != flows[i].dip.len)
            abort();
    s->ts = ts;
    s->flows += n;
    s->blocks++;
    return GP_OK;
}

static void file_done(void *ctx, const char *path, const gp_import_stats *stats, const gp_error *problem)
{
    (void)ctx;
    (void)path;
    (void)stats;
    if (problem && problem->msg[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    seen s = {.ts = INT64_MIN};
    const char *file = path;
    gp_import_totals totals;
    gp_error err = GP_ERROR_INIT;
    const gp_import_net local = {.addr = {.bytes = {10}, .len = 4}, .bits = 9};
    const gp_import_job job = {.iface = "pcap0",
                               .files = &file,
                               .n_files = 1,
                               .local = &local,
                               .n_local = 1,
                               .store = {.write = take, .ctx = &s},
                               .file_done = file_done};
    int fd = memfd_create("capture", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) {
        gp_code code = gp_capture_import(&job, &totals, &err);
        if (code != GP_OK || totals.blocks != s.blocks || totals.flows != s.flows)
            abort();
    }
    close(fd);
    return 0;
}
