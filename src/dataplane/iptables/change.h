/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "dataplane/iptables/portion.h"

/* The input of `iptables-restore --noflush` for some services that changed: the chains of theirs that differ,
 * and their rules in shared chains, one by one. Start from {0}; change_done. */
struct change {
    struct text chains;         /* nat: what is emptied or made */
    struct text nat_rules;      /* nat: what goes into shared chains and out of them, and own rules */
    struct text nat_ends;       /* nat: chains to remove */
    struct text filter_adds;    /* before nat: a service that lost its last endpoint is refused first */
    struct text filter_removes; /* after nat: one that has its first endpoint is translated first */
    uint32_t adds, removes;     /* rules */
};

/* From what a service is to what it shall be; of the same family and brevity. PURE. */
void change_add(struct change *change, const struct portion *old, const struct portion *next);
/* Appends the input; nothing when nothing changes. */
void change_write(const struct change *change, struct text *ret);
void change_done(struct change *change);
