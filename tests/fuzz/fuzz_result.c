/* An answer of a peer: what is accepted must survive being written and read again, and must be the same
 * however it is cut into pieces. */
#include "proto/result/json_pieces.h"
#include "proto/result/result.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gp_code read_pieces(const char *text, size_t len, size_t piece, gp_result *out)
{
    gp_result_reader *r = NULL;
    gp_code rc = gp_result_reader_new(&r, NULL);
    if (rc != GP_OK)
        abort();
    gp_result_reader_limit(r, MAX_ROWS);
    for (size_t at = 0; at < len && rc == GP_OK; at += piece)
        rc = gp_result_reader_feed(r, text + at, len - at < piece ? len - at : piece, NULL);
    gp_code end = gp_result_reader_finish(r, out, NULL);
    if (rc != GP_OK && end != rc)
        abort();
    gp_result_reader_free(r);
    return end;
}

/* What is refused may be refused for another fault of it: each way finds its own first. */
static void check_pieces(const char *text, size_t len, size_t piece, const gp_buf *want)
{
    gp_result r;
    gp_buf out = GP_BUF_INIT;
    gp_code rc = read_pieces(text, len, piece, &r);
    if ((rc == GP_OK) != (want != NULL))
        abort();
    if (rc == GP_OK) {
        gp_result_to_json(&r, &out);
        if (out.failed || out.len != want->len || memcmp(out.data, want->data, out.len) != 0)
            abort();
    }
    gp_result_free(&r);
    gp_buf_free(&out);
}

static void check_all_pieces(const char *text, size_t len, const gp_buf *want)
{
    static const size_t pieces[] = {1, 7, 61, 1000};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        check_pieces(text, len, pieces[i], want);
}

static void check_merge(const gp_result *r)
{
    gp_merge *m = NULL;
    if (gp_merge_new(&m, NULL) == GP_OK && gp_merge_add(m, r, NULL) != GP_OK)
        abort();
    gp_merge_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    gp_result r;
    gp_result again;
    gp_buf out = GP_BUF_INIT;
    if (gp_result_from_json(text, size, MAX_ROWS, &r, NULL) != GP_OK) {
        check_all_pieces(text, size, NULL);
        return 0;
    }
    gp_result_to_json(&r, &out);
    if (out.failed || gp_result_from_json(out.data, out.len, 0, &again, NULL) != GP_OK ||
        again.n_rows != r.n_rows)
        abort();
    check_all_pieces(text, size, &out);
    check_merge(&r);
    gp_result_free(&again);
    gp_result_free(&r);
    gp_buf_free(&out);
    return 0;
}
