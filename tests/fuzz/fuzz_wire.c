/* A message of a peer: whatever it says, memory stays bounded; an answer that is accepted must survive being
 * written and read again. */
#include "proto/wire/answer.h"
#include "proto/wire/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const gp_answer_limits limits = {.max_rows = 20000, .max_bytes = 4 << 20};

/* What was read of the same text must be the same text. */
static void check_again(const gp_result *r)
{
    gp_result again;
    gp_buf body = GP_BUF_INIT;
    gp_buf before = GP_BUF_INIT;
    gp_buf after = GP_BUF_INIT;
    if (gp_answer_write(r, &body, NULL) != GP_OK ||
        gp_answer_read(body.data, body.len, &(gp_answer_limits){0}, &again, NULL) != GP_OK)
        abort();
    gp_result_to_json(r, &before);
    gp_result_to_json(&again, &after);
    if (before.failed || after.failed || strcmp(before.data, after.data) != 0)
        abort();
    gp_buf_free(&body);
    gp_buf_free(&before);
    gp_buf_free(&after);
    gp_result_free(&again);
}

static void try_answer(const void *body, size_t len)
{
    gp_result r;
    if (gp_answer_read(body, len, &limits, &r, NULL) != GP_OK)
        return;
    check_again(&r);
    gp_result_free(&r);
}

/* Both a whole message and a bare body, so that the fuzzer need not find its way through lz4. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_frame f;
    if (gp_frame_read(data, size, 1 << 20, &f, NULL) == GP_OK) {
        if (f.type == GP_FRAME_ANSWER)
            try_answer(f.body, f.len);
        gp_frame_free(&f);
    }
    try_answer(data, size);
    return 0;
}
