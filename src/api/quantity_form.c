/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/quantity_form.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 18 /* upstream's fast path ends there too */
#define EXPONENT_MAX 9999
#define DIGITS_TEXT_MAX 40 /* of 128 bits */
#define NANO (-9)

enum form { FORM_DECIMAL, FORM_EXPONENT, FORM_BINARY };

/* digits * 10^scale, or digits * 2^scale / 10^decimals for BINARY. */
struct reading {
    bool is_negative, is_long;
    int64_t digits;
    int digit_count, decimals;
    enum form form;
    int scale;
    bool ends_in_zeros, begins_with_zero; /* the digits, leading zeros of the whole part left out */
};

static const char decimals[] = "num kMGTPE"; /* 10^-9 to 10^18 in steps of three */
static const char binaries[] = "KMGTPE";

static void add_digit(struct reading *reading, char digit)
{
    if (reading->digit_count == 0)
        reading->begins_with_zero = digit == '0';
    if (++reading->digit_count > DIGITS_MAX)
        reading->is_long = true;
    else
        reading->digits = reading->digits * 10 + (digit - '0');
}

/* Returns what follows the number, NULL when it has no digit. */
static const char *read_number(const char *at, struct reading *reading)
{
    reading->is_negative = *at == '-';
    at += *at == '-' || *at == '+';
    const char *first = at;
    while (*at == '0')
        at++;
    const char *whole = at;
    for (; isdigit((unsigned char)*at); at++)
        add_digit(reading, *at);
    if (at == whole)
        add_digit(reading, '0');
    bool has_digit = at > first;
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at); at++, reading->decimals++)
            add_digit(reading, *at);
    has_digit |= reading->decimals > 0;
    reading->ends_in_zeros = reading->digit_count >= 3 && reading->digits % 1000 == 0;
    return has_digit ? at : NULL;
}

static bool read_exponent(const char *at, struct reading *reading)
{
    const char *first = at + (*at == '-' || *at == '+');
    if (!isdigit((unsigned char)*first) || first[strspn(first, "0123456789")])
        return false;
    long exponent = strtol(at, NULL, 10);
    reading->form = FORM_EXPONENT;
    reading->scale = (int)exponent;
    reading->is_long |= exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX;
    return true;
}

static bool read_suffix(const char *at, struct reading *reading)
{
    if (!*at)
        return true;
    const char *found;
    if (at[1] == 'i' && !at[2] && (found = strchr(binaries, *at))) {
        reading->form = FORM_BINARY;
        reading->scale = 10 * (int)(found - binaries + 1);
        return true;
    }
    if (!at[1] && *at != ' ' && (found = strchr(decimals, *at))) {
        reading->scale = NANO + 3 * (int)(found - decimals);
        return true;
    }
    return (*at == 'e' || *at == 'E') && read_exponent(at + 1, reading);
}

static int64_t divide_up(int64_t value, int64_t by)
{
    return value / by + (value % by != 0);
}

/* In front of end; value is not 0. */
static char *put_digits(char *end, __int128 value)
{
    *end = '\0';
    for (; value > 0; value /= 10)
        *--end = (char)('0' + (int)(value % 10));
    return end;
}

/* value * 10^scale with as few digits as steps of three allow. NULL when no suffix says it. */
static const char *put_decimal(__int128 value, int scale, bool is_negative, enum form form,
                               struct arena *arena)
{
    if (value == 0)
        return "0";
    for (; value % 10 == 0; scale++)
        value /= 10;
    for (; scale % 3 != 0; scale--)
        value *= 10;
    if (form == FORM_DECIMAL && (scale < NANO || scale > 18))
        return NULL;
    char digits[DIGITS_TEXT_MAX], *number = put_digits(digits + sizeof(digits) - 1, value);
    const char *sign = is_negative ? "-" : "";
    if (scale == 0)
        return arena_printf(arena, "%s%s", sign, number);
    if (form == FORM_EXPONENT)
        return arena_printf(arena, "%s%se%d", sign, number, scale);
    return arena_printf(arena, "%s%s%c", sign, number, decimals[(scale - NANO) / 3]);
}

static const char *put_binary(int64_t value, bool is_negative, struct arena *arena)
{
    size_t power = 0;
    for (; value % 1024 == 0 && power < sizeof(binaries) - 1; power++)
        value /= 1024;
    const char *sign = is_negative ? "-" : "";
    if (power == 0)
        return arena_printf(arena, "%s%lld", sign, (long long)value);
    return arena_printf(arena, "%s%lld%ci", sign, (long long)value, binaries[power - 1]);
}

static const char *form_decimal(const struct reading *reading, const char *text, struct arena *arena)
{
    int64_t digits = reading->digits;
    int scale = reading->scale - reading->decimals;
    bool is_kept = scale >= NANO && scale % 3 == 0 && !reading->ends_in_zeros && !reading->begins_with_zero;
    if (is_kept)
        return text;
    for (; scale < NANO && digits > 1; scale++)
        digits = divide_up(digits, 10);
    if (digits > 0 && scale < NANO)
        scale = NANO;
    return put_decimal(digits, scale, reading->is_negative, reading->form, arena);
}

/* Whole numbers from 1024 on keep a binary suffix. */
static const char *form_binary(const struct reading *reading, const char *text, struct arena *arena)
{
    /* upstream keeps the text of a number that fits its fast path and has no factor of eight */
    bool is_fast = reading->decimals == 0 && 14 - reading->digit_count - reading->scale * 3 / 10 >= 0;
    if (is_fast && reading->digits % 8 != 0)
        return text;
    int64_t unit = 1;
    for (int i = 0; i < reading->decimals; i++)
        unit *= 10;
    __int128 scaled = (__int128)reading->digits << reading->scale;
    if (scaled / unit >= INT64_MAX)
        return put_binary(INT64_MAX, reading->is_negative, arena);
    int64_t whole = (int64_t)(scaled / unit), rest = (int64_t)(scaled % unit);
    if (whole >= 1024 && rest == 0)
        return put_binary(whole, reading->is_negative, arena);
    __int128 billionths = (__int128)rest * 1000000000;
    billionths = billionths / unit + (billionths % unit != 0);
    return put_decimal((__int128)whole * 1000000000 + billionths, NANO, reading->is_negative, FORM_DECIMAL,
                       arena);
}

bool quantity_form(const char *text, struct arena *arena, const char **ret)
{
    struct reading reading = {0};
    const char *suffix = read_number(text, &reading);
    if (!suffix || !read_suffix(suffix, &reading))
        return false;
    const char *form = NULL;
    if (!reading.is_long)
        form = reading.form == FORM_BINARY ? form_binary(&reading, text, arena)
                                           : form_decimal(&reading, text, arena);
    *ret = form ? form : text;
    return true;
}
