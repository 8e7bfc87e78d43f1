/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/quantity.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX ((__int128)INT64_MAX * QUANTITY_ONE)
/* 19 digits count; with the largest suffix they still fit in 128 bits. */
#define DIGITS_FULL ((__int128)1000000000000000000)

/* digits * 10^power, or a little more when there was a rest. */
struct decimal {
    __int128 digits;
    int power;
    bool has_rest;
};

static const struct {
    const char *text;
    int power; /* of 10, or of 2 */
    bool is_binary;
} suffixes[] = {
    {"", 0, false},   {"n", -9, false}, {"u", -6, false}, {"m", -3, false},
    {"k", 3, false},  {"M", 6, false},  {"G", 9, false},  {"T", 12, false},
    {"P", 15, false}, {"E", 18, false}, {"Ki", 10, true}, {"Mi", 20, true},
    {"Gi", 30, true}, {"Ti", 40, true}, {"Pi", 50, true}, {"Ei", 60, true},
};

static void add_digit(struct decimal *decimal, int digit, bool is_fraction)
{
    if (decimal->digits >= DIGITS_FULL) {
        decimal->has_rest |= digit != 0;
        decimal->power += !is_fraction;
        return;
    }
    decimal->digits = decimal->digits * 10 + digit;
    decimal->power -= is_fraction;
}

/* Returns what follows the number, NULL when there is none. */
static const char *read_number(const char *text, struct decimal *ret)
{
    bool has_digits = false, is_fraction = false;
    for (; isdigit((unsigned char)*text) || (*text == '.' && !is_fraction); text++) {
        if (*text == '.') {
            is_fraction = true;
            continue;
        }
        has_digits = true;
        add_digit(ret, *text - '0', is_fraction);
    }
    return has_digits ? text : NULL;
}

static bool read_exponent(const char *text, int *ret)
{
    char *end;
    if (text[0] != 'e' && text[0] != 'E')
        return false;
    const char *digits = text + 1 + (text[1] == '+' || text[1] == '-');
    if (!isdigit((unsigned char)*digits))
        return false;
    long exponent = strtol(text + 1, &end, 10);
    *ret = exponent > 100 ? 100 : exponent < -100 ? -100 : (int)exponent;
    return *end == '\0';
}

static bool apply_suffix(const char *text, struct decimal *decimal)
{
    int exponent;
    if (read_exponent(text, &exponent)) {
        decimal->power += exponent;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (strcmp(suffixes[i].text, text) != 0)
            continue;
        if (suffixes[i].is_binary)
            decimal->digits <<= suffixes[i].power;
        else
            decimal->power += suffixes[i].power;
        return true;
    }
    return false;
}

static __int128 in_billionths(struct decimal decimal)
{
    __int128 value = decimal.digits;
    int power = decimal.power + 9;
    for (; power > 0 && value > 0 && value <= VALUE_MAX; power--)
        value *= 10;
    for (; power < 0 && value > 0; power++) {
        decimal.has_rest |= value % 10 != 0;
        value /= 10;
    }
    value += decimal.has_rest;
    return value > VALUE_MAX ? VALUE_MAX : value;
}

bool quantity_parse(const char *text, __int128 *ret_billionths)
{
    struct decimal decimal = {0};
    bool is_negative = *text == '-';
    const char *suffix = read_number(text + (*text == '-' || *text == '+'), &decimal);
    if (!suffix || !apply_suffix(suffix, &decimal))
        return false;
    __int128 value = in_billionths(decimal);
    *ret_billionths = is_negative ? -value : value;
    return true;
}

__int128 quantity_value(const Meta__Quantity *quantity)
{
    __int128 value;
    return quantity && quantity->string && quantity_parse(quantity->string, &value) ? value : 0;
}

const Meta__Quantity *quantity_find(Meta__QuantityEntry *const *entries, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i]->key && strcmp(entries[i]->key, key) == 0)
            return entries[i]->value;
    return NULL;
}

struct text_set quantity_keys(Meta__QuantityEntry *const *entries, size_t count, struct arena *arena)
{
    const char **keys = arena_array(arena, const char *, count);
    for (size_t i = 0; i < count; i++)
        keys[i] = entries[i]->key;
    return text_set_build(arena, keys, count);
}
