/* One thread, many exchanges: waits for libcurl and hands outcomes on, in the order in which they came. */
#include "client/exchange_kind.h"

#include <stdlib.h>

struct gp_loop {
    CURLM *multi;
    size_t transfers;
    gp_exchange *first_done, **last_done;
};

gp_code gp_loop_new(gp_loop **out, gp_error *err)
{
    gp_loop *l = calloc(1, sizeof *l);
    if (!l)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking hosts");
    l->last_done = &l->first_done;
    l->multi = curl_multi_init();
    if (!l->multi) {
        gp_loop_free(l);
        return gp_fail(err, GP_ENOMEM, "out of memory for asking hosts");
    }
    *out = l;
    return GP_OK;
}

void gp_loop_free(gp_loop *l)
{
    if (!l)
        return;
    curl_multi_cleanup(l->multi);
    free(l);
}

gp_code gp_exchange_begin(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err)
{
    return gp_exchange_http.begin(l, cfg, out, err);
}

void *gp_exchange_owner(const gp_exchange *x)
{
    return x->owner;
}

gp_code gp_exchange_result(gp_exchange *x, gp_result *out, gp_error *err)
{
    return x->kind->result(x, out, err);
}

void gp_exchange_end(gp_exchange *x)
{
    if (!x)
        return;
    gp_loop_forget(x);
    x->kind->end(x);
}

gp_code gp_loop_add_transfer(gp_loop *l, CURL *easy, gp_exchange *x, gp_error *err)
{
    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, x) != CURLE_OK ||
        curl_multi_add_handle(l->multi, easy) != CURLM_OK)
        return gp_fail(err, GP_EINTERNAL, "cannot start a request");
    l->transfers++;
    return GP_OK;
}

void gp_loop_remove_transfer(gp_loop *l, CURL *easy)
{
    curl_multi_remove_handle(l->multi, easy);
    l->transfers--;
}

void gp_loop_done(gp_exchange *x)
{
    x->next_done = NULL;
    x->waiting = true;
    *x->loop->last_done = x;
    x->loop->last_done = &x->next_done;
}

void gp_loop_forget(gp_exchange *x)
{
    gp_loop *l = x->loop;
    gp_exchange **at = &l->first_done;
    if (!x->waiting)
        return;
    while (*at != x)
        at = &(*at)->next_done;
    *at = x->next_done;
    if (l->last_done == &x->next_done)
        l->last_done = at;
}

static void collect_transfers(gp_loop *l)
{
    int left = 0;
    for (const CURLMsg *m; (m = curl_multi_info_read(l->multi, &left));) {
        char *private = NULL;
        CURLcode outcome = m->data.result;
        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
            continue;
        gp_exchange *x = (gp_exchange *)(void *)private;
        x->kind->on_transfer(x, outcome);
    }
}

static gp_code perform(gp_loop *l, gp_error *err)
{
    int running = 0;
    CURLMcode m = curl_multi_perform(l->multi, &running);
    if (m != CURLM_OK)
        return gp_fail(err, GP_EINTERNAL, "asking the hosts failed: %s", curl_multi_strerror(m));
    collect_transfers(l);
    return GP_OK;
}

static gp_exchange *take_done(gp_loop *l)
{
    gp_exchange *x = l->first_done;
    if (!x)
        return NULL;
    x->waiting = false;
    l->first_done = x->next_done;
    if (!l->first_done)
        l->last_done = &l->first_done;
    return x;
}

gp_code gp_loop_wait(gp_loop *l, int max_ms, gp_exchange **done, gp_error *err)
{
    *done = take_done(l);
    if (*done)
        return GP_OK;
    gp_code rc = perform(l, err);
    if (rc == GP_OK && !l->first_done) {
        CURLMcode m = curl_multi_poll(l->multi, NULL, 0, max_ms, NULL);
        rc = m == CURLM_OK
                 ? perform(l, err)
                 : gp_fail(err, GP_EINTERNAL, "waiting for the hosts failed: %s", curl_multi_strerror(m));
    }
    if (rc == GP_OK)
        *done = take_done(l);
    return rc;
}
