/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "dataplane/rules/own.h"

#include <uthash.h>

/* Tables, chains and rules of one family: as a mode wants them, or as the kernel has them (layout_parse).
 * Rules read as iptables-save prints them, so that the two can be compared; their difference is what
 * iptables-restore is given. */

struct layout_chain {
    char *key; /* "nat KUBE-SERVICES" */
    enum layout_table table;
    const char *name;   /* inside key */
    const char **rules; /* as iptables-save prints them, after "-A NAME " */
    uint32_t count, capacity;
    uint32_t tail; /* so many at the end stay there; what is before them may come in any order */
    bool is_ordered;
    bool is_base;   /* INPUT and the like: others have rules in it, ours come first */
    uint32_t group; /* 0: none */
    UT_hash_handle hh;
};

struct layout {
    struct arena arena;
    struct layout_chain *chains;
    uint32_t group; /* of chains that are made now */
};

/* Empty; layout_done. A layout of {0} is empty, too. */
void layout_init(struct layout *ret);
void layout_done(struct layout *layout);
/* All jumps of the mode's that are not foreign. */
void layout_add_jumps(struct layout *layout, const struct own_rules *own);
/* The chain of that name, made where it is not there. Its rules have an order until somebody says otherwise.
 */
struct layout_chain *layout_chain(struct layout *layout, enum layout_table table, const char *name);
bool layout_has_chain(const struct layout *layout, enum layout_table table, const char *name);
/* At the end of the chain. rule is copied. */
void layout_add_rule(struct layout *layout, struct layout_chain *chain, const char *rule);
/* At the end of the chain of that name, made where it is not there. */
void layout_printf(struct layout *layout, enum layout_table table, const char *chain, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Lines, each with its newline; copied. */
void layout_add_rules(struct layout *layout, struct layout_chain *chain, const char *lines);
/* The chains made from here on, up to the next call, are a group: they lead to each other and to ordered
 * chains that were made before the first group, and nobody else's do but chains that may come in any order
 * and the kernel's own. */
void layout_begin_group(struct layout *layout);
/* By table and name. */
void layout_sort(struct layout *layout);

/* What iptables-save printed. -EINVAL and a sentence when it is not that. PURE; layout_done. */
int layout_parse(const char *saved, struct layout *ret, struct err *err);
/* Ahead of layout_difference, into the same input: groups of want whose chains have lacks, made in commits of
 * at most chains each (and what the last group has more), behind what they lead to; they are noted in have.
 * Packets meet none of it before the commit of layout_difference, which leads to them. Nothing where it all
 * fits into that one. iptables-restore of the nft backend keeps the names of a commit's chains in a list, and
 * looks the two of each rule up in it from its begin (1.8.9, cache_chain_list_insert): for 55,000 chains it
 * needs 39 s in one commit, and 6 s in commits of 500. The legacy backend writes the whole table with each
 * commit, so it is not for that one. Returns how many rules it adds. PURE. */
uint32_t layout_prepare(struct layout *have, const struct layout *want, uint32_t most, struct text *ret);
/* The input of `iptables-restore --noflush` that makes have into want: whole chains where they differ; jumps
 * of own's that are missing, in front, and those that want does not have, out; own's chains that want does
 * not have, removed. Nothing when they agree. Chains that may come in any order are sorted. Returns how many
 * rules it adds. PURE. */
uint32_t layout_difference(const struct layout *have, const struct layout *want, const struct own_rules *own,
                           struct text *ret);
/* As iptables-save would print it, chains in the order that they have. PURE. */
void layout_render(const struct layout *layout, struct text *ret);
