#include "proto/query/timeparse.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/*
 * The accepted formats, most specific first, because the first that matches wins. Fields:
 *   Y  year of four digits       y  year of two digits (69..99 are 19xx)
 *   m  month, two digits         n  month, one or two digits      b  name of a month, three letters
 *   d  day, two digits           e  day, one or two digits        _  the same after an optional blank
 *   a  name of a day of the week (checked to be one, not against the date)
 *   H  hour, one or two digits   M  minute      S  second with an optional fraction (ignored)
 *   z  +hhmm or -hhmm            Z  the same with a colon, or "Z"
 * A blank stands for one or more blanks; everything else for itself.
 */
static const char *const formats[] = {
    "Y-m-dTH:M:SZ",     /* RFC 3339 */
    "a b _ H:M:S Y",    /* asctime(3), Go's ANSIC */
    "a b d H:M:S z Y",  /* Ruby */
    "d b y H:M z",      /* RFC 822 with numeric zone */
    "a, d b Y H:M:S z", /* RFC 1123 with numeric zone */
    "Y-m-d H:M:S",      "Y-m-d H:M:S z", "Y-m-d H:M z",   "Y-m-d H:M",     "y-m-d H:M:S z", "y-m-d H:M z",
    "y-m-d H:M:S",      "y-m-d H:M",     "d-m-Y H:M:S z", "d-m-Y H:M z",   "d-m-Y H:M:S",   "d-m-Y H:M",
    "d-m-y H:M:S z",    "d-m-y H:M z",   "d-m-y H:M:S",   "d-m-y H:M",     "e.n.y H:M:S",   "e.n.y H:M:S z",
    "e.n.y H:M",        "e.n.y H:M z",   "e.n.Y H:M:S",   "e.n.Y H:M:S z", "e.n.Y H:M",     "e.n.Y H:M z",
};

typedef struct fields {
    int64_t year;
    int month, day, hour, minute, second;
    int32_t nsec;
    bool has_zone;
    int zone; /* seconds east of UTC */
} fields;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* min to max digits; false if there are fewer than min. */
static bool take_number(const char **s, int min, int max, int *out)
{
    int n = 0;
    int v = 0;
    while (n < max && is_digit((*s)[n]))
        v = v * 10 + ((*s)[n++] - '0');
    if (n < min)
        return false;
    *s += n;
    *out = v;
    return true;
}

static bool take_name(const char **s, const char *names, int *index)
{
    for (const char *name = names; *name; name += 3) {
        if (strncasecmp(*s, name, 3) == 0) {
            *s += 3;
            *index = (int)(name - names) / 3;
            return true;
        }
    }
    return false;
}

static bool take_month_name(const char **s, fields *f)
{
    bool ok = take_name(s, "JanFebMarAprMayJunJulAugSepOctNovDec", &f->month);
    f->month++;
    return ok;
}

static bool take_year(const char **s, int digits, fields *f)
{
    int year;
    if (!take_number(s, digits, digits, &year))
        return false;
    if (digits == 2)
        year += year >= 69 ? 1900 : 2000;
    f->year = year;
    return true;
}

/* A fraction after the seconds; digits beyond nanoseconds are dropped. */
static void take_fraction(const char **s, fields *f)
{
    if ((**s != '.' && **s != ',') || !is_digit((*s)[1]))
        return;
    int32_t scale = 100000000;
    for ((*s)++; is_digit(**s); (*s)++) {
        f->nsec += (**s - '0') * scale;
        scale /= 10;
    }
}

static bool take_second(const char **s, fields *f)
{
    if (!take_number(s, 2, 2, &f->second))
        return false;
    take_fraction(s, f);
    return true;
}

static bool take_zone(const char **s, bool iso, fields *f)
{
    f->has_zone = true;
    if (iso && **s == 'Z') {
        (*s)++;
        return true;
    }
    int sign = **s == '-' ? -1 : 1;
    if (**s != '+' && **s != '-')
        return false;
    (*s)++;
    int hours;
    int minutes;
    if (!take_number(s, 2, 2, &hours) || (iso && *(*s)++ != ':') || !take_number(s, 2, 2, &minutes))
        return false;
    f->zone = sign * (hours * 3600 + minutes * 60);
    return hours <= 24 && minutes <= 60; /* people do write offsets of 24 hours or 60 minutes */
}

static bool take_blanks(const char **s)
{
    if (**s != ' ')
        return false;
    *s += strspn(*s, " ");
    return true;
}

static bool take_field(char field, const char **s, fields *f)
{
    int ignored;
    switch (field) {
    case 'Y':
        return take_year(s, 4, f);
    case 'y':
        return take_year(s, 2, f);
    case 'm':
        return take_number(s, 2, 2, &f->month);
    case 'n':
        return take_number(s, 1, 2, &f->month);
    case 'b':
        return take_month_name(s, f);
    case 'd':
        return take_number(s, 2, 2, &f->day);
    case '_':
        *s += **s == ' ';
        return take_number(s, 1, 2, &f->day);
    case 'e':
        return take_number(s, 1, 2, &f->day);
    case 'a':
        return take_name(s, "SunMonTueWedThuFriSat", &ignored);
    case 'H':
        return take_number(s, 1, 2, &f->hour);
    case 'M':
        return take_number(s, 2, 2, &f->minute);
    case 'S':
        return take_second(s, f);
    case 'z':
        return take_zone(s, false, f);
    case 'Z':
        return take_zone(s, true, f);
    case ' ':
        return take_blanks(s);
    default:
        return *(*s)++ == field;
    }
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool in_range(const fields *f)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (f->month < 1 || f->month > 12 || f->hour > 23 || f->minute > 59 || f->second > 59)
        return false;
    int last = days[f->month - 1] + (f->month == 2 && is_leap(f->year));
    return f->day >= 1 && f->day <= last;
}

static bool match_format(const char *format, const char *text, fields *out)
{
    fields f = {.month = 1, .day = 1};
    for (; *format; format++)
        if (!take_field(*format, &text, &f))
            return false;
    if (*text || !in_range(&f))
        return false;
    *out = f;
    return true;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years begin in March here, so
 * that the leap day is their last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int64_t local_offset(int64_t sec)
{
    time_t t = (time_t)sec;
    struct tm tm;
    return localtime_r(&t, &tm) ? (int64_t)tm.tm_gmtoff : 0;
}

static int64_t seconds_of(const fields *f)
{
    int64_t t = days_of(f->year, f->month, f->day) * 86400 + f->hour * INT64_C(3600) +
                f->minute * INT64_C(60) + f->second;
    if (f->has_zone)
        return t - f->zone;
    /* The offset is that of the time itself, which is known only up to the offset: ask twice. In the gap
     * or the doubled hour of a clock change this gives one of the two readings, the same as v4. */
    return t - local_offset(t - local_offset(t));
}

/* A number with optional sign that takes all of text[0..len). */
static bool whole_number(const char *text, size_t len, int64_t *out)
{
    char copy[24];
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!is_digit(copy[0]) && !((copy[0] == '-' || copy[0] == '+') && is_digit(copy[1])))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(copy, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

static gp_code relative_error(const char *text, gp_error *err)
{
    return gp_fail(
        err, GP_EINVAL,
        "incorrect relative time specification \"%.200s\": use for example -15d:04h:05m, -15d4h5m or -30m",
        text);
}

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

static bool add_units(const char *number, size_t len, char unit, int64_t *total)
{
    int64_t n;
    int64_t product;
    int64_t factor = unit_seconds(unit);
    return factor && whole_number(number, len, &n) && !__builtin_mul_overflow(n, factor, &product) &&
           !__builtin_add_overflow(*total, product, total);
}

/* "15d:04h:05m" */
static bool chunked_seconds(const char *text, int64_t *total)
{
    for (;;) {
        size_t len = strcspn(text, ":");
        if (len == 0 || !add_units(text, len - 1, text[len - 1], total))
            return false;
        if (!text[len])
            return true;
        text += len + 1;
    }
}

/* "15d4h5m", "30m" */
static gp_code joined_seconds(const char *text, int64_t *total, gp_error *err)
{
    const char *whole = text;
    const char *days = strchr(text, 'd');
    if (days == text)
        return gp_fail(err, GP_EINVAL, "expecting number before 'd' token");
    if (days) {
        if (!add_units(text, (size_t)(days - text), 'd', total))
            return relative_error(text, err);
        text = days + 1;
        if (!*text)
            return GP_OK;
    }
    int64_t ns;
    if (gp_duration_parse(text, &ns, err) != GP_OK) {
        (void)gp_error_prefix(err, "failed to parse \"%.200s\" as duration", whole);
        return GP_EINVAL;
    }
    if (__builtin_add_overflow(*total, ns / GP_NS_PER_SEC, total))
        return relative_error(whole, err);
    return GP_OK;
}

/* `text` follows the '-'. */
static gp_code parse_relative(const char *text, int64_t now, int64_t *out, gp_error *err)
{
    int64_t back = 0;
    if (strchr(text, ':')) {
        if (!chunked_seconds(text, &back))
            return relative_error(text, err);
    } else {
        gp_code code = joined_seconds(text, &back, err);
        if (code != GP_OK)
            return code;
    }
    int64_t t;
    if (__builtin_sub_overflow(now, back, &t))
        return relative_error(text, err);
    *out = t;
    return GP_OK;
}

static bool match_any(const char *text, fields *out)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (match_format(formats[i], text, out))
            return true;
    return false;
}

bool gp_time_parse_local(const char *text, int64_t *out)
{
    fields f;
    int64_t number;
    if (text[0] == '-' || whole_number(text, strlen(text), &number) || !match_any(text, &f) || f.has_zone)
        return false;
    *out = seconds_of(&f);
    return true;
}

gp_code gp_time_parse(const char *text, int64_t now, int64_t *out, gp_error *err)
{
    if (text[0] == '-')
        return parse_relative(text + 1, now, out, err);
    if (whole_number(text, strlen(text), out))
        return GP_OK;
    fields f;
    if (match_any(text, &f)) {
        *out = seconds_of(&f);
        return GP_OK;
    }
    return gp_fail(err, GP_EINVAL,
                   "unable to parse time format: \"%.100s\" is none of the accepted ones; use for example "
                   "2006-01-02T15:04:05+01:00, \"2006-01-02 15:04\", -24h or seconds since 1970",
                   text);
}

bool gp_time_parse_rfc3339(const char *text, int64_t *sec, int32_t *nsec)
{
    fields f;
    if (!match_format(formats[0], text, &f))
        return false;
    *sec = seconds_of(&f);
    *nsec = f.nsec;
    return true;
}

/* The first and last second of what RFC 3339 can express, years 0000 to 9999. */
#define RFC3339_FIRST (-INT64_C(62167219200))
#define RFC3339_LAST  INT64_C(253402300799)

static size_t add_fraction(int32_t nsec, char *dst, size_t size)
{
    if (nsec <= 0 || nsec > 999999999)
        return 0;
    size_t len = (size_t)snprintf(dst, size, ".%09d", (int)nsec);
    while (dst[len - 1] == '0')
        dst[--len] = '\0';
    return len;
}

static size_t add_offset(long offset, char *dst, size_t size)
{
    long minutes = offset / 60;
    char sign = minutes < 0 ? '-' : '+';
    if (minutes < 0)
        minutes = -minutes;
    if (offset == 0)
        return (size_t)snprintf(dst, size, "Z");
    return (size_t)snprintf(dst, size, "%c%02ld:%02ld", sign, minutes / 60, minutes % 60);
}

size_t gp_time_format_rfc3339(int64_t sec, int32_t nsec, char *dst)
{
    /* Times out of range are shown as the nearest one, to keep what we write readable by everybody. */
    int64_t margin = 86400;
    if (sec < RFC3339_FIRST + margin)
        sec = RFC3339_FIRST + margin;
    if (sec > RFC3339_LAST - margin)
        sec = RFC3339_LAST - margin;
    time_t t = (time_t)sec;
    struct tm tm;
    if (!localtime_r(&t, &tm))
        (void)gmtime_r(&t, &tm);
    size_t len = (size_t)snprintf(dst, GP_TIME_STRLEN, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                                  tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    len += add_fraction(nsec, dst + len, GP_TIME_STRLEN - len);
    len += add_offset(tm.tm_gmtoff, dst + len, GP_TIME_STRLEN - len);
    return len;
}
