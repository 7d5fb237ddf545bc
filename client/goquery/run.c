/* Runs one query, locally or against a query server, and prints the answer. */
#include "client/goquery/goquery.h"

#include "client/goquery/plot.h"
#include "client/gpclient.h"
#include "client/report/report.h"
#include "client/term/term.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/suggest.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- arguments ----------------------------------------------------------------------------------------- */

static gp_code read_all(FILE *f, gp_buf *out, const char *name, gp_error *err)
{
    char chunk[4096];
    out->limit = 1 << 20;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        gp_buf_add(out, chunk, n);
    if (ferror(f))
        return gp_fail_errno(err, errno, "failed to read query args from %s", name);
    return out->failed ? gp_fail(err, GP_ELIMIT, "query args in %s are longer than 1 MiB", name) : GP_OK;
}

static void problem_to_error(const gp_problem *p, const char *what, gp_error *err)
{
    gp_buf text = GP_BUF_INIT;
    gp_problem_errors_to_text(p, 4, &text);
    gp_fail(err, GP_EINVAL, "%s:%s", what, text.data ? text.data : p->detail ? p->detail : "");
    gp_buf_free(&text);
}

/* What the file says replaces what the flags said. */
static gp_code load_stored(options *o, gp_error *err)
{
    bool from_stdin = strcmp(o->stored_query, "-") == 0;
    gp_buf text = GP_BUF_INIT;
    gp_buf unknown = GP_BUF_INIT;
    gp_problem problem = GP_PROBLEM_INIT;
    gp_args stored;
    FILE *f = from_stdin ? stdin : fopen(o->stored_query, "re");
    if (!f)
        return gp_fail_errno(err, errno, "failed to open query args from %s", o->stored_query);
    gp_code code = read_all(f, &text, o->stored_query, err);
    if (!from_stdin)
        (void)fclose(f); /* only read */
    if (code == GP_OK &&
        gp_args_from_file(text.data ? text.data : "", text.len, &stored, &unknown, &problem) != GP_OK) {
        code = GP_EINVAL;
        problem_to_error(&problem, "failed to unmarshal JSON query args", err);
    } else if (code == GP_OK) {
        /* Presentation stays with the command line where the file is silent. */
        if (!stored.format)
            code = gp_args_set(&stored.format, o->args.format, err);
        gp_args_free(&o->args);
        o->args = stored;
        if (unknown.len)
            fprintf(stderr, "Warning: no query args, and so without effect, in %s: %s\n", o->stored_query,
                    unknown.data);
    }
    gp_buf_free(&unknown);
    gp_problem_free(&problem);
    gp_buf_free(&text);
    return code;
}

/* Protects against asking for everything by accident: a month, or a day with times. */
static gp_code default_range(gp_args *a, gp_error *err)
{
    time_t now = time(NULL);
    struct tm t;
    char text[32];
    localtime_r(&now, &t);
    gp_code code = GP_OK;
    if (!a->last && !a->live) {
        snprintf(text, sizeof text, "%lld", (long long)now);
        code = gp_args_set(&a->last, text, err);
    }
    if (a->first || code != GP_OK)
        return code;
    if (strstr(a->query, "time") || strstr(a->query, "raw"))
        t.tm_mday--;
    else
        t.tm_mon--;
    t.tm_isdst = -1;
    snprintf(text, sizeof text, "%lld", (long long)mktime(&t));
    return gp_args_set(&a->first, text, err);
}

/* A 0 that was asked for is no gap to fill: it is refused when the query is prepared. */
static gp_code fill_gaps(gp_args *a, gp_error *err)
{
    const uint64_t num_results = a->num_results;
    const int64_t max_mem_pct = a->max_mem_pct;
    gp_code code = gp_args_set_defaults(a, (int64_t)time(NULL), err);
    a->num_results = num_results;
    a->max_mem_pct = max_mem_pct;
    return code;
}

static gp_code complete_args(options *o, gp_error *err)
{
    gp_code code = o->stored_query && *o->stored_query ? load_stored(o, err) : GP_OK;
    if (code == GP_OK && !o->args.query)
        code = gp_fail(err, GP_EINVAL,
                       "no query type or command provided: say which columns, for example sip,dip");
    if (code == GP_OK)
        code = default_range(&o->args, err);
    if (code == GP_OK && !o->args.caller)
        code = gp_args_set(&o->args.caller, "goquery", err);
    return code == GP_OK ? fill_gaps(&o->args, err) : code;
}

/* A table of many hosts needs their names. */
static gp_code show_hosts(gp_args *a, gp_error *err)
{
    if (a->sum_hosts || strstr(a->query, "host") || strcmp(a->query, "raw") == 0 ||
        strcmp(a->format, "txt") != 0)
        return GP_OK;
    gp_buf q = GP_BUF_INIT;
    gp_buf_printf(&q, "%s,host", a->query);
    gp_code code = q.data ? gp_args_set(&a->query, q.data, err) : gp_fail(err, GP_ENOMEM, "out of memory");
    gp_buf_free(&q);
    return code;
}

/* ---- running ------------------------------------------------------------------------------------------- */

static const int64_t redraw_ns = INT64_C(500000000);

/* How a query is waited for: with one line that is overwritten while it runs, where somebody can watch it,
 * and until the user gives up or the time is over. */
typedef struct query_wait {
    bool shown;       /* standard error is a terminal */
    bool dirty;       /* something stands in the line */
    int64_t until_ns; /* gp_clock_ns() */
} query_wait;

static query_wait wait_for(int64_t timeout_ns)
{
    return (query_wait){.shown = isatty(STDERR_FILENO),
                        .until_ns = timeout_ns > 0 ? gp_clock_after(timeout_ns) : GP_CLOCK_NEVER};
}

static bool given_up(void *ctx)
{
    const query_wait *w = ctx;
    return gp_interrupted(NULL) || gp_clock_ns() >= w->until_ns;
}

/* Nobody withdrew a query that ran out of time, and who asked may not know that there is a limit. */
static gp_code name_timeout(const options *o, const query_wait *w, gp_code code, gp_error *err)
{
    char limit[64];
    bool remote = o->server && *o->server;
    bool given_up_by_time = (code == GP_ECANCELED || code == GP_ETIMEOUT) && !gp_interrupted(NULL);
    if (!given_up_by_time || gp_clock_ns() < w->until_ns)
        return code;
    gp_duration_format(o->timeout_ns, limit, sizeof limit);
    return gp_fail(err, GP_ETIMEOUT, "%s%s within %s, which is the time-out that --query.timeout sets",
                   remote ? "no answer from " : "the query did not end", remote ? o->server : "", limit);
}

static void show_line(query_wait *w, const char *text)
{
    fprintf(stderr, "\r\033[K%s", text);
    (void)fflush(stderr); /* nobody misses a line that could not be shown */
    w->dirty = true;
}

static void end_progress(query_wait *w)
{
    if (w->dirty)
        fputs("\r\033[K", stderr);
    w->dirty = false;
}

static void show_reading(void *ctx, const gp_query_stats *so_far)
{
    char text[80];
    snprintf(text, sizeof text, "%" PRIu64 " days read, %" PRIu64 " blocks", so_far->directories_processed,
             so_far->blocks_processed);
    show_line(ctx, text);
}

static gp_code run_local(const options *o, const gp_stmt *stmt, gp_result *out, gp_error *err)
{
    gp_engine *e = NULL;
    gp_log *log = NULL;
    gp_stmt watched = *stmt; /* borrows everything */
    query_wait w = wait_for(o->timeout_ns);
    gp_run_hooks hooks = {.canceled = given_up, .ctx = &w};
    if (o->args.live)
        return gp_fail(err, GP_EINVAL,
                       "cannot run live query in local DB mode: ask the sensor with --query.server.addr");
    if (!o->db || !*o->db)
        return gp_fail(err, GP_EINVAL,
                       "db.path is required for local DB operations: name the database with -d");
    if (w.shown) {
        hooks.keepalive = show_reading;
        watched.keepalive_ns = redraw_ns;
    }
    gp_code code = gp_log_open(&log, "stderr", GP_LOG_WARN, GP_LOG_LOGFMT, err);
    if (code == GP_OK)
        code = gp_engine_new(&e, &(gp_engine_config){.db = o->db, .log = log}, err);
    if (code == GP_OK)
        code = name_timeout(o, &w, gp_engine_run(e, &watched, &hooks, out, err), err);
    end_progress(&w);
    gp_engine_free(e);
    gp_log_close(log);
    return code;
}

static void put_progress(query_wait *w, const gp_progress *p)
{
    gp_buf text = GP_BUF_INIT;
    gp_buf_printf(&text, "%" PRIu64 " of %" PRIu64 " hosts, ", p->hosts_done, p->hosts_total);
    gp_fmt_count(&text, p->rows);
    gp_buf_printf(&text, " rows, %.1f s", (double)p->elapsed_ns / 1e9);
    show_line(w, text.data ? text.data : "");
    gp_buf_free(&text);
}

static bool show_progress(void *ctx, gp_event_type type, const gp_result *r, const gp_problem *problem)
{
    query_wait *w = ctx;
    (void)problem;
    if (given_up(w))
        return false;
    if (!w->shown || !r || (type != GP_EVENT_PARTIAL && type != GP_EVENT_KEEPALIVE))
        return true;
    if (r->has_progress)
        put_progress(w, &r->progress);
    else if (type == GP_EVENT_PARTIAL) /* v4 does not say how many there are */
        put_progress(w, &(gp_progress){r->n_hosts, r->n_hosts, r->n_rows, r->query_duration_ns});
    return true;
}

static gp_code ask_streaming(const options *o, gp_client *c, query_wait *w, gp_result *out,
                             gp_problem *problem, gp_error *err)
{
    gp_args args = o->args; /* borrows the texts */
    if (w->shown && args.keepalive_ns == 0)
        args.keepalive_ns = redraw_ns;
    gp_code code = gp_client_query_sse(c, &args, show_progress, w, out, problem, err);
    end_progress(w);
    return code;
}

/* The errors are shown below what the server says of the whole. */
static void refuse_with_errors(const options *o, const gp_problem *problem, gp_error *err)
{
    char what[512];
    snprintf(what, sizeof what, "%s: %s", o->server,
             problem->detail ? problem->detail : "the query is refused");
    problem_to_error(problem, what, err);
}

static gp_code run_remote(const options *o, gp_result *out, gp_error *err)
{
    gp_client *c = NULL;
    gp_problem problem = GP_PROBLEM_INIT;
    query_wait w = wait_for(o->timeout_ns);
    const gp_client_config cfg = {.addr = o->server,
                                  .access = {o->token, o->tls_ca, o->tls_cert, o->tls_key},
                                  .timeout_ns = o->timeout_ns,
                                  .canceled = given_up,
                                  .cancel_ctx = &w};
    gp_code code = gp_client_new(&c, &cfg, err);
    if (code != GP_OK)
        return code;
    if (o->streaming || w.shown)
        code = ask_streaming(o, c, &w, out, &problem, err);
    else
        code = gp_client_query(c, &o->args, out, &problem, err);
    code = name_timeout(o, &w, code, err);
    if (code != GP_OK && problem.n_errors)
        refuse_with_errors(o, &problem, err);
    gp_problem_free(&problem);
    gp_client_free(c);
    return code;
}

/* ---- printing ------------------------------------------------------------------------------------------ */

static void put_statement(const gp_args *a, const gp_stmt *s, gp_buf *out)
{
    char from[32];
    char to[32];
    struct tm t;
    time_t first = (time_t)s->first;
    time_t last = (time_t)s->last;
    if (!localtime_r(&first, &t) || !strftime(from, sizeof from, "%a %b %e %H:%M:%S %Y", &t))
        snprintf(from, sizeof from, "the beginning of time");
    if (!localtime_r(&last, &t) || !strftime(to, sizeof to, "%a %b %e %H:%M:%S %Y", &t))
        snprintf(to, sizeof to, "the end of time");
    gp_buf_printf(out, "\n        query: %s\n       ifaces: [%s]\n", a->query, a->ifaces ? a->ifaces : "any");
    if (a->condition && *a->condition)
        gp_buf_printf(out, "    condition: %s\n", a->condition);
    gp_buf_printf(out, "    \n         from: %s\n           to: %s\n    \n        limit: %llu\n    ", from,
                  to, (unsigned long long)s->num_results);
}

static gp_code fail_execution(const gp_args *a, const gp_stmt *stmt, gp_code code, gp_error *err)
{
    gp_buf text = GP_BUF_INIT;
    gp_error cause = *err;
    put_statement(a, stmt, &text);
    gp_fail(err, code, "failed to execute query\n\n      Error: %.1000s\n  Statement:\n%s", cause.msg,
            text.data ? text.data : "");
    gp_buf_free(&text);
    return code;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const gp_host_status *)a)->host, ((const gp_host_status *)b)->host);
}

static void put_host_status(const gp_host_status *h, gp_buf *out)
{
    gp_buf_puts(out, "Host ");
    gp_fmt_text(out, h->host);
    gp_buf_printf(out, " returned with error \"%s\": ", gp_status_name(h->code));
    gp_fmt_text(out, h->message ? h->message : "");
    gp_buf_putc(out, '\n');
}

static void print_statuses(gp_result *r)
{
    gp_buf text = GP_BUF_INIT;
    if (r->status != GP_STATUS_OK)
        printf("Status \"%s\": %s\n", gp_status_name(r->status), r->status_message ? r->status_message : "");
    if (r->n_hosts <= 1)
        return;
    qsort(r->hosts, r->n_hosts, sizeof *r->hosts, by_name);
    for (size_t i = 0; i < r->n_hosts; i++)
        if (r->hosts[i].code != GP_STATUS_OK)
            put_host_status(&r->hosts[i], &text);
    if (text.len)
        fputs(text.data, stdout);
    gp_buf_free(&text);
}

static bool has_failed(const gp_host_status *h)
{
    return h->code == GP_STATUS_ERROR || h->code == GP_STATUS_TOO_MANY_REQUESTS;
}

/* An answer that no host has a part in is none, however empty and valid it looks. */
static gp_code check_hosts(const gp_result *r, gp_error *err)
{
    size_t failed = 0;
    for (size_t i = 0; i < r->n_hosts; i++)
        failed += has_failed(&r->hosts[i]);
    if (!failed || failed < r->n_hosts)
        return GP_OK;
    const gp_host_status *h = &r->hosts[0];
    const char *why = h->message && *h->message ? h->message : "it does not say why";
    if (failed == 1)
        return gp_fail(err, GP_ENET, "host %s failed with \"%s\": %s", h->host, gp_status_name(h->code), why);
    return gp_fail(err, GP_ENET, "all %zu hosts failed, %s with \"%s\": %s", failed, h->host,
                   gp_status_name(h->code), why);
}

/* A table for programs has no place for them. */
static void warn_on_stderr(const gp_result *r)
{
    static const char before[] = "Warning: host ";
    gp_buf text = GP_BUF_INIT;
    (void)gp_report_warnings(r, before, before, SIZE_MAX, &text);
    if (text.len)
        fputs(text.data, stderr);
    gp_buf_free(&text);
}

static gp_code resolve_names(const gp_stmt *s, gp_result *r, gp_dns_names **names, gp_error *err)
{
    if (!s->dns.enabled || !(s->type.attr_mask & (GP_ATTR_SIP | GP_ATTR_DIP)))
        return GP_OK;
    const int64_t start = gp_clock_ns();
    gp_code code = gp_dns_lookup(r, s->dns.max_rows, s->dns.timeout_ns, names, err);
    r->resolution_ns = gp_clock_ns() - start;
    return code;
}

static gp_code print_result(const options *o, const gp_stmt *s, gp_result *r, gp_error *err)
{
    gp_buf out = GP_BUF_INIT;
    gp_dns_names *names = NULL;
    gp_code code = GP_OK;
    if (s->format == GP_FORMAT_JSON) {
        gp_result_to_json(r, &out);
        gp_buf_putc(&out, '\n');
    } else {
        code = resolve_names(s, r, &names, err);
        const gp_report_options opt = {&s->type, s->direction,   s->sort_by,
                                       names,    o->query_stats, gp_term_colored(STDOUT_FILENO)};
        print_statuses(r);
        if (code == GP_OK && s->format == GP_FORMAT_CSV) {
            warn_on_stderr(r);
            gp_report_csv(r, &opt, &out);
        } else if (code == GP_OK)
            gp_report_txt(r, &opt, &out);
    }
    if (code == GP_OK && out.failed)
        code = gp_fail(err, GP_ENOMEM, "out of memory for printing %zu rows", r->n_rows);
    if (code == GP_OK && out.len && fwrite(out.data, 1, out.len, stdout) != out.len)
        code = gp_fail_errno(err, errno, "failed to print query result");
    gp_dns_free(names);
    gp_buf_free(&out);
    return code;
}

static void log_query(const options *o, const gp_result *r)
{
    gp_log *log = NULL;
    gp_buf args = GP_BUF_INIT;
    if (!o->query_log || !*o->query_log)
        return;
    if (gp_log_open(&log, o->query_log, GP_LOG_INFO, GP_LOG_JSON, NULL) == GP_OK) {
        gp_args_to_json(&o->args, &args);
        gp_log_info(log, "query finished", GP_F_STR("args", args.data ? args.data : ""),
                    GP_F_U64("hits", r->hits_total), GP_F_F64("seconds", (double)r->query_duration_ns / 1e9));
        gp_log_close(log);
    }
    gp_buf_free(&args);
}

/* A server has cut and binned already; doing it again changes nothing. */
static gp_code post_process(const gp_stmt *s, gp_result *r, gp_error *err)
{
    gp_code code = GP_OK;
    if ((s->type.label_mask & GP_LABEL_TIME) && s->bin_size != GP_DB_WRITE_INTERVAL)
        code = gp_result_bin_time(r, s->bin_size, err);
    if (s->num_results && s->num_results < r->n_rows)
        r->n_rows = (size_t)s->num_results;
    r->hits_displayed = r->n_rows;
    return code;
}

/* ---- plot ---------------------------------------------------------------------------------------------- */

enum {
    PLOT_MARGIN = 26,
    PLOT_MAX = 400
}; /* what stands beside the blocks; more columns than that say nothing */

static size_t plot_columns(void)
{
    struct winsize w;
    size_t width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 100;
    size_t columns = width > PLOT_MARGIN + 20 ? width - PLOT_MARGIN : 20;
    return columns < PLOT_MAX ? columns : PLOT_MAX;
}

static gp_code set_number(char **field, int64_t n, const char *unit, gp_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%lld%s", (long long)n, unit);
    return gp_args_set(field, text, err);
}

/* The same question again, by time only, over the range of the answer. */
static gp_code ask_by_time(options *o, const gp_result *answer, int64_t bin, gp_stmt *stmt, gp_result *out,
                           gp_error *err)
{
    gp_problem problem = GP_PROBLEM_INIT;
    gp_code code = gp_args_set(&o->args.query, "time", err);
    if (code == GP_OK)
        code = set_number(&o->args.time_resolution, bin, "s", err);
    if (code == GP_OK)
        code = set_number(&o->args.first, answer->first.sec, "", err);
    if (code == GP_OK && !o->args.live)
        code = set_number(&o->args.last, answer->last.sec, "", err);
    o->args.num_results = GP_MAX_RESULTS;
    o->args.dns.enabled = false;
    o->streaming = false;
    if (code != GP_OK)
        return code;
    if (gp_args_prepare(&o->args, (int64_t)time(NULL), stmt, &problem) != GP_OK) {
        problem_to_error(&problem, "failed to prepare the query of the plot", err);
        gp_problem_free(&problem);
        return GP_EINVAL;
    }
    gp_result_init(out);
    code = o->server && *o->server ? run_remote(o, out, err) : run_local(o, stmt, out, err);
    if (code != GP_OK)
        gp_stmt_free(stmt);
    return code;
}

static gp_code print_plot(options *o, const gp_result *answer, gp_error *err)
{
    gp_stmt stmt;
    gp_result by_time;
    gp_buf out = GP_BUF_INIT;
    const int64_t first = answer->first.sec;
    const int64_t last = answer->last.sec;
    if (!answer->n_rows || last <= first)
        return GP_OK; /* nothing to draw */
    const int64_t bin = plot_bin(first, last, plot_columns());
    gp_code code = ask_by_time(o, answer, bin, &stmt, &by_time, err);
    if (code != GP_OK)
        return code;
    put_plot(&by_time, first, last, bin, stmt.direction, gp_term_colored(STDOUT_FILENO), &out);
    if (out.failed)
        code = gp_fail(err, GP_ENOMEM, "out of memory for the plot");
    else if (out.len && fwrite(out.data, 1, out.len, stdout) != out.len)
        code = gp_fail_errno(err, errno, "failed to print the plot");
    gp_buf_free(&out);
    gp_result_free(&by_time);
    gp_stmt_free(&stmt);
    return code;
}

/* A table says itself how much of it is shown. A program that reads rows would take them for all there are.
 */
static void tell_cut(const gp_stmt *s, const gp_result *r)
{
    if (s->format == GP_FORMAT_CSV && s->num_results == GP_DEFAULT_NUM_RESULTS && r->hits_total > r->n_rows &&
        !isatty(STDOUT_FILENO))
        fprintf(stderr, "goquery: %zu of %llu rows (-n %llu prints all)\n", r->n_rows,
                (unsigned long long)r->hits_total, (unsigned long long)r->hits_total);
}

/* What a misspelt column was probably meant to be, behind the message that points at it. */
static void suggest_columns(const char *query, gp_error *err)
{
    for (const char *p = query; *p;) {
        size_t len = strcspn(p, ",");
        gp_suggestion near = {0};
        for (size_t i = 0; gp_query_type_name(i); i++)
            gp_suggest(&near, p, len, gp_query_type_name(i));
        if (near.best && near.distance > 0) {
            gp_error before = *err;
            gp_fail(err, GP_EINVAL, "%s\n\n    Did you mean %s instead of %.*s?", before.msg, near.best,
                    (int)len, p);
        }
        p += len + (p[len] == ',');
    }
}

gp_code run_query(options *o, gp_error *err)
{
    gp_stmt stmt;
    gp_result result;
    gp_problem problem = GP_PROBLEM_INIT;
    bool remote = o->server && *o->server;
    gp_code code = complete_args(o, err);
    if (code == GP_OK && remote && (!o->args.query_hosts || !*o->args.query_hosts))
        code = gp_fail(err, GP_EINVAL, "list of target hosts is empty: name them with -q");
    if (code == GP_OK && remote)
        code = show_hosts(&o->args, err);
    if (code != GP_OK)
        return code;
    if (gp_args_prepare(&o->args, (int64_t)time(NULL), &stmt, &problem) != GP_OK) {
        problem_to_error(&problem, "failed to prepare query", err);
        suggest_columns(o->args.query, err);
        gp_problem_free(&problem);
        return GP_EINVAL;
    }
    gp_result_init(&result);
    gp_block_interrupts(); /* whoever gives up is told what was asked */
    code = remote ? run_remote(o, &result, err) : run_local(o, &stmt, &result, err);
    if (code != GP_OK) {
        (void)fail_execution(&o->args, &stmt, code, err);
    } else {
        gp_unblock_interrupts();
        log_query(o, &result);
        code = post_process(&stmt, &result, err);
        if (code == GP_OK)
            code = print_result(o, &stmt, &result, err);
        if (code == GP_OK)
            tell_cut(&stmt, &result);
        if (code == GP_OK && o->plot && stmt.format == GP_FORMAT_TXT)
            code = print_plot(o, &result, err);
        if (code == GP_OK)
            code = check_hosts(&result, err);
        gp_result_free(&result);
    }
    gp_stmt_free(&stmt);
    return code;
}
