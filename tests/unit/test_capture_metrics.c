/* Names, labels and values as goProbe v4's /metrics has them. */
#include "sensor/capture/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const gp_iface_sample samples[] = {
    {.processed = 10, .dropped = 1, .issues = {3, 2, 1}, .volume = {100, 200, 30, 4}, .flows = 7},
    {.processed = 5, .volume = {0, 50, 0, 1}, .flows = 2},
};
static const char *const ifaces[] = {"eth0", "we\"ird"};

static void has_line(const gp_buf *text, const char *line)
{
    const char *at = strstr(text->data, line);
    if (!at || (at != text->data && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line '%s' in:\n%s", line, text->data);
}

static void samples_have_the_names_and_labels_of_v4(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "# TYPE goprobe_capture_packets_processed_total counter",
        "goprobe_capture_packets_processed_total{iface=\"eth0\"} 10",
        "goprobe_capture_packets_processed_total{iface=\"we\\\"ird\"} 5",
        "goprobe_capture_packets_dropped_total{iface=\"eth0\"} 1",
        "goprobe_capture_bytes_total{direction=\"outbound\",iface=\"eth0\"} 200",
        "goprobe_capture_packets_total{direction=\"inbound\",iface=\"eth0\"} 30",
        "# TYPE goprobe_capture_flows_total gauge",
        "goprobe_capture_flows_total{iface=\"eth0\"} 7",
        "goprobe_capture_capture_issues_total{iface=\"eth0\",issue_type=\"packet fragmented\"} 3",
        "goprobe_capture_capture_issues_total{iface=\"eth0\",issue_type=\"invalid IP header\"} 2",
        "goprobe_capture_capture_issues_total{iface=\"eth0\",issue_type=\"packet truncated\"} 1",
    };
    gp_buf text = GP_BUF_INIT;
    gp_capture_metrics_write(ifaces, samples, 2, true, &text);
    assert_false(text.failed);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        has_line(&text, lines[i]);
    gp_buf_free(&text);
}

static void without_interfaces_the_sums_are_told(void **state)
{
    (void)state;
    gp_buf text = GP_BUF_INIT;
    gp_capture_metrics_write(ifaces, samples, 2, false, &text);
    has_line(&text, "goprobe_capture_packets_processed_total 15");
    has_line(&text, "goprobe_capture_bytes_total{direction=\"outbound\"} 250");
    has_line(&text, "goprobe_capture_capture_issues_total{issue_type=\"packet truncated\"} 1");
    assert_null(strstr(text.data, "iface"));
    gp_buf_free(&text);
}

static void histograms_count_up(void **state)
{
    (void)state;
    static const double bounds[GP_HISTOGRAM_BOUNDS] = {0.001, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,   0.25,  0.5,  0.75,  1};
    gp_histogram h = {.bounds = bounds};
    gp_buf text = GP_BUF_INIT;
    gp_histogram_add(&h, 0.005); /* a bound belongs to its bucket */
    gp_histogram_add(&h, 0.5);
    gp_histogram_add(&h, 2);
    gp_histogram_write(&h, "capture_manager_rotation_duration_seconds", "Time", &text);
    has_line(&text, "# TYPE goprobe_capture_manager_rotation_duration_seconds histogram");
    has_line(&text, "goprobe_capture_manager_rotation_duration_seconds_bucket{le=\"0.001\"} 0");
    has_line(&text, "goprobe_capture_manager_rotation_duration_seconds_bucket{le=\"0.005\"} 1");
    has_line(&text, "goprobe_capture_manager_rotation_duration_seconds_bucket{le=\"1\"} 2");
    has_line(&text, "goprobe_capture_manager_rotation_duration_seconds_bucket{le=\"+Inf\"} 3");
    has_line(&text, "goprobe_capture_manager_rotation_duration_seconds_count 3");
    gp_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_have_the_names_and_labels_of_v4),
        cmocka_unit_test(without_interfaces_the_sums_are_told),
        cmocka_unit_test(histograms_count_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
