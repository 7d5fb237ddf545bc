#include "proto/http/metrics.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Routes, methods and statuses of both services together; beyond it, counts go to nobody. */
enum { MAX_SERIES = 512, DURATION_BUCKETS = 10, SIZE_BUCKETS = 7 };

static const double duration_bounds[DURATION_BUCKETS] = {0.01, 0.05, 0.1, 0.25, 1, 5, 10, 30, 60, 300};
static const double size_bounds[SIZE_BUCKETS] = {1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};

typedef struct sizes {
    double bytes;
    uint64_t counts[SIZE_BUCKETS]; /* cumulative */
} sizes;

typedef struct series {
    const char *route; /* static, of the route table */
    char method[12];
    int status;
    uint64_t count;
    double seconds;
    uint64_t durations[DURATION_BUCKETS]; /* cumulative, as Prometheus wants them */
    sizes request, response;
} series;

struct gp_http_metrics {
    pthread_mutex_t lock;
    char service[32];
    series *items;
    size_t n;
};

gp_code gp_http_metrics_new(gp_http_metrics **out, const char *service, gp_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return gp_fail(err, GP_ENOMEM, "out of memory for metrics");
    snprintf((*out)->service, sizeof(*out)->service, "%s", service);
    pthread_mutex_init(&(*out)->lock, NULL);
    return GP_OK;
}

void gp_http_metrics_free(gp_http_metrics *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m->items);
    free(m);
}

static series *find(gp_http_metrics *m, const char *method, const char *route, int status)
{
    for (size_t i = 0; i < m->n; i++) {
        series *s = &m->items[i];
        if (s->status == status && strcmp(s->route, route) == 0 && strcmp(s->method, method) == 0)
            return s;
    }
    series *more = m->n < MAX_SERIES ? reallocarray(m->items, m->n + 1, sizeof *more) : NULL;
    if (!more)
        return NULL;
    m->items = more;
    series *s = &more[m->n++];
    *s = (series){.route = route, .status = status};
    snprintf(s->method, sizeof s->method, "%s", method);
    return s;
}

static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], method) == 0)
            return known[i];
    return "other"; /* clients may invent methods */
}

static void add_size(sizes *s, size_t bytes)
{
    s->bytes += (double)bytes;
    for (size_t i = 0; i < SIZE_BUCKETS; i++)
        s->counts[i] += (double)bytes <= size_bounds[i];
}

void gp_http_metrics_observe(void *metrics, const gp_http_observation *seen)
{
    gp_http_metrics *m = metrics;
    if (strncmp(seen->route, "/-/", 3) == 0 || strcmp(seen->route, "/metrics") == 0)
        return; /* probes and scrapes are not counted, as in v4 */
    pthread_mutex_lock(&m->lock);
    series *s = find(m, known_method(seen->method), seen->route, seen->status);
    if (s) {
        s->count++;
        s->seconds += seen->seconds;
        for (size_t i = 0; i < DURATION_BUCKETS; i++)
            s->durations[i] += seen->seconds <= duration_bounds[i];
        add_size(&s->request, seen->request_bytes);
        add_size(&s->response, seen->response_bytes);
    }
    pthread_mutex_unlock(&m->lock);
}

static void head(gp_buf *out, const char *service, const char *name, const char *type, const char *help)
{
    gp_buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", service, name, help, service, name, type);
}

static void put_histogram(gp_buf *out, const char *service, const char *name, const char *labels,
                          const double *bounds, const uint64_t *counts, size_t n, uint64_t total, double sum)
{
    for (size_t i = 0; i < n; i++)
        gp_buf_printf(out, "%s%s_bucket{%s,le=\"%g\"} %llu\n", service, name, labels, bounds[i],
                      (unsigned long long)counts[i]);
    gp_buf_printf(out, "%s%s_bucket{%s,le=\"+Inf\"} %llu\n", service, name, labels,
                  (unsigned long long)total);
    gp_buf_printf(out, "%s%s_sum{%s} %.9g\n%s%s_count{%s} %llu\n", service, name, labels, sum, service, name,
                  labels, (unsigned long long)total);
}

static void put_durations(const gp_http_metrics *m, gp_buf *out)
{
    const char *name = "_api_request_duration_seconds";
    head(out, m->service, name, "histogram", "Time from request to answer");
    for (size_t i = 0; i < m->n; i++) {
        const series *s = &m->items[i];
        char labels[256];
        snprintf(labels, sizeof labels, "code=\"%d\",method=\"%s\",path=\"%s\"", s->status, s->method,
                 s->route);
        put_histogram(out, m->service, name, labels, duration_bounds, s->durations, DURATION_BUCKETS,
                      s->count, s->seconds);
    }
}

static void put_counts(const gp_http_metrics *m, gp_buf *out)
{
    head(out, m->service, "_api_requests_total", "counter", "Answered requests");
    for (size_t i = 0; i < m->n; i++) {
        const series *s = &m->items[i];
        gp_buf_printf(out,
                      "%s_api_requests_total{code=\"%d\",handler=\"%s\",method=\"%s\",path=\"%s\"} %llu\n",
                      m->service, s->status, s->route, s->method, s->route, (unsigned long long)s->count);
    }
}

static bool same_size_series(const series *a, const series *b)
{
    return a->status == b->status && strcmp(a->method, b->method) == 0;
}

typedef const sizes *(*sizes_of)(const series *s);

static const sizes *request_of(const series *s)
{
    return &s->request;
}

static const sizes *response_of(const series *s)
{
    return &s->response;
}

/* Sizes carry no path: adds up the series with the code and method of series i. False if an earlier series
 * has the same, and stands for all of them. */
static bool sum_sizes(const gp_http_metrics *m, size_t i, sizes_of of, sizes *sum, uint64_t *count)
{
    *sum = (sizes){0};
    *count = 0;
    for (size_t j = 0; j < m->n; j++) {
        if (!same_size_series(&m->items[j], &m->items[i]))
            continue;
        if (j < i)
            return false;
        const sizes *s = of(&m->items[j]);
        *count += m->items[j].count;
        sum->bytes += s->bytes;
        for (size_t b = 0; b < SIZE_BUCKETS; b++)
            sum->counts[b] += s->counts[b];
    }
    return true;
}

static void put_sizes(const gp_http_metrics *m, gp_buf *out, const char *name, const char *help, sizes_of of)
{
    head(out, m->service, name, "histogram", help);
    for (size_t i = 0; i < m->n; i++) {
        sizes sum;
        uint64_t count;
        char labels[64];
        if (!sum_sizes(m, i, of, &sum, &count))
            continue;
        snprintf(labels, sizeof labels, "code=\"%d\",method=\"%s\"", m->items[i].status, m->items[i].method);
        put_histogram(out, m->service, name, labels, size_bounds, sum.counts, SIZE_BUCKETS, count, sum.bytes);
    }
}

void gp_http_metrics_write(gp_http_metrics *m, gp_buf *out)
{
    pthread_mutex_lock(&m->lock);
    put_durations(m, out);
    put_counts(m, out);
    put_sizes(m, out, "_api_request_size_bytes", "Size of requests", request_of);
    put_sizes(m, out, "_api_response_size_bytes", "Size of answers", response_of);
    pthread_mutex_unlock(&m->lock);
}

static void put_value(gp_buf *out, const char *name, const char *type, const char *help, double value)
{
    head(out, "process", name, type, help);
    gp_buf_printf(out, "process%s %.15g\n", name, value);
}

static double count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    double n = -1; /* the folder itself */
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* proc_pid_stat(5): fields 22 (start), 23 (virtual bytes) and 24 (resident pages). */
static bool read_stat(double *start_ticks, double *virtual_bytes, double *resident_pages)
{
    char text[2048];
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f); /* only read */
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    double field[3] = {0};
    for (int i = 2; at && i <= 24; i++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
        if (at && i >= 21 && i <= 23)
            field[i - 21] = strtod(at, NULL);
    }
    *start_ticks = field[0];
    *virtual_bytes = field[1];
    *resident_pages = field[2];
    return at != NULL;
}

static double boot_time(void)
{
    struct timespec now;
    struct timespec up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
}

void gp_process_metrics_write(gp_buf *out)
{
    struct rusage used;
    struct rlimit files;
    double start = 0;
    double virtual_bytes = 0;
    double resident = 0;
    if (getrusage(RUSAGE_SELF, &used) == 0)
        put_value(out, "_cpu_seconds_total", "counter", "CPU time, user and system, in seconds.",
                  (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                      (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put_value(out, "_max_fds", "gauge", "File descriptors that may be open.", (double)files.rlim_cur);
    put_value(out, "_open_fds", "gauge", "File descriptors that are open.", count_fds());
    if (!read_stat(&start, &virtual_bytes, &resident))
        return;
    put_value(out, "_resident_memory_bytes", "gauge", "Resident memory in bytes.",
              resident * (double)sysconf(_SC_PAGESIZE));
    put_value(out, "_start_time_seconds", "gauge", "Start of the process in seconds since 1970.",
              boot_time() + start / (double)sysconf(_SC_CLK_TCK));
    put_value(out, "_virtual_memory_bytes", "gauge", "Virtual memory in bytes.", virtual_bytes);
}
