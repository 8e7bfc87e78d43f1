/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/difference.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* One field of the written form: "name: value\n" and the deeper lines and list items below it. */
struct field {
    const char *at;
    size_t name_len, len;
};

static struct field field_at(const char *at)
{
    struct field field = {at, strcspn(at, ":\n"), strcspn(at, "\n")};
    if (at[field.len])
        field.len++;
    while (at[field.len] && !isalpha((unsigned char)at[field.len])) {
        field.len += strcspn(at + field.len, "\n");
        field.len += at[field.len] == '\n';
    }
    return field;
}

static int name_order(const struct field *a, const struct field *b)
{
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->at, b->at, len);
    return order ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static void tell(const struct field *field, void (*visit)(void *context, const char *field), void *context)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)field->name_len, field->at);
    visit(context, name);
}

/* Keys are sorted in both, so the two are walked side by side. */
static void compare(const char *before, const char *after, void (*visit)(void *context, const char *field),
                    void *context)
{
    while (*before || *after) {
        struct field old = field_at(before), fresh = field_at(after);
        int order = !*before ? 1 : !*after ? -1 : name_order(&old, &fresh);
        bool is_same = order == 0 && old.len == fresh.len && memcmp(old.at, fresh.at, old.len) == 0;
        if (!is_same)
            tell(order <= 0 ? &old : &fresh, visit, context);
        before += order <= 0 ? old.len : 0;
        after += order >= 0 ? fresh.len : 0;
    }
}

void config_difference(const struct proxy_config *before, const struct proxy_config *after,
                       void (*visit)(void *context, const char *field), void *context)
{
    struct text old = {0}, fresh = {0};
    config_write(before, &old);
    config_write(after, &fresh);
    compare(text_str(&old), text_str(&fresh), visit, context);
    text_done(&old);
    text_done(&fresh);
}
