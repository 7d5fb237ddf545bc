/* The file of clients' certificates: whatever is accepted has names that fit themselves, unless they are
 * patterns. */
#include "proto/auth/certificates.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_certificate_lines l;
    if (gp_certificate_lines_parse("fuzz", (const char *)data, size, &l, NULL) != GP_OK)
        return 0;
    for (size_t i = 0; i < l.n; i++) {
        const char *name = l.items[i].name;
        gp_scopes scopes = gp_certificate_lines_scopes(&l, &name, 1);
        if ((scopes & ~GP_SCOPE_ALL) || !*name || (scopes == 0 && !strpbrk(name, "*?[")))
            abort();
    }
    gp_certificate_lines_free(&l);
    return 0;
}
