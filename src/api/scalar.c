/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/scalar.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What four digits of a year reach, as seconds since 1970. */
#define YEAR_0 (-62167219200)
#define YEAR_10000 253402300800

static const struct {
    const char *text;
    enum scalar_type type;
    bool boolean;
} words[] = {
    {"y", SCALAR_BOOLEAN, true},      {"Y", SCALAR_BOOLEAN, true},      {"yes", SCALAR_BOOLEAN, true},
    {"Yes", SCALAR_BOOLEAN, true},    {"YES", SCALAR_BOOLEAN, true},    {"true", SCALAR_BOOLEAN, true},
    {"True", SCALAR_BOOLEAN, true},   {"TRUE", SCALAR_BOOLEAN, true},   {"on", SCALAR_BOOLEAN, true},
    {"On", SCALAR_BOOLEAN, true},     {"ON", SCALAR_BOOLEAN, true},     {"n", SCALAR_BOOLEAN, false},
    {"N", SCALAR_BOOLEAN, false},     {"no", SCALAR_BOOLEAN, false},    {"No", SCALAR_BOOLEAN, false},
    {"NO", SCALAR_BOOLEAN, false},    {"false", SCALAR_BOOLEAN, false}, {"False", SCALAR_BOOLEAN, false},
    {"FALSE", SCALAR_BOOLEAN, false}, {"off", SCALAR_BOOLEAN, false},   {"Off", SCALAR_BOOLEAN, false},
    {"OFF", SCALAR_BOOLEAN, false},   {"~", SCALAR_NULL, false},        {"null", SCALAR_NULL, false},
    {"Null", SCALAR_NULL, false},     {"NULL", SCALAR_NULL, false},     {"<<", SCALAR_MERGE, false},
};

static struct scalar resolve_word(const char *text, size_t len)
{
    if (len <= 5)
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (words[i].text[0] == text[0] && strcmp(words[i].text, text) == 0)
                return (struct scalar){.type = words[i].type, .boolean = words[i].boolean};
    return (struct scalar){.type = SCALAR_STRING};
}

static struct scalar real(double value)
{
    struct scalar scalar = {.type = SCALAR_REAL, .real = value};
    /* Not a number compares false. */
    if (value > -9e18 && value < 9e18 && value == (double)(int64_t)value) {
        scalar.is_whole = true;
        scalar.integer = (int64_t)value;
    }
    return scalar;
}

static struct scalar integer(int64_t value)
{
    return (struct scalar){.type = SCALAR_INTEGER, .integer = value, .is_whole = true, .real = (double)value};
}

static size_t digits(const char *text)
{
    size_t count = 0;
    while (isdigit((unsigned char)text[count]))
        count++;
    return count;
}

/* [-+]? ( .digits | digits [. digits?] ) ( [eE] [-+]? digits )? */
static bool looks_real(const char *at)
{
    if (*at == '-' || *at == '+')
        at++;
    size_t whole = digits(at);
    at += whole;
    if (*at == '.') {
        at++;
        size_t fraction = digits(at);
        if (whole + fraction == 0)
            return false;
        at += fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '-' || *at == '+')
            at++;
        size_t exponent = digits(at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return *at == '\0';
}

static bool parse_integer(const char *text, int64_t *ret)
{
    const char *at = text;
    bool negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    int base = 10;
    if (at[0] == '0' && at[1]) {
        char kind = (char)tolower((unsigned char)at[1]);
        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        at += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
    }
    if (!isxdigit((unsigned char)*at))
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(at, &end, base);
    if (*end || errno == ERANGE || value > (unsigned long long)INT64_MAX)
        return false;
    *ret = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static struct scalar resolve_number(const char *text, size_t len)
{
    char plain[64];
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '_')
            continue;
        if (used == sizeof(plain) - 1 || !(isalnum((unsigned char)text[i]) || strchr("+-.", text[i])))
            return (struct scalar){.type = SCALAR_STRING};
        plain[used++] = text[i];
    }
    plain[used] = '\0';
    int64_t value;
    if (text[0] != '.' && parse_integer(plain, &value))
        return integer(value);
    if (looks_real(plain))
        return real(strtod(plain, NULL));
    const char *word = plain + (plain[0] == '+' || plain[0] == '-');
    if (strcmp(word, ".inf") == 0 || strcmp(word, ".Inf") == 0 || strcmp(word, ".INF") == 0)
        return real(plain[0] == '-' ? -HUGE_VAL : HUGE_VAL);
    if (strcmp(plain, ".nan") == 0 || strcmp(plain, ".NaN") == 0 || strcmp(plain, ".NAN") == 0)
        return real(NAN);
    return (struct scalar){.type = SCALAR_STRING};
}

struct scalar scalar_resolve(const char *text, size_t len)
{
    if (len == 0)
        return (struct scalar){.type = SCALAR_NULL};
    switch (text[0]) {
    case 'y':
    case 'Y':
    case 'n':
    case 'N':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'o':
    case 'O':
    case '~':
    case '<':
        return resolve_word(text, len);
    case '+':
    case '-':
    case '.':
    case '0' ... '9':
        return resolve_number(text, len);
    default:
        return (struct scalar){.type = SCALAR_STRING};
    }
}

/* Exactly count digits into *ret. */
static bool take_digits(const char **at, int count, int *ret)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret = value;
    return true;
}

static bool take(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

static bool take_zone(const char **at, int *ret_seconds)
{
    *ret_seconds = 0;
    if (take(at, 'Z'))
        return true;
    int sign = **at == '-' ? -1 : 1, hours, minutes;
    if (!take(at, '-') && !take(at, '+'))
        return false;
    if (!take_digits(at, 2, &hours) || !take(at, ':') || !take_digits(at, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool time_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    int year, month, day, hour, minute, second, zone;
    const char *at = text;
    if (!take_digits(&at, 4, &year) || !take(&at, '-') || !take_digits(&at, 2, &month) || !take(&at, '-') ||
        !take_digits(&at, 2, &day) || !take(&at, 'T') || !take_digits(&at, 2, &hour) || !take(&at, ':') ||
        !take_digits(&at, 2, &minute) || !take(&at, ':') || !take_digits(&at, 2, &second))
        return false;
    int32_t nanos = 0;
    if (*at == '.') {
        int32_t weight = 100000000;
        if (digits(++at) == 0)
            return false;
        for (; isdigit((unsigned char)*at); at++, weight /= 10)
            nanos += (*at - '0') * weight;
    }
    if (!take_zone(&at, &zone) || *at)
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};
    int64_t when = (int64_t)timegm(&parts) - zone;
    if (when < YEAR_0 || when >= YEAR_10000)
        return false;
    *ret_seconds = when;
    *ret_nanos = nanos;
    return true;
}

/* count digits of value, which has no more. */
static char *put_digits(char *at, int count, int value)
{
    for (int i = count; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + count;
}

/* Up to the seconds; returns the end. */
static char *put_moment(int64_t seconds, char *at)
{
    time_t when = (time_t)seconds;
    struct tm parts = {.tm_year = 1 - 1900, .tm_mday = 1};
    if (seconds >= YEAR_0 && seconds < YEAR_10000)
        gmtime_r(&when, &parts);
    const int numbers[] = {parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                           parts.tm_hour,        parts.tm_min,     parts.tm_sec};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        at = put_digits(at, i == 0 ? 4 : 2, numbers[i]);
        *at++ = "--T::"[i];
    }
    return at - 1;
}

const char *time_put(int64_t seconds, char buffer[TIME_TEXT_MAX])
{
    strcpy(put_moment(seconds, buffer), "Z");
    return buffer;
}

const char *time_put_micros(int64_t seconds, int32_t nanos, char buffer[TIME_TEXT_MAX])
{
    char *at = put_moment(seconds, buffer);
    *at++ = '.';
    strcpy(put_digits(at, 6, nanos >= 0 && nanos < 1000000000 ? nanos / 1000 : 0), "Z");
    return buffer;
}

const char *time_format(int64_t seconds, struct arena *arena)
{
    char buffer[TIME_TEXT_MAX];
    return arena_strdup(arena, time_put(seconds, buffer));
}
