/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct text *text, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t rest = len - i;
        unsigned group = (unsigned)bytes[i] << 16;
        group |= rest > 1 ? (unsigned)bytes[i + 1] << 8 : 0;
        group |= rest > 2 ? bytes[i + 2] : 0;
        char four[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63], alphabet[group >> 6 & 63],
                        alphabet[group & 63]};
        if (rest < 3)
            four[3] = '=';
        if (rest < 2)
            four[2] = '=';
        text_add_bytes(text, four, sizeof(four));
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_parse(const char *text, struct arena *arena, uint8_t **ret, size_t *ret_len)
{
    uint8_t *bytes = arena_alloc(arena, strlen(text) / 4 * 3 + 3);
    size_t len = 0;
    unsigned group = 0, count = 0, padding = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '\r' || *at == '\n')
            continue;
        int value = value_of(*at);
        if (*at == '=' && count >= 2) {
            padding++;
            value = 0;
        } else if (value < 0 || padding) {
            return false;
        }
        group = group << 6 | (unsigned)value;
        if (++count < 4)
            continue;
        for (unsigned i = 0; i < 3 - padding; i++)
            bytes[len++] = (uint8_t)(group >> (16 - 8 * i));
        if (padding) {
            text = at + 1;
            break;
        }
        group = count = 0;
    }
    if (padding ? count != 4 || text[strspn(text, "\r\n")] : count != 0)
        return false;
    *ret = bytes;
    *ret_len = len;
    return true;
}
