/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "forwarding/entry.h"

/* Entries and verdicts in words, for dump, explain and golden tests. */

/* A few lines: the service, its frontends, their endpoints. The same entry gives the same text. */
void describe_entry(const struct entry *entry, struct text *ret);
/* "10.96.0.10:80/TCP", or "node port 30080/TCP". */
void describe_frontend_address(const struct frontend *frontend, struct text *ret);
/* One clause: "in", "out: not ready", ... for one of selection's candidates. The view has a store. */
void describe_candidate(const struct service *service, const struct selection *selection,
                        const struct candidate *candidate, enum endpoint_verdict verdict,
                        const struct node_view *node, struct text *ret);
const char *describe_hints(enum hint_mode hints);
/* A line for each topology key that was tried, up to the one that decided. Nothing when none was. */
void describe_topology(const struct service *service, const struct selection *selection,
                       const struct node_view *node, struct text *ret);
