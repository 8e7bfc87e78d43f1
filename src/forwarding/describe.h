/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "forwarding/entry.h"

/* Entries and verdicts in words, for dump, explain and golden tests. */

/* A few lines: the service, its frontends, their endpoints. The same entry gives the same text. */
void describe_entry(const struct entry *entry, struct text *ret);
/* "10.96.0.10:80/TCP", or "node port 30080/TCP". */
void describe_frontend_address(const struct frontend *frontend, struct text *ret);
/* One clause: "in", "out: not ready", ... names gives zone and node names. */
void describe_candidate(const struct candidate *candidate, enum endpoint_verdict verdict,
                        const struct intern *names, struct text *ret);
const char *describe_hints(enum hint_mode hints);
