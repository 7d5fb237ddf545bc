#include "sensor/capture/metrics.h"

#include <inttypes.h>
#include <stdio.h>

/* One series of an interface: the value and its second label. Rows of one name stand together. */
typedef struct metric {
    const char *name, *type;
    const char *help;           /* "" in further rows of a name */
    const char *before, *after; /* a further label, which sorts before or behind "iface"; "": none */
    double (*value)(const gp_iface_sample *s);
} metric;

static double m_processed(const gp_iface_sample *s)
{
    return (double)s->processed;
}
static double m_dropped(const gp_iface_sample *s)
{
    return (double)s->dropped;
}
static double m_bytes_in(const gp_iface_sample *s)
{
    return (double)s->volume.bytes_rcvd;
}
static double m_bytes_out(const gp_iface_sample *s)
{
    return (double)s->volume.bytes_sent;
}
static double m_packets_in(const gp_iface_sample *s)
{
    return (double)s->volume.pkts_rcvd;
}
static double m_packets_out(const gp_iface_sample *s)
{
    return (double)s->volume.pkts_sent;
}
static double m_flows(const gp_iface_sample *s)
{
    return (double)s->flows;
}
static double m_usage(const gp_iface_sample *s)
{
    return s->buffer_usage;
}
static double m_fragments(const gp_iface_sample *s)
{
    return (double)s->issues[GP_PARSE_FRAGMENT];
}
static double m_invalid(const gp_iface_sample *s)
{
    return (double)s->issues[GP_PARSE_INVALID_IP];
}
static double m_truncated(const gp_iface_sample *s)
{
    return (double)s->issues[GP_PARSE_TRUNCATED];
}
static double m_received(const gp_iface_sample *s)
{
    return (double)s->received;
}
static double m_overflow_packets(const gp_iface_sample *s)
{
    return (double)s->overflow_packets;
}
static double m_overflow_bytes(const gp_iface_sample *s)
{
    return (double)s->overflow_bytes;
}
static double m_running_flows(const gp_iface_sample *s)
{
    return (double)s->running.flows;
}
static double m_table_bytes(const gp_iface_sample *s)
{
    return (double)s->running.table_bytes;
}
static double m_ring_fill(const gp_iface_sample *s)
{
    return (double)s->running.ring_fill_percent / 100;
}
static double m_pause(const gp_iface_sample *s)
{
    return (double)s->running.rotation_pause_ns / 1e9;
}

#define INBOUND     "direction=\"inbound\""
#define OUTBOUND    "direction=\"outbound\""
#define ISSUE(name) "issue_type=\"" name "\""

static const metric metrics[] = {
    {"packets_processed_total", "counter", "Number of packets processed", "", "", m_processed},
    {"packets_dropped_total", "counter", "Number of packets dropped", "", "", m_dropped},
    {"bytes_total", "counter", "Number of bytes tracked in flow map", INBOUND, "", m_bytes_in},
    {"bytes_total", "counter", "", OUTBOUND, "", m_bytes_out},
    {"packets_total", "counter", "Number of packets seen in flow map", INBOUND, "", m_packets_in},
    {"packets_total", "counter", "", OUTBOUND, "", m_packets_out},
    {"flows_total", "gauge", "Number of flows tracked in the flow map", "", "", m_flows},
    {"global_packet_buffer_usage", "gauge",
     "Percentage of global buffer capacity used during flow map rotation", "", "", m_usage},
    {"capture_issues_total", "counter", "Number of unexpected issues encountered during packet capture", "",
     ISSUE("packet fragmented"), m_fragments},
    {"capture_issues_total", "counter", "", "", ISSUE("invalid IP header"), m_invalid},
    {"capture_issues_total", "counter", "", "", ISSUE("packet truncated"), m_truncated},
    /* Beyond v4. */
    {"packets_received_total", "counter", "Number of packets that the kernel saw", "", "", m_received},
    {"overflow_packets_total", "counter", "Packets of flows beyond max_flows, counted as one flow", "", "",
     m_overflow_packets},
    {"overflow_bytes_total", "counter", "Bytes of flows beyond max_flows", "", "", m_overflow_bytes},
    {"running_flows", "gauge", "Flows of the running interval", "", "", m_running_flows},
    {"flow_table_bytes", "gauge", "Memory of the running interval's flows", "", "", m_table_bytes},
    {"ring_fill_ratio", "gauge", "The ring at its fullest in the running interval", "", "", m_ring_fill},
    {"rotation_pause_seconds", "gauge", "How long the packet path waited at the last rotation", "", "",
     m_pause},
};

static void put_header(const char *name, const char *type, const char *help, gp_buf *out)
{
    gp_buf_printf(out, "# HELP goprobe_%s %s\n# TYPE goprobe_%s %s\n", name, help, name, type);
}

/* Names of interfaces may hold any byte but '/' and blanks. */
static void put_label_value(const char *s, gp_buf *out)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            gp_buf_putc(out, '\\');
        gp_buf_putc(out, *s);
    }
}

static void put_sample(const metric *x, const char *iface, double value, gp_buf *out)
{
    const char *separator = "";
    gp_buf_printf(out, "goprobe_capture_%s", x->name);
    if (iface || *x->before || *x->after) {
        gp_buf_printf(out, "{%s", x->before);
        separator = *x->before ? "," : "";
        if (iface) {
            gp_buf_printf(out, "%siface=\"", separator);
            put_label_value(iface, out);
            gp_buf_putc(out, '"');
            separator = ",";
        }
        if (*x->after)
            gp_buf_printf(out, "%s%s", separator, x->after);
        gp_buf_putc(out, '}');
    }
    gp_buf_printf(out, " %.17g\n", value);
}

void gp_capture_metrics_write(const char *const *ifaces, const gp_iface_sample *samples, size_t n,
                              bool with_ifaces, gp_buf *out)
{
    for (const metric *x = metrics; x < metrics + sizeof metrics / sizeof metrics[0]; x++) {
        char name[64];
        double sum = 0;
        snprintf(name, sizeof name, "capture_%s", x->name);
        if (*x->help)
            put_header(name, x->type, x->help, out);
        for (size_t i = 0; i < n; i++) {
            sum += x->value(&samples[i]);
            if (with_ifaces)
                put_sample(x, ifaces[i], x->value(&samples[i]), out);
        }
        if (!with_ifaces)
            put_sample(x, NULL, sum, out);
    }
}

void gp_gauge_write(const char *name, const char *help, double value, gp_buf *out)
{
    put_header(name, "gauge", help, out);
    gp_buf_printf(out, "goprobe_%s %.17g\n", name, value);
}

void gp_counter_write(const char *name, const char *help, uint64_t value, gp_buf *out)
{
    put_header(name, "counter", help, out);
    gp_buf_printf(out, "goprobe_%s %" PRIu64 "\n", name, value);
}

void gp_histogram_add(gp_histogram *h, double value)
{
    size_t i = 0;
    while (i < GP_HISTOGRAM_BOUNDS && value > h->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

void gp_histogram_write(const gp_histogram *h, const char *name, const char *help, gp_buf *out)
{
    uint64_t below = 0;
    put_header(name, "histogram", help, out);
    for (size_t i = 0; i < GP_HISTOGRAM_BOUNDS; i++) {
        below += h->counts[i];
        gp_buf_printf(out, "goprobe_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, h->bounds[i], below);
    }
    below += h->counts[GP_HISTOGRAM_BOUNDS];
    gp_buf_printf(out, "goprobe_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, below);
    gp_buf_printf(out, "goprobe_%s_sum %.17g\ngoprobe_%s_count %" PRIu64 "\n", name, h->sum, name, below);
}
