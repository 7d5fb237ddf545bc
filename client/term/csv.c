#include "client/term/term.h"

#include <string.h>

void gp_csv_field(gp_buf *out, const char *s)
{
    bool quote = *s == ' ' || strpbrk(s, ",\"\r\n");
    if (!quote) {
        gp_buf_puts(out, s);
        return;
    }
    gp_buf_putc(out, '"');
    for (; *s; s++) {
        if (*s == '"')
            gp_buf_putc(out, '"');
        gp_buf_putc(out, *s);
    }
    gp_buf_putc(out, '"');
}
