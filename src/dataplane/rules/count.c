/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/count.h"

#include <string.h>

void count_layout(const struct layout *layout, uint64_t ret[DATAPLANE_TABLE_COUNT])
{
    for (const struct layout_chain *chain = layout->chains; chain; chain = chain->hh.next) {
        if (chain->is_base || chain->table == TABLE_MANGLE)
            continue;
        ret[chain->table == TABLE_NAT ? DATAPLANE_TABLE_NAT : DATAPLANE_TABLE_FILTER] += chain->count;
    }
}

void count_input(const char *input, uint64_t ret[DATAPLANE_TABLE_COUNT])
{
    enum dataplane_table table = DATAPLANE_TABLE_COUNT;
    for (const char *line = input; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (*line == '*')
            table = strncmp(line, "*nat\n", 5) == 0      ? DATAPLANE_TABLE_NAT
                    : strncmp(line, "*filter\n", 8) == 0 ? DATAPLANE_TABLE_FILTER
                                                         : DATAPLANE_TABLE_COUNT;
        bool is_rule = *line == '-' && line[1] != 'X';
        if (is_rule && table < DATAPLANE_TABLE_COUNT)
            ret[table]++;
    }
}
