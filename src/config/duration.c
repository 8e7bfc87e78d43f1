/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/duration.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NS_MAX ((unsigned __int128)INT64_MAX + 1) /* of the negative side */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},           {"us", 1000},           {"\xc2\xb5s", 1000}, /* the micro sign */
    {"\xce\xbcs", 1000},                                              /* the Greek letter */
    {"ms", DURATION_MS}, {"s", DURATION_SECOND}, {"m", DURATION_MINUTE}, {"h", DURATION_HOUR},
};

static int64_t unit_ns(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
            return units[i].ns;
    return 0;
}

/* As package time quotes: bytes beyond ASCII and controls as \x.., so that a sentence stays readable. */
struct shown {
    char text[256];
};

static struct shown show(const char *text, size_t len)
{
    struct shown shown;
    size_t used = 0;
    for (size_t i = 0; i < len && used + 5 < sizeof(shown.text); i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c >= 0x7f)
            used += (size_t)snprintf(shown.text + used, 5, "\\x%02x", c);
        else if (c == '"' || c == '\\')
            used += (size_t)snprintf(shown.text + used, 3, "\\%c", c);
        else
            shown.text[used++] = (char)c;
    }
    shown.text[used] = '\0';
    return shown;
}

static int refuse(const char *what, const char *whole, struct err *err)
{
    return err_set(err, EINVAL, "time: %s \"%s\"", what, show(whole, strlen(whole)).text);
}

/* The digits behind a point as Go adds them up, in a double and no further than 63 bits. */
static uint64_t fraction_ns(const char *decimals, size_t count, int64_t unit)
{
    uint64_t fraction = 0;
    double scale = 1;
    for (size_t i = 0; i < count && fraction <= (uint64_t)INT64_MAX / 10; i++) {
        uint64_t next = fraction * 10 + (unsigned)(decimals[i] - '0');
        if (next > (uint64_t)1 << 63)
            break;
        fraction = next;
        scale *= 10;
    }
    return (uint64_t)((double)fraction * ((double)unit / scale));
}

/* One number and its unit. */
static int parse_part(const char **at, const char *whole, unsigned __int128 *sum, struct err *err)
{
    unsigned __int128 number = 0;
    const char *decimals = "";
    size_t decimal_count = 0;
    const char *digits = *at;
    size_t count = strspn(*at, "0123456789");
    for (size_t i = 0; i < count; i++) {
        number = number * 10 + (unsigned)(digits[i] - '0');
        if (number > NS_MAX)
            return refuse("invalid duration", whole, err);
    }
    *at += count;
    if (**at == '.') {
        decimals = ++*at;
        decimal_count = strspn(decimals, "0123456789");
        count += decimal_count;
        *at += decimal_count;
    }
    if (count == 0)
        return refuse("invalid duration", whole, err);
    size_t unit_len = strcspn(*at, ".0123456789");
    if (unit_len == 0)
        return refuse("missing unit in duration", whole, err);
    int64_t ns = unit_ns(*at, unit_len);
    if (ns == 0)
        return err_set(err, EINVAL, "time: unknown unit \"%s\" in duration \"%s\"", show(*at, unit_len).text,
                       show(whole, strlen(whole)).text);
    *at += unit_len;
    *sum += number * (uint64_t)ns + fraction_ns(decimals, decimal_count, ns);
    return *sum > NS_MAX ? refuse("invalid duration", whole, err) : 0;
}

int duration_parse(const char *text, int64_t *ret_ns, struct err *err)
{
    bool is_negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    unsigned __int128 sum = 0;
    if (strcmp(at, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (!*at)
        return refuse("invalid duration", text, err);
    while (*at) {
        int code = parse_part(&at, text, &sum, err);
        if (code < 0)
            return code;
    }
    if (!is_negative && sum == NS_MAX)
        return refuse("invalid duration", text, err);
    *ret_ns = (int64_t)(is_negative ? -(__int128)sum : (__int128)sum);
    return 0;
}

/* value in units of 10^-decimals, without trailing zeros. */
static const char *with_fraction(uint64_t value, unsigned decimals, const char *unit, struct arena *arena)
{
    uint64_t scale = 1;
    char digits[16];
    for (unsigned i = 0; i < decimals; i++)
        scale *= 10;
    if (value % scale == 0)
        return arena_printf(arena, "%" PRIu64 "%s", value / scale, unit);
    snprintf(digits, sizeof(digits), "%0*" PRIu64, (int)decimals, value % scale);
    for (size_t len = strlen(digits); digits[len - 1] == '0'; len--)
        digits[len - 1] = '\0';
    return arena_printf(arena, "%" PRIu64 ".%s%s", value / scale, digits, unit);
}

const char *duration_format(int64_t ns, struct arena *arena)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    if (size == 0)
        return "0s";
    if (size < 1000)
        return arena_printf(arena, "%s%" PRIu64 "ns", sign, size);
    if (size < (uint64_t)DURATION_MS)
        return arena_printf(arena, "%s%s", sign, with_fraction(size, 3, "\xc2\xb5s", arena));
    if (size < (uint64_t)DURATION_SECOND)
        return arena_printf(arena, "%s%s", sign, with_fraction(size, 6, "ms", arena));
    const char *seconds = with_fraction(size % (uint64_t)DURATION_MINUTE, 9, "s", arena);
    uint64_t minutes = size / (uint64_t)DURATION_MINUTE;
    if (minutes == 0)
        return arena_printf(arena, "%s%s", sign, seconds);
    if (minutes < 60)
        return arena_printf(arena, "%s%" PRIu64 "m%s", sign, minutes, seconds);
    return arena_printf(arena, "%s%" PRIu64 "h%" PRIu64 "m%s", sign, minutes / 60, minutes % 60, seconds);
}
