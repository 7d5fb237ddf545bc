/* gp-gencapture FILE FLOWS PACKETS: a classic pcap file of small packets of many flows over ten minutes, to
 * measure `goprobe import` with. At most 2^28 packets. */
#include "tests/bench/traffic.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_PACKETS = 1 << 28, MAX_FLOWS = 1 << 24, T0 = 1700000100, SECONDS = 600 };

static bool write_packets(pcap_dumper_t *d, uint32_t flows, uint64_t packets)
{
    uint8_t frame[TRAFFIC_FRAME];
    traffic t = traffic_begin(flows);
    traffic_template(frame);
    for (uint64_t i = 0; i < packets; i++) {
        struct pcap_pkthdr h = {
            .ts.tv_sec = T0 + (time_t)(i * SECONDS / packets), .caplen = TRAFFIC_FRAME, .len = TRAFFIC_FRAME};
        traffic_set_flow(frame, traffic_next(&t));
        pcap_dump((u_char *)d, &h, frame);
    }
    return pcap_dump_flush(d) == 0;
}

int main(int argc, char **argv)
{
    uint64_t flows = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t packets = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (argc != 4 || flows < 1 || flows > MAX_FLOWS || packets < 1 || packets > MAX_PACKETS) {
        fprintf(stderr, "usage: gp-gencapture FILE FLOWS PACKETS\n");
        return 2;
    }
    pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t *d = p ? pcap_dump_open(p, argv[1]) : NULL;
    bool ok = d && write_packets(d, (uint32_t)flows, packets);
    if (!ok)
        fprintf(stderr, "gp-gencapture: cannot write '%s': %s\n", argv[1],
                p ? pcap_geterr(p) : "out of memory");
    if (d)
        pcap_dump_close(d);
    if (p)
        pcap_close(p);
    return ok ? 0 : 1;
}
