/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

#include <uthash.h>

/* A dataplane that only remembers: what it was given last, as text by service, and which calls came. It keeps
 * no pointer to an entry, so that the sanitizer sees whoever frees too early or not at all. */

struct holding {
    UT_hash_handle hh;
    char *text;
    char name[];
};

struct recorder {
    struct dataplane base;
    struct holding *now, *before; /* after the last success, and before it */
    struct text calls;            /* "load a b; sync +c ~a -b; fail; " */
    int failures[8];              /* codes for the next calls, oldest first; 0 ends the list */
    uint32_t node_port_addresses; /* as the last call had them */
};

void recorder_init(struct recorder *recorder);
void recorder_done(struct recorder *recorder);
/* NULL when the service is not held. */
const char *recorder_find(const struct holding *list, const char *name);
/* Everything that is decided about the service, whatever the order of its slots. */
void recorder_describe(const struct entry *entry, struct text *ret);
