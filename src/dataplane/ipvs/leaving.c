/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/leaving.h"

#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct leaving_server *find(const struct leaving *leaving, const struct virtual_server *id)
{
    struct leaving_server *server;
    HASH_FIND(hh, leaving->servers, id, sizeof(*id), server);
    return server;
}

static void forget(struct leaving *leaving, struct leaving_server *server)
{
    HASH_DEL(leaving->servers, server);
    free(server->backends);
    free(server);
}

void leaving_done(struct leaving *leaving)
{
    struct leaving_server *server, *next;
    HASH_ITER (hh, leaving->servers, server, next)
        forget(leaving, server);
}

static bool is_same(const struct backend *a, const struct backend *b)
{
    return a->port == b->port && address_cmp(&a->address, &b->address) == 0;
}

/* Its place in the list; count: it is not there. */
static uint32_t place_of(const struct leaving_server *server, const struct backend *backend)
{
    uint32_t place = 0;
    while (place < server->count && !is_same(&server->backends[place], backend))
        place++;
    return place;
}

void leaving_add(struct leaving *leaving, const struct virtual_server *id, const struct backend *backend)
{
    struct leaving_server *server = find(leaving, id);
    if (!server) {
        server = xcalloc(1, sizeof(*server));
        server->id = *id;
        HASH_ADD(hh, leaving->servers, id, sizeof(server->id), server);
    }
    if (place_of(server, backend) < server->count)
        return;
    if (server->count == server->capacity) {
        server->capacity = server->capacity ? server->capacity * 2 : 4;
        server->backends = xrealloc(server->backends, server->capacity * sizeof(*server->backends));
    }
    server->backends[server->count++] = *backend;
}

bool leaving_add_whole(struct leaving *leaving, const struct virtual_server *id)
{
    struct leaving_server *server = find(leaving, id);
    if (!server)
        return false;
    server->is_whole = true;
    return true;
}

bool leaving_keep_whole(struct leaving *leaving, const struct virtual_server *id)
{
    struct leaving_server *server = find(leaving, id);
    bool was_whole = server && server->is_whole;
    if (was_whole)
        server->is_whole = false;
    return was_whole;
}

bool leaving_keep(struct leaving *leaving, const struct virtual_server *id, const struct backend *backend)
{
    struct leaving_server *server = find(leaving, id);
    uint32_t place = server ? place_of(server, backend) : 0;
    if (!server || place == server->count)
        return false;
    server->backends[place] = server->backends[--server->count];
    if (server->count == 0 && !server->is_whole)
        forget(leaving, server);
    return true;
}

/* --- removing --- */

struct check {
    struct leaving_server *server;
    bool *is_busy; /* by place */
};

static void on_real(void *context, const struct real_server *real)
{
    struct check *check = context;
    uint32_t place = place_of(check->server, &real->backend);
    if (place < check->server->count)
        check->is_busy[place] = real->connections > 0;
}

/* What is idle, or not there any more, is removed. */
static int check_server(struct leaving_server *server, struct servers *servers, int *removed, struct err *err)
{
    struct check check = {server, xcalloc(server->count + 1, sizeof(bool))};
    int code = servers_list_real(servers, &server->id, on_real, &check, err);
    uint32_t kept = 0, before = server->count;
    bool is_busy = false;
    if (code < 0 && code != -ENOENT) {
        free(check.is_busy);
        return code;
    }
    for (uint32_t i = 0; i < before; i++)
        is_busy |= check.is_busy[i];
    if (server->is_whole && !is_busy)
        servers_remove(servers, &server->id);
    for (uint32_t i = 0; i < before; i++)
        if (check.is_busy[i])
            server->backends[kept++] = server->backends[i];
        else if (is_busy || !server->is_whole)
            servers_remove_real(servers, &server->id, &server->backends[i]);
    server->count = kept;
    *removed += (int)(before - kept);
    free(check.is_busy);
    return 0;
}

bool leaving_has_address(const struct leaving *leaving, const struct address *address)
{
    for (const struct leaving_server *server = leaving->servers; server; server = server->hh.next)
        if (server->is_whole && address_cmp(&server->id.address, address) == 0)
            return true;
    return false;
}

int leaving_collect(struct leaving *leaving, struct servers *servers, leaving_gone_fn *gone, void *context,
                    struct err *err)
{
    struct leaving_server *server, *next;
    int removed = 0;
    HASH_ITER (hh, leaving->servers, server, next) {
        int code = check_server(server, servers, &removed, err);
        if (code < 0)
            return code;
        if (server->count > 0)
            continue;
        struct virtual_server id = server->id;
        bool was_whole = server->is_whole;
        forget(leaving, server);
        if (was_whole)
            gone(context, &id);
    }
    int code = servers_flush(servers, err);
    return code < 0 ? code : removed;
}
