/*
 * gp-bench-rotation IFACE: how long the packet path waits at a rotation with 10^6 flows. Captures IFACE, a
 * link of the benchmark's own, waits for the flows (gp-flood sends them on the other end) and rotates ten
 * times, a second apart. Prints one row of a table.
 */
#include "sensor/capture/capture.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { FLOWS = 1000000, ROTATIONS = 10, PATIENCE_S = 60 };

static bool await_flows(gp_capture *c)
{
    gp_capture_stats s;
    for (unsigned tries = 0; tries < PATIENCE_S * 10; tries++) {
        if (gp_capture_status(c, &s, NULL) == GP_OK && s.flows >= FLOWS)
            return true;
        usleep(100000);
    }
    fprintf(stderr, "gp-bench-rotation: only %llu flows\n", (unsigned long long)s.flows);
    return false;
}

static double rotate(gp_capture *c, uint64_t *dropped)
{
    gp_table_ref *t = NULL;
    gp_capture_stats s;
    if (gp_capture_rotate(c, &t, &s, NULL) != GP_OK)
        return -1;
    gp_table_unref(t);
    *dropped += s.dropped;
    return (double)s.rotation_pause_ns / 1e6;
}

int main(int argc, char **argv)
{
    gp_capconfig cfg;
    gp_capture *c = NULL;
    gp_error err = GP_ERROR_INIT;
    double worst = 0;
    uint64_t dropped = 0;
    gp_capconfig_default(&cfg);
    if (argc != 2 || gp_capture_start(&c, argv[1], &cfg, NULL, NULL, &err) != GP_OK) {
        fprintf(stderr, "gp-bench-rotation: %s\n", argc == 2 ? err.msg : "usage: gp-bench-rotation IFACE");
        return 2;
    }
    bool ok = true;
    for (unsigned i = 0; i < ROTATIONS && ok && (ok = await_flows(c)); i++) {
        double pause = rotate(c, &dropped);
        worst = pause > worst ? pause : worst;
    }
    gp_capture_stop(c);
    gp_capture_free(c);
    if (ok)
        printf("| longest pause of the packet path in %d rotations with 10^6 flows (%llu packets dropped) | "
               "%.3f ms "
               "| | |\n",
               ROTATIONS, (unsigned long long)dropped, worst);
    return ok ? 0 : 1;
}
