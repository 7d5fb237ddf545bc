/* The event stream reader: however the bytes are cut, the same events must come out, within the bound. */
#include "client/sse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_EVENT = 64 };

static bool note(void *ctx, const char *name, const char *data, size_t len)
{
    if (len > MAX_EVENT || strlen(name) > MAX_EVENT)
        abort();
    gp_buf_puts(ctx, name);
    gp_buf_putc(ctx, '=');
    gp_buf_add(ctx, data, len);
    gp_buf_putc(ctx, '\n');
    return strcmp(name, "stop") != 0;
}

static gp_code feed(const char *text, size_t size, size_t piece, gp_buf *got)
{
    gp_sse s = {.on_event = note, .ctx = got, .max_event = MAX_EVENT};
    gp_code rc = GP_OK;
    for (size_t at = 0; rc == GP_OK && at < size; at += piece)
        rc = gp_sse_feed(&s, text + at, size - at < piece ? size - at : piece, NULL);
    gp_sse_free(&s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_buf whole = GP_BUF_INIT;
    gp_buf pieces = GP_BUF_INIT;
    size_t piece = size ? data[0] % 7 + 1U : 1;
    gp_code a = feed((const char *)data, size, size ? size : 1, &whole);
    gp_code b = feed((const char *)data, size, piece, &pieces);
    if (a != b || whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0))
        abort();
    gp_buf_free(&whole);
    gp_buf_free(&pieces);
    return 0;
}
