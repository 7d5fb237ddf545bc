#include "tests/support/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

void gp_test_run(gp_test_ran *r, const char *fmt, ...)
{
    char line[1024];
    char part[4096];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    assert_in_range(len, 1, sizeof line - sizeof " 2>&1");
    memcpy(line + len, " 2>&1", sizeof " 2>&1");
    gp_buf_clear(&r->out);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    for (size_t n; (n = fread(part, 1, sizeof part, p)) > 0;)
        gp_buf_add(&r->out, part, n);
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    r->exit_code = WEXITSTATUS(status);
}

void gp_test_expect(const gp_test_ran *r, int exit_code, const char *says)
{
    const char *out = r->out.data ? r->out.data : "";
    if (r->exit_code != exit_code || !strstr(out, says))
        fail_msg("exit code %d instead of %d, or not '%s' in:\n%s", r->exit_code, exit_code, says, out);
}

void gp_test_ran_free(gp_test_ran *r)
{
    gp_buf_free(&r->out);
}
