/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/text_set.h"

#include <stdlib.h>
#include <string.h>

struct text_set_item {
    const char *text;
    size_t index;
};

static int compare(const void *a, const void *b)
{
    const struct text_set_item *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

struct text_set text_set_build(struct arena *arena, const char *const *texts, size_t count)
{
    struct text_set set = {arena_array(arena, struct text_set_item, count), count};
    for (size_t i = 0; i < count; i++)
        set.items[i] = (struct text_set_item){texts[i] ? texts[i] : "", i};
    qsort(set.items, count, sizeof(*set.items), compare);
    return set;
}

size_t text_set_find(const struct text_set *set, const char *text)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(set->items[middle].text, text ? text : "") < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_found = low < set->count && strcmp(set->items[low].text, text ? text : "") == 0;
    return is_found ? set->items[low].index : set->count;
}
