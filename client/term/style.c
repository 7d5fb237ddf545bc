#include "client/term/term.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SGR sequences (ECMA-48, 8.3.117) in the order of the bits of gp_style. */
static const char *const sequences[] = {"\033[1m",  "\033[31m", "\033[32m", "\033[33m",
                                        "\033[34m", "\033[36m", "\033[37m"};

bool gp_term_colored(int fd)
{
    const char *term = getenv("TERM");
    const char *off = getenv("NO_COLOR");
    return !(term && strcmp(term, "dumb") == 0) && !(off && *off) && isatty(fd) == 1;
}

void gp_styled(gp_buf *out, bool on, unsigned style, const char *fmt, ...)
{
    on = on && style != GP_STYLE_NONE;
    for (size_t i = 0; on && i < sizeof sequences / sizeof sequences[0]; i++)
        if (style & (1U << i))
            gp_buf_puts(out, sequences[i]);
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        out->failed = true;
    else
        gp_buf_puts(out, text);
    free(text);
    va_end(ap);
    if (on)
        gp_buf_puts(out, "\033[0m");
}

size_t gp_text_width(const char *s, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\033' && i + 1 < len && s[i + 1] == '[') {
            while (i < len && s[i] != 'm')
                i++;
            continue;
        }
        if (((unsigned char)s[i] & 0xc0) != 0x80) /* not a continuation byte */
            width++;
    }
    return width;
}
