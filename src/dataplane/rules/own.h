/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* What of iptables' tables is one mode's own. Others' hands are noticed there alone, and nothing else is ever
 * written, emptied or removed. */

enum layout_table { TABLE_MANGLE, TABLE_NAT, TABLE_FILTER, TABLE_COUNT }; /* the order of packets */

/* A rule of the mode's in a chain of the kernel's (a base: INPUT and the like), where others have theirs. */
struct own_jump {
    enum layout_table table;
    const char *from, *rule; /* as iptables-save prints it, after "-A FROM " */
};

struct own_rules {
    const struct own_jump *jumps; /* all that the mode ever makes, in the order in which packets meet them */
    uint32_t jump_count;
    uint32_t
        foreign_jumps; /* so many at the end are another mode's, to chains that both have: to be removed */
    /* Whether a chain of that name is the mode's. */
    bool (*has_chain)(enum layout_table table, const char *chain);
};

/* "nat" */
const char *layout_table_name(enum layout_table table);
/* -1 for tables that nobody here writes to: raw, security. */
int layout_table_of(const char *name);

/* The chains of the kernel's that jumps stand in, numbered from 0; OWN_BASES_MAX at most. PURE. */
#define OWN_BASES_MAX 12
int own_base_count(const struct own_rules *own);
/* -1: no jump stands there. */
int own_base(const struct own_rules *own, const char *table, const char *chain);
void own_base_name(const struct own_rules *own, int base, const char **ret_table, const char **ret_chain);
