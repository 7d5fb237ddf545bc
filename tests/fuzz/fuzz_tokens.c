/* The tokens file: whatever is accepted must survive being written and read again. */
#include "proto/auth/tokens.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_tokens t;
    gp_tokens again;
    gp_identity who;
    gp_buf text = GP_BUF_INIT;
    if (gp_tokens_parse("fuzz", (const char *)data, size, &t, NULL) != GP_OK)
        return 0;
    (void)gp_tokens_check(&t, (const char *)data, size, &who);
    gp_tokens_write(&t, &text);
    if (text.failed || gp_tokens_parse("again", text.data, text.len, &again, NULL) != GP_OK || again.n != t.n)
        abort();
    gp_tokens_free(&again);
    gp_tokens_free(&t);
    gp_buf_free(&text);
    return 0;
}
