/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/own.h"

#include <string.h>

static const char *const table_names[TABLE_COUNT] = {"mangle", "nat", "filter"};

const char *layout_table_name(enum layout_table table)
{
    return table_names[table];
}

int layout_table_of(const char *name)
{
    for (int i = 0; i < TABLE_COUNT; i++)
        if (strcmp(table_names[i], name) == 0)
            return i;
    return -1;
}

static bool is_same_base(const struct own_jump *a, const struct own_jump *b)
{
    return a->table == b->table && strcmp(a->from, b->from) == 0;
}

/* A base has the number of jumps that are the first of theirs before its own first. */
static bool is_first(const struct own_rules *own, uint32_t jump)
{
    for (uint32_t i = 0; i < jump; i++)
        if (is_same_base(&own->jumps[i], &own->jumps[jump]))
            return false;
    return true;
}

int own_base_count(const struct own_rules *own)
{
    int count = 0;
    for (uint32_t i = 0; i < own->jump_count; i++)
        count += is_first(own, i);
    return count;
}

int own_base(const struct own_rules *own, const char *table, const char *chain)
{
    int base = 0;
    for (uint32_t i = 0; i < own->jump_count; i++) {
        if (strcmp(own->jumps[i].from, chain) == 0 && strcmp(table_names[own->jumps[i].table], table) == 0)
            return base;
        base += is_first(own, i);
    }
    return -1;
}

void own_base_name(const struct own_rules *own, int base, const char **ret_table, const char **ret_chain)
{
    for (uint32_t i = 0; i < own->jump_count; i++) {
        if (!is_first(own, i) || base-- > 0)
            continue;
        *ret_table = table_names[own->jumps[i].table];
        *ret_chain = own->jumps[i].from;
        return;
    }
}
