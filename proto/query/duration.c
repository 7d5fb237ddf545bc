#include "proto/query/timeparse.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},           {"us", 1000},         {"\xc2\xb5s", 1000}, /* micro sign */
    {"\xce\xbcs", 1000},                                            /* Greek mu */
    {"ms", 1000000},     {"s", GP_NS_PER_SEC}, {"m", 60 * GP_NS_PER_SEC}, {"h", 3600 * GP_NS_PER_SEC},
};

/* Enough of a text for a message. */
enum { SHOWN = 200 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_integer(const char **s, int64_t *out)
{
    *out = 0;
    for (; is_digit(**s); (*s)++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, **s - '0', out))
            return false;
    return true;
}

/* Digits after the point as *value / *scale; what int64_t cannot hold is dropped. */
static void take_fraction(const char **s, int64_t *value, double *scale)
{
    *value = 0;
    *scale = 1;
    bool full = false;
    for (; is_digit(**s); (*s)++) {
        int64_t next;
        full = full || __builtin_mul_overflow(*value, 10, &next) ||
               __builtin_add_overflow(next, **s - '0', &next);
        if (full)
            continue;
        *value = next;
        *scale *= 10;
    }
}

static int64_t find_unit(const char *s, size_t len)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, s, len) == 0)
            return units[i].ns;
    return 0;
}

static gp_code invalid(const char *text, gp_error *err)
{
    return gp_fail(err, GP_EINVAL, "time: invalid duration \"%.*s\"", SHOWN, text);
}

/* One "1.5h" of `*s`, a part of `text`, added to *total. */
static gp_code take_part(const char **s, const char *text, int64_t *total, gp_error *err)
{
    const char *start = *s;
    int64_t whole;
    int64_t fraction = 0;
    double scale = 1;
    if (!take_integer(s, &whole))
        return invalid(text, err);
    bool has_digits = *s > start;
    if (**s == '.') {
        const char *point = (*s)++;
        take_fraction(s, &fraction, &scale);
        has_digits = has_digits || *s > point + 1;
    }
    if (!has_digits)
        return invalid(text, err);
    size_t len = strcspn(*s, ".0123456789");
    if (len == 0)
        return gp_fail(err, GP_EINVAL, "time: missing unit in duration \"%.*s\"", SHOWN, text);
    int64_t unit = find_unit(*s, len);
    if (!unit)
        return gp_fail(err, GP_EINVAL, "time: unknown unit \"%.*s\" in duration \"%.*s\"",
                       (int)(len < SHOWN ? len : SHOWN), *s, SHOWN, text);
    *s += len;
    int64_t ns;
    int64_t rest = (int64_t)((double)fraction * ((double)unit / scale));
    if (__builtin_mul_overflow(whole, unit, &ns) || __builtin_add_overflow(ns, rest, &ns) ||
        __builtin_add_overflow(*total, ns, total))
        return invalid(text, err);
    return GP_OK;
}

gp_code gp_duration_parse(const char *text, int64_t *out_ns, gp_error *err)
{
    const char *s = text;
    bool negative = *s == '-';
    int64_t total = 0;
    if (*s == '-' || *s == '+')
        s++;
    if (!*s)
        return invalid(text, err);
    if (strcmp(s, "0") == 0)
        s++;
    while (*s) {
        gp_code code = take_part(&s, text, &total, err);
        if (code != GP_OK)
            return code;
    }
    *out_ns = negative ? -total : total;
    return GP_OK;
}

/* "1.5" of value / unit, at most nine decimals, no trailing zeros. */
static size_t add_decimal(uint64_t value, uint64_t unit, const char *suffix, char *dst, size_t size)
{
    char decimals[16] = "";
    uint64_t rest = value % unit;
    if (rest) {
        int digits = 0;
        for (uint64_t u = unit; u > 1; u /= 10)
            digits++;
        int len = snprintf(decimals, sizeof decimals, ".%0*llu", digits, (unsigned long long)rest);
        while (len > 0 && decimals[len - 1] == '0')
            decimals[--len] = '\0';
    }
    int n = snprintf(dst, size, "%llu%s%s", (unsigned long long)(value / unit), decimals, suffix);
    return n < 0 ? 0 : (size_t)n;
}

size_t gp_duration_format(int64_t ns, char *dst, size_t dst_size)
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    char text[48];
    size_t len = 0;
    if (ns < 0)
        text[len++] = '-';
    if (u == 0)
        len += add_decimal(0, 1, "s", text + len, sizeof text - len);
    else if (u < 1000)
        len += add_decimal(u, 1, "ns", text + len, sizeof text - len);
    else if (u < 1000000)
        len += add_decimal(u, 1000, "\xc2\xb5s", text + len, sizeof text - len);
    else if (u < 1000000000)
        len += add_decimal(u, 1000000, "ms", text + len, sizeof text - len);
    else {
        uint64_t second = 1000000000;
        uint64_t minutes = u / (60 * second);
        if (minutes >= 60)
            len += add_decimal(minutes / 60, 1, "h", text + len, sizeof text - len);
        if (minutes > 0)
            len += add_decimal(minutes % 60, 1, "m", text + len, sizeof text - len);
        len += add_decimal(u % (60 * second), second, "s", text + len, sizeof text - len);
    }
    (void)snprintf(dst, dst_size, "%s", text);
    return len;
}
