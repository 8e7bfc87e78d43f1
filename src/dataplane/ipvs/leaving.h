/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/ipvs/servers.h"

#include <uthash.h>

/* Real servers that take no new connections, and stay until those that they have are over. */

struct leaving_server {
    struct virtual_server id;
    bool is_whole; /* the virtual server goes with the last of them */
    struct backend *backends;
    uint32_t count, capacity;
    UT_hash_handle hh;
};

struct leaving {
    struct leaving_server *servers;
};

void leaving_done(struct leaving *leaving);
void leaving_add(struct leaving *leaving, const struct virtual_server *id, const struct backend *backend);
/* The virtual server itself leaves, too; false where none of its real servers does, so that nothing holds it.
 */
bool leaving_add_whole(struct leaving *leaving, const struct virtual_server *id);
/* It stays after all. Returns whether it was there, and so the kernel has it. */
bool leaving_keep_whole(struct leaving *leaving, const struct virtual_server *id);
bool leaving_keep(struct leaving *leaving, const struct virtual_server *id, const struct backend *backend);
/* Whether a virtual server at this address leaves whole: its connections still come in by the address. */
bool leaving_has_address(const struct leaving *leaving, const struct address *address);
/* Removes what has no connections any more: asks and flushes servers. Returns how many real servers went.
 * gone is told of each virtual server that went whole, once it is forgotten here. */
typedef void leaving_gone_fn(void *context, const struct virtual_server *id);
int leaving_collect(struct leaving *leaving, struct servers *servers, leaving_gone_fn *gone, void *context,
                    struct err *err);
