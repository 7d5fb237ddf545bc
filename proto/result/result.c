#include "proto/result/result.h"

#include "proto/base/hugepages.h"
#include "proto/result/strpool.h"

#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [GP_STATUS_OK] = "ok",
    [GP_STATUS_EMPTY] = "empty",
    [GP_STATUS_MISSING_DATA] = "missing data",
    [GP_STATUS_TOO_MANY_REQUESTS] = "too many requests",
    [GP_STATUS_ERROR] = "error",
};
enum { N_STATUS = sizeof status_names / sizeof status_names[0] };

const char *gp_status_name(gp_status_code code)
{
    return status_names[code];
}

bool gp_status_parse(const char *name, gp_status_code *out)
{
    for (unsigned i = 0; i < N_STATUS; i++) {
        if (strcmp(name, status_names[i]) == 0) {
            *out = (gp_status_code)i;
            return true;
        }
    }
    return false;
}

void gp_result_init(gp_result *r)
{
    *r = (gp_result){.status = GP_STATUS_OK};
}

void gp_result_free(gp_result *r)
{
    free(r->rows);
    free(r->hosts);
    free(r->host_slots);
    free(r->ifaces);
    free(r->digest);
    gp_strpool_free(r->pool);
    gp_result_init(r);
}

const char *gp_result_intern(gp_result *r, const char *s)
{
    if (!s)
        return NULL;
    if (!r->pool)
        r->pool = gp_strpool_new();
    return r->pool ? gp_strpool_add(r->pool, s, strlen(s)) : NULL;
}

static bool adopt(gp_result *r, gp_label_pair *last, const char **label)
{
    if (*label != last->from || !last->to) {
        last->from = *label;
        last->to = gp_result_intern(r, *label);
    }
    bool complete = !*label || last->to;
    *label = *label ? last->to : NULL;
    return complete;
}

gp_code gp_result_adopt_labels(gp_result *r, gp_label_cache *cache, gp_row *row, gp_error *err)
{
    bool complete = adopt(r, &cache->iface, &row->iface);
    complete &= adopt(r, &cache->host, &row->host);
    complete &= adopt(r, &cache->hostid, &row->hostid);
    return complete ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for the labels of rows");
}

gp_code gp_result_reserve_rows(gp_result *r, size_t n, gp_error *err)
{
    if (n <= r->cap_rows)
        return GP_OK;
    gp_row *rows = n <= SIZE_MAX / sizeof *rows ? realloc(r->rows, n * sizeof *rows) : NULL;
    if (!rows)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu result rows", n);
    gp_want_huge_pages(rows, n * sizeof *rows);
    r->rows = rows;
    r->cap_rows = n;
    return GP_OK;
}

/* Grows an array whose capacity is the next power of two of its length. */
static void *grow_array(void *array, size_t n, size_t size)
{
    if (array && (n & (n - 1)) != 0)
        return array;
    return realloc(array, (n ? n * 2 : 1) * size);
}

/* Names are interned: their address tells them apart. The slots hold index + 1 into hosts. */
static uint32_t *find_host(const gp_result *r, const char *name)
{
    uint64_t h = (uint64_t)(uintptr_t)name * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 32) & r->host_mask;
    while (r->host_slots[i] && r->hosts[r->host_slots[i] - 1].host != name)
        i = (i + 1) & r->host_mask;
    return &r->host_slots[i];
}

static bool index_hosts(gp_result *r)
{
    enum { FIRST = 16 };
    if (r->host_slots && r->n_hosts * 2 < r->host_mask)
        return true;
    size_t mask = r->host_slots ? r->host_mask * 2 + 1 : FIRST - 1;
    uint32_t *slots = calloc(mask + 1, sizeof *slots);
    if (!slots)
        return false;
    free(r->host_slots);
    r->host_slots = slots;
    r->host_mask = mask;
    for (size_t i = 0; i < r->n_hosts; i++)
        *find_host(r, r->hosts[i].host) = (uint32_t)i + 1;
    return true;
}

const gp_host_status *gp_result_host(const gp_result *r, const char *host)
{
    const char *name = r->host_slots ? gp_strpool_find(r->pool, host, strlen(host)) : NULL;
    uint32_t at = name ? *find_host(r, name) : 0;
    return at ? &r->hosts[at - 1] : NULL;
}

static gp_code no_room_for_host(const char *host, gp_error *err)
{
    return gp_fail(err, GP_ENOMEM, "out of memory for the status of host %s", host);
}

gp_code gp_result_set_status(gp_result *r, const gp_host_status *s, gp_error *err)
{
    const gp_host_status own = {.host = gp_result_intern(r, s->host),
                                .code = s->code,
                                .message = gp_result_intern(r, s->message),
                                .endpoint = gp_result_intern(r, s->endpoint)};
    bool copied = own.host && !own.message == !s->message && !own.endpoint == !s->endpoint;
    if (!copied || !index_hosts(r))
        return no_room_for_host(s->host, err);
    uint32_t *slot = find_host(r, own.host);
    if (*slot) {
        r->hosts[*slot - 1] = own;
        return GP_OK;
    }
    gp_host_status *hosts = grow_array(r->hosts, r->n_hosts, sizeof *hosts);
    if (!hosts)
        return no_room_for_host(s->host, err);
    r->hosts = hosts;
    r->hosts[r->n_hosts++] = own;
    *slot = (uint32_t)r->n_hosts;
    return GP_OK;
}

gp_code gp_result_set_host(gp_result *r, const char *host, gp_status_code code, const char *message,
                           gp_error *err)
{
    return gp_result_set_status(r, &(gp_host_status){host, code, message, NULL}, err);
}

gp_code gp_result_add_iface(gp_result *r, const char *iface, gp_error *err)
{
    size_t at = 0;
    while (at < r->n_ifaces && strcmp(r->ifaces[at], iface) < 0)
        at++;
    if (at < r->n_ifaces && strcmp(r->ifaces[at], iface) == 0)
        return GP_OK;
    const char *name = gp_result_intern(r, iface);
    const char **ifaces = name ? grow_array(r->ifaces, r->n_ifaces, sizeof *ifaces) : NULL;
    if (!ifaces)
        return gp_fail(err, GP_ENOMEM, "out of memory for interface %s", iface);
    r->ifaces = ifaces;
    memmove(ifaces + at + 1, ifaces + at, (r->n_ifaces - at) * sizeof *ifaces);
    ifaces[at] = name;
    r->n_ifaces++;
    return GP_OK;
}

void gp_result_finish(gp_result *r)
{
    r->hits_displayed = r->n_rows;
    if (r->n_rows)
        return;
    r->status = r->data_available ? GP_STATUS_EMPTY : GP_STATUS_MISSING_DATA;
    r->status_message =
        gp_result_intern(r, r->data_available ? "query returned no results"
                                              : "no data available for the specified interface(s) / time "
                                                "range (maybe goProbe was not running)");
}
