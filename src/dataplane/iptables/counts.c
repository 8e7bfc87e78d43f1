/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/counts.h"

#include <stdio.h>
#include <string.h>

#define KIND_NONE COUNT_KINDS

static const char *const own_names[SERVICE_CHAIN_COUNT + 1] = {
    [SERVICE_CHAIN_CLUSTER] = "KUBE-SVC",  [SERVICE_CHAIN_LOCAL] = "KUBE-SVL",
    [SERVICE_CHAIN_EXTERNAL] = "KUBE-EXT", [SERVICE_CHAIN_FIREWALL] = "KUBE-FW",
    [SERVICE_CHAIN_COUNT] = "KUBE-SEP",
};

static const char *table_of(unsigned kind)
{
    return kind < SHARED_COUNT ? shared_chain_table((enum shared_chain)kind) : "nat";
}

static unsigned kind_of_own(const char *name)
{
    for (unsigned i = 0; i <= SERVICE_CHAIN_COUNT; i++) {
        size_t len = strlen(own_names[i]);
        if (strncmp(name, own_names[i], len) == 0 && name[len] == '-')
            return SHARED_COUNT + i;
    }
    return KIND_NONE;
}

static unsigned kind_of_shared(const char *table, const char *name)
{
    for (unsigned i = 0; i < SHARED_COUNT; i++)
        if (strcmp(shared_chain_table((enum shared_chain)i), table) == 0 &&
            strcmp(shared_chain_name((enum shared_chain)i), name) == 0)
            return i;
    return KIND_NONE;
}

void counts_add_layout(struct counts *counts, const struct layout *layout)
{
    for (const struct layout_chain *chain = layout->chains; chain; chain = chain->hh.next) {
        unsigned kind = KIND_NONE;
        if (chain->table == TABLE_NAT || chain->table == TABLE_FILTER)
            kind = kind_of_shared(chain->table == TABLE_NAT ? "nat" : "filter", chain->name);
        if (kind == KIND_NONE && chain->table == TABLE_NAT)
            kind = kind_of_own(chain->name);
        if (kind != KIND_NONE)
            counts->rules[kind] += chain->count;
    }
}

static uint64_t count_lines(const char *text)
{
    uint64_t count = 0;
    for (; (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

/* The numbers wrap around on the way, and are right in the end. */
static void add_portion(struct counts *counts, const struct portion *portion, uint64_t sign)
{
    for (uint32_t i = 0; i < portion->shared_count; i++)
        counts->rules[portion->shared[i].chain] += sign;
    for (uint32_t i = 0; i < portion->chain_count; i++)
        counts->rules[kind_of_own(portion->chains[i].name)] += sign * count_lines(portion->chains[i].rules);
}

void counts_replace(struct counts *counts, const struct portion *old, const struct portion *next)
{
    add_portion(counts, old, (uint64_t)-1);
    add_portion(counts, next, 1);
}

void counts_visit(const struct counts *counts,
                  void (*visit)(void *context, const char *chain, uint64_t rules), void *context)
{
    for (unsigned i = 0; i < COUNT_KINDS; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s %s", table_of(i),
                 i < SHARED_COUNT ? shared_chain_name((enum shared_chain)i) : own_names[i - SHARED_COUNT]);
        visit(context, name, counts->rules[i]);
    }
}

void counts_add(struct counts *counts, const struct counts *more)
{
    for (unsigned i = 0; i < COUNT_KINDS; i++)
        counts->rules[i] += more->rules[i];
}

void counts_by_table(const struct counts *counts, uint64_t ret[DATAPLANE_TABLE_COUNT])
{
    memset(ret, 0, DATAPLANE_TABLE_COUNT * sizeof(*ret));
    for (unsigned i = 0; i < COUNT_KINDS; i++)
        ret[strcmp(table_of(i), "nat") == 0 ? DATAPLANE_TABLE_NAT : DATAPLANE_TABLE_FILTER] +=
            counts->rules[i];
}
