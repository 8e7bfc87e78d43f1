/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/claims.h"

#include "base/slab.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct claim_key {
    struct address address; /* unset for a node port */
    uint16_t port;
    uint8_t protocol, family;
};

struct claimant {
    const char *name;
    enum frontend_kind kind;
};

struct claim {
    struct claim_key key;
    struct claimant *owners; /* sorted; the first one serves */
    uint32_t count;
    uint32_t update;      /* the last update that put an owner in */
    struct claimant only; /* the storage of owners while there is one: nearly always */
    UT_hash_handle hh;
};

static struct claim_key key_of(const struct frontend *frontend)
{
    struct claim_key key;
    memset(&key, 0, sizeof(key));
    key.address = frontend->address;
    key.port = frontend->port;
    key.protocol = frontend->protocol;
    key.family = (uint8_t)frontend->family;
    return key;
}

static struct claim *find(const struct claims *claims, const struct frontend *frontend)
{
    struct claim_key key = key_of(frontend);
    struct claim *claim;
    HASH_FIND(hh, claims->by_key, &key, sizeof(key), claim);
    return claim;
}

const char *claims_winner_kind(const struct claims *claims, const struct frontend *frontend,
                               enum frontend_kind *ret_kind)
{
    const struct claim *claim = find(claims, frontend);
    if (!claim)
        return NULL;
    *ret_kind = claim->owners[0].kind;
    return claim->owners[0].name;
}

const char *claims_winner(const struct claims *claims, const struct frontend *frontend)
{
    enum frontend_kind kind;
    return claims_winner_kind(claims, frontend, &kind);
}

/* Its own cluster IP is not taken from a service by another's external IP; after that the name decides. */
static int claimant_cmp(const struct claimant *a, const struct claimant *b)
{
    return a->kind != b->kind ? (int)a->kind - (int)b->kind : strcmp(a->name, b->name);
}

static uint32_t find_owner(const struct claim *claim, const char *owner)
{
    uint32_t at = 0;
    while (at < claim->count && strcmp(claim->owners[at].name, owner) != 0)
        at++;
    return at;
}

static void take_out(struct claim *claim, uint32_t at)
{
    memmove(claim->owners + at, claim->owners + at + 1, (claim->count - at - 1) * sizeof(*claim->owners));
    claim->count--;
}

static void add_owner(struct claim *claim, const char *owner, enum frontend_kind kind)
{
    const struct claimant fresh = {.name = owner, .kind = kind};
    uint32_t at = find_owner(claim, owner);
    if (at < claim->count && claim->owners[at].kind == kind)
        return;
    if (at < claim->count)
        take_out(claim, at);
    if (claim->count == 0 && !claim->owners) {
        claim->owners = &claim->only;
    } else if (claim->count > 0) {
        struct claimant *owners = xcalloc(claim->count + 1, sizeof(*owners));
        memcpy(owners, claim->owners, claim->count * sizeof(*owners));
        if (claim->owners != &claim->only)
            free(claim->owners);
        claim->owners = owners;
    }
    for (at = 0; at < claim->count && claimant_cmp(&claim->owners[at], &fresh) < 0;)
        at++;
    memmove(claim->owners + at + 1, claim->owners + at, (claim->count - at) * sizeof(*claim->owners));
    claim->owners[at] = fresh;
    claim->count++;
}

static void remove_owner(struct claims *claims, struct claim *claim, const char *owner)
{
    uint32_t at = find_owner(claim, owner);
    if (at == claim->count)
        return;
    take_out(claim, at);
    if (claim->count > 0)
        return;
    if (claim->owners != &claim->only)
        free(claim->owners);
    HASH_DEL(claims->by_key, claim);
    slab_free(claim);
}

static void withdraw(struct claims *claims, const char *owner, const struct frontend *frontend,
                     claims_moved_fn *moved, void *context)
{
    struct claim *claim = find(claims, frontend);
    if (!claim || claim->update == claims->updates)
        return; /* the owner has just claimed it again */
    const char *heir =
        claim->count > 1 && strcmp(claim->owners[0].name, owner) == 0 ? claim->owners[1].name : NULL;
    remove_owner(claims, claim, owner);
    if (heir)
        moved(context, heir);
}

static void put_in(struct claims *claims, const char *owner, struct frontend *frontend,
                   claims_moved_fn *moved, claims_lost_fn *lost, void *context)
{
    struct claim *claim = find(claims, frontend);
    if (!claim) {
        claim = slab_zalloc(sizeof(*claim));
        claim->key = key_of(frontend);
        HASH_ADD(hh, claims->by_key, key, sizeof(claim->key), claim);
    }
    const char *before = claim->count ? claim->owners[0].name : NULL;
    add_owner(claim, owner, frontend->kind);
    claim->update = claims->updates;
    const char *winner = claim->owners[0].name;
    frontend->is_shadowed = strcmp(winner, owner) != 0;
    if (frontend->is_shadowed) {
        claims->shadowed++;
        lost(context, frontend, owner, winner);
    }
    if (before && strcmp(before, winner) != 0)
        moved(context, frontend->is_shadowed ? winner : before);
}

void claims_update(struct claims *claims, const char *owner, const struct entry *old, struct entry *next,
                   claims_moved_fn *moved, claims_lost_fn *lost, void *context)
{
    claims->updates++;
    for (uint32_t i = 0; old && i < old->frontend_count; i++)
        claims->shadowed -= old->frontends[i].is_shadowed;
    for (uint32_t i = 0; next && i < next->frontend_count; i++)
        put_in(claims, owner, &next->frontends[i], moved, lost, context);
    for (uint32_t i = 0; old && i < old->frontend_count; i++)
        withdraw(claims, owner, &old->frontends[i], moved, context);
}

void claims_done(struct claims *claims)
{
    struct claim *claim, *next;
    HASH_ITER (hh, claims->by_key, claim, next) {
        HASH_DEL(claims->by_key, claim);
        if (claim->owners != &claim->only)
            free(claim->owners);
        slab_free(claim);
    }
    *claims = (struct claims){0};
}
