#include "tests/support/packets.h"

#include <arpa/inet.h>
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static size_t put_transport(const gp_test_packet *p, uint8_t *t)
{
    memset(t, 0, 20);
    if (p->proto == 1 || p->proto == 58) {
        t[0] = p->flags;
        return 8;
    }
    t[0] = (uint8_t)(p->sport >> 8);
    t[1] = (uint8_t)p->sport;
    t[2] = (uint8_t)(p->dport >> 8);
    t[3] = (uint8_t)p->dport;
    if (p->proto == 6) {
        t[12] = 5 << 4;
        t[13] = p->flags;
        return 20;
    }
    return 8;
}

size_t gp_test_ip(const gp_test_packet *p, uint8_t *ip)
{
    if (strchr(p->sip, ':')) {
        memset(ip, 0, 40);
        ip[0] = 0x60;
        ip[6] = p->proto;
        ip[7] = 64;
        assert_int_equal(inet_pton(AF_INET6, p->sip, ip + 8), 1);
        assert_int_equal(inet_pton(AF_INET6, p->dip, ip + 24), 1);
        size_t n = put_transport(p, ip + 40);
        ip[5] = (uint8_t)n;
        return 40 + n;
    }
    memset(ip, 0, 20);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = p->proto;
    assert_int_equal(inet_pton(AF_INET, p->sip, ip + 12), 1);
    assert_int_equal(inet_pton(AF_INET, p->dip, ip + 16), 1);
    size_t n = 20 + put_transport(p, ip + 20);
    ip[3] = (uint8_t)n;
    return n;
}

size_t gp_test_frame(const gp_test_packet *p, uint8_t *frame)
{
    memset(frame, 0, 12);
    frame[12] = strchr(p->sip, ':') ? 0x86 : 0x08;
    frame[13] = strchr(p->sip, ':') ? 0xdd : 0x00;
    return 14 + gp_test_ip(p, frame + 14);
}

struct gp_test_pcap {
    pcap_t *pcap;
    pcap_dumper_t *dumper;
};

static gp_test_pcap *allocate(void)
{
    gp_test_pcap *f = test_calloc(1, sizeof *f);
    assert_non_null(f);
    return f;
}

gp_test_pcap *gp_test_pcap_create_link(const char *path, int dlt)
{
    gp_test_pcap *f = allocate();
    f->pcap = pcap_open_dead(dlt, 65535);
    assert_non_null(f->pcap);
    f->dumper = pcap_dump_open(f->pcap, path);
    assert_non_null(f->dumper);
    return f;
}

gp_test_pcap *gp_test_pcap_create(const char *path)
{
    return gp_test_pcap_create_link(path, DLT_EN10MB);
}

void gp_test_pcap_add_frame(gp_test_pcap *f, int64_t ts, const uint8_t *frame, size_t len)
{
    const struct pcap_pkthdr h = {.ts.tv_sec = ts, .caplen = (bpf_u_int32)len, .len = (bpf_u_int32)len};
    pcap_dump((u_char *)f->dumper, &h, frame);
}

void gp_test_pcap_add(gp_test_pcap *f, int64_t ts, const gp_test_packet *p)
{
    uint8_t frame[GP_TEST_FRAME_MAX];
    gp_test_pcap_add_frame(f, ts, frame, gp_test_frame(p, frame));
}

void gp_test_pcap_close(gp_test_pcap *f)
{
    pcap_dump_close(f->dumper);
    pcap_close(f->pcap);
    test_free(f);
}
