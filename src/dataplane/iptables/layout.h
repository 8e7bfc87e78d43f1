/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "dataplane/iptables/portion.h"

#include <uthash.h>

/* All that kube-proxy's iptables mode makes in one family: as it should be (layout_build), or as the kernel
 * has it (layout_parse). The difference of the two is what iptables-restore is given. */

enum layout_table { TABLE_MANGLE, TABLE_NAT, TABLE_FILTER, TABLE_COUNT }; /* the order of packets */

/* Beside kube-proxy's chains there is one of our own, FAIRLEAD-CLUSTER-IPS in the filter table, so that this
 * mode's verdicts are those of the others: ports that a service does not have are refused, addresses of the
 * service ranges that nobody has are dropped. Packets to those ranges alone are sent there, and where the
 * ranges are not known (before Kubernetes 1.33) nobody is. And what the node itself sends to addresses
 * without endpoints is refused, too. Both begin at the end of the filter table's KUBE-SERVICES. */

struct layout_chain {
    char *key; /* "nat KUBE-SERVICES" */
    enum layout_table table;
    const char *name;   /* inside key */
    const char **rules; /* as iptables-save prints them, after "-A NAME " */
    uint32_t count, capacity;
    uint32_t tail; /* so many at the end stay there; what is before them may come in any order */
    bool is_ordered;
    bool is_base; /* INPUT and the like: others have rules in it, ours come first */
    UT_hash_handle hh;
};

struct layout {
    struct arena arena;
    struct layout_chain *chains;
};

/* Everything that should be there. PURE; layout_done. */
void layout_build(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                  enum family family, bool is_brief, struct layout *ret);
/* What iptables-save printed. -EINVAL and a sentence when it is not that. PURE; layout_done. */
int layout_parse(const char *saved, struct layout *ret, struct err *err);
void layout_done(struct layout *layout);

/* The input of `iptables-restore --noflush` that makes have into want: whole chains where they differ, jumps
 * that are missing, chains of services that are gone. Nothing when they agree. Returns how many rules it
 * adds. PURE. */
uint32_t layout_difference(const struct layout *have, const struct layout *want, struct text *ret);
/* As iptables-save would print it, chains in order of name. PURE. */
void layout_render(const struct layout *layout, struct text *ret);

/* The tables and chains that all this is about, for who watches them. A chain's name is ours when this layout
 * may have it; "INPUT" and the like are bases: numbered, -1 for any other chain. */
const char *layout_table_name(enum layout_table table);
bool layout_has_table(const char *table);
bool layout_has_chain(const char *table, const char *chain);
int layout_base(const char *table, const char *chain);
int layout_base_count(void);
void layout_base_name(int base, const char **ret_table, const char **ret_chain);

/* --- for other modes that write by iptables: a layout of their own, which has none of the above --- */

/* Empty; layout_done. */
void layout_init(struct layout *ret);
void layout_add_chain(struct layout *layout, enum layout_table table, const char *name);
/* A rule in a chain of the kernel's, where others have theirs: in front of those. */
void layout_add_jump(struct layout *layout, enum layout_table table, const char *from, const char *rule);
/* Lines, each with its newline, at the end of a chain. */
void layout_add_rules(struct layout *layout, enum layout_table table, const char *name, const char *lines);
bool layout_holds_chain(const struct layout *layout, enum layout_table table, const char *name);
bool layout_holds_rule(const struct layout *layout, enum layout_table table, const char *name,
                       const char *rule);
