/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/surrogates.h"

#include "base/arena.h"

#include <stdbool.h>
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\uXXXX" at `at`; -1 when it is not that. */
static long escape_value(const char *at, const char *end)
{
    long value = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool is_json(const char *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && strchr(" \t\r\n", bytes[i]) && bytes[i])
        i++;
    return i < len && (bytes[i] == '{' || bytes[i] == '[');
}

static char *put_utf8(char *to, unsigned long code)
{
    *to++ = (char)(0xf0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 0x3f));
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

char *surrogates_join(const char *bytes, size_t *len)
{
    if (!bytes || !is_json(bytes, *len) ||
        (!memmem(bytes, *len, "\\ud", 3) && !memmem(bytes, *len, "\\uD", 3)))
        return NULL;
    const char *end = bytes + *len;
    char *joined = xmalloc(*len), *to = joined;
    for (const char *at = bytes; at < end;) {
        long high = escape_value(at, end);
        long low = high >= 0xd800 && high < 0xdc00 ? escape_value(at + 6, end) : -1;
        if (low >= 0xdc00 && low < 0xe000) {
            to = put_utf8(to,
                          0x10000ul + ((unsigned long)(high - 0xd800) << 10) + (unsigned long)(low - 0xdc00));
            at += 12;
            continue;
        }
        bool is_escape = *at == '\\' && at + 1 < end;
        *to++ = *at++;
        if (is_escape)
            *to++ = *at++;
    }
    *len = (size_t)(to - joined);
    return joined;
}
