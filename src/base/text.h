/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* A growing string, always NUL-terminated once something was added. Start from {0}; free with text_done. */
struct text {
    char *data;
    size_t len, capacity;
};

void text_add(struct text *text, const char *piece);
void text_add_bytes(struct text *text, const char *bytes, size_t len);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The string, never NULL; owned by text. */
const char *text_str(const struct text *text);
void text_done(struct text *text);

/* strcmp with NULL before every string. */
int text_cmp(const char *a, const char *b);
static inline bool text_equal(const char *a, const char *b)
{
    return text_cmp(a, b) == 0;
}
/* 64-bit FNV-1a, continued from seed (0 to begin). Stable across machines: used in change detection. */
unsigned long long hash_bytes(unsigned long long seed, const void *bytes, size_t len);
