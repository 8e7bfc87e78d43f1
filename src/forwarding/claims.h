/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "forwarding/entry.h"

/* Who serves a frontend that two services name (the same external IP and port, the same node port): the
 * one whose own cluster IP it is, then the service whose "namespace/name" sorts first. The others' frontends
 * are shadowed until it gives way. */

struct claim;
struct claims {
    struct claim *by_key;
    uint32_t shadowed; /* frontends that lost, now */
    uint32_t updates;
};

/* owner is the service's "namespace/name", and outlives its claims. */
typedef void claims_moved_fn(void *context, const char *owner);
typedef void claims_lost_fn(void *context, const struct frontend *frontend, const char *owner,
                            const char *winner);

/* Replaces old's claims by next's (either may be NULL), marks next's frontends that lost, and reports them to
 * lost; calls moved for every other owner that wins or loses a frontend by it and has to be built anew. */
void claims_update(struct claims *claims, const char *owner, const struct entry *old, struct entry *next,
                   claims_moved_fn *moved, claims_lost_fn *lost, void *context);
void claims_done(struct claims *claims);
/* Who serves what this frontend names, or NULL. */
const char *claims_winner(const struct claims *claims, const struct frontend *frontend);
/* The same, and which of the winner's frontends it is; *ret_kind is left alone where nobody serves. */
const char *claims_winner_kind(const struct claims *claims, const struct frontend *frontend,
                               enum frontend_kind *ret_kind);
