/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/change.h"

#include <string.h>

static const struct own_chain *find_chain(const struct portion *portion, const char *name)
{
    for (uint32_t i = 0; i < portion->chain_count; i++)
        if (strcmp(portion->chains[i].name, name) == 0)
            return &portion->chains[i];
    return NULL;
}

static bool has_shared(const struct portion *portion, const struct shared_rule *rule)
{
    for (uint32_t i = 0; i < portion->shared_count; i++)
        if (portion->shared[i].chain == rule->chain && strcmp(portion->shared[i].rule, rule->rule) == 0)
            return true;
    return false;
}

static void write_chain(struct change *change, const struct own_chain *chain)
{
    text_printf(&change->chains, ":%s - [0:0]\n", chain->name);
    for (const char *line = chain->rules; *line;) {
        const char *end = strchr(line, '\n') + 1;
        text_printf(&change->nat_rules, "-A %s ", chain->name);
        text_add_bytes(&change->nat_rules, line, (size_t)(end - line));
        change->adds++;
        line = end;
    }
}

/* At the head: the last rule of nat's KUBE-SERVICES has to stay the last. */
static void insert_shared(struct change *change, const struct shared_rule *rule)
{
    bool is_nat = rule->chain <= SHARED_NAT_NODE_PORTS;
    text_printf(is_nat ? &change->nat_rules : &change->filter_adds, "-I %s %s\n",
                shared_chain_name(rule->chain), rule->rule);
    change->adds++;
}

static void remove_shared(struct change *change, const struct shared_rule *rule)
{
    bool is_nat = rule->chain <= SHARED_NAT_NODE_PORTS;
    text_printf(is_nat ? &change->nat_rules : &change->filter_removes, "-D %s %s\n",
                shared_chain_name(rule->chain), rule->rule);
    change->removes++;
}

void change_add(struct change *change, const struct portion *old, const struct portion *next)
{
    for (uint32_t i = 0; i < next->chain_count; i++) {
        const struct own_chain *was = find_chain(old, next->chains[i].name);
        if (!was || strcmp(was->rules, next->chains[i].rules) != 0)
            write_chain(change, &next->chains[i]);
    }
    for (uint32_t i = 0; i < next->shared_count; i++)
        if (!has_shared(old, &next->shared[i]))
            insert_shared(change, &next->shared[i]);
    for (uint32_t i = 0; i < old->shared_count; i++)
        if (!has_shared(next, &old->shared[i]))
            remove_shared(change, &old->shared[i]);
    for (uint32_t i = 0; i < old->chain_count; i++) {
        if (find_chain(next, old->chains[i].name))
            continue;
        text_printf(&change->chains, ":%s - [0:0]\n", old->chains[i].name);
        text_printf(&change->nat_ends, "-X %s\n", old->chains[i].name);
        change->removes++;
    }
}

static void write_table(const char *table, const char *pieces[3], struct text *ret)
{
    if (!*pieces[0] && !*pieces[1] && !*pieces[2])
        return;
    text_printf(ret, "*%s\n%s%s%sCOMMIT\n", table, pieces[0], pieces[1], pieces[2]);
}

void change_write(const struct change *change, struct text *ret)
{
    write_table("filter", (const char *[]){text_str(&change->filter_adds), "", ""}, ret);
    write_table("nat",
                (const char *[]){text_str(&change->chains), text_str(&change->nat_rules),
                                 text_str(&change->nat_ends)},
                ret);
    write_table("filter", (const char *[]){text_str(&change->filter_removes), "", ""}, ret);
}

void change_done(struct change *change)
{
    text_done(&change->chains);
    text_done(&change->nat_rules);
    text_done(&change->nat_ends);
    text_done(&change->filter_adds);
    text_done(&change->filter_removes);
}
