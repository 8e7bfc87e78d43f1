/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/iptables/layout.h"

/* What the kernel holds for one frontend: the rules that lead to its chains, and these chains. They are asked
 * from the kernel at that moment, chain by chain (`iptables -S CHAIN`), not taken from the last
 * iptables-save: that may be hours old, and a new one takes seconds where there are ten thousand services. */

/* The chains that a question about this frontend has to ask for, and what they should hold: whole is the
 * service's portion, ret the part of it. PURE. */
void inspect_select(const struct entry *entry, const struct frontend *frontend, const struct node_view *view,
                    bool is_brief, struct arena *arena, struct portion *ret);

/* Says of have, which holds what was asked for, how it compares. True when it agrees. PURE. */
bool inspect_compare(const struct layout *have, const struct portion *want, struct text *ret);

/* The whole of it, as the dataplane's inspect. With affinity also how many clients are remembered, and
 * whether from (may be NULL) is one. Waits for the programs, 3 s at the most; -ETIMEDOUT behind that. */
int inspect_frontend(const struct entry *entry, const struct frontend *frontend, const struct node_view *view,
                     bool is_brief, const struct address *from, struct text *ret, struct err *err);
