/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/count.h"

#include <string.h>

void count_layout(const struct layout *layout, uint64_t ret[DATAPLANE_TABLE_COUNT])
{
    for (const struct layout_chain *chain = layout->chains; chain; chain = chain->hh.next) {
        if (chain->is_base || chain->table == TABLE_MANGLE)
            continue;
        ret[chain->table == TABLE_NAT ? DATAPLANE_TABLE_NAT : DATAPLANE_TABLE_FILTER] += chain->count;
    }
}

void count_portion(const struct portion *portion, uint64_t ret[DATAPLANE_TABLE_COUNT])
{
    for (uint32_t i = 0; i < portion->shared_count; i++) {
        bool is_nat = strcmp(shared_chain_table(portion->shared[i].chain), "nat") == 0;
        ret[is_nat ? DATAPLANE_TABLE_NAT : DATAPLANE_TABLE_FILTER]++;
    }
    for (uint32_t i = 0; i < portion->chain_count; i++)
        for (const char *at = portion->chains[i].rules; (at = strchr(at, '\n')); at++)
            ret[DATAPLANE_TABLE_NAT]++;
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
