/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/choice.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

static void forget(struct choice *choice, struct choice_client *client)
{
    HASH_DEL(choice->clients, client);
    free(client);
}

void choice_done(struct choice *choice)
{
    struct choice_client *client, *next;
    HASH_ITER (hh, choice->clients, client, next)
        forget(choice, client);
    free(choice->backends);
    *choice = (struct choice){0};
}

void choice_roll(struct choice *choice, uint64_t seed)
{
    choice->dice = seed | 1;
}

/* xorshift64*, Marsaglia 2003 and Vigna 2016: fair enough for an order. */
static uint32_t roll(struct choice *choice, uint32_t sides)
{
    choice->dice ^= choice->dice >> 12;
    choice->dice ^= choice->dice << 25;
    choice->dice ^= choice->dice >> 27;
    return (uint32_t)((choice->dice * 0x2545f4914f6cdd1dULL) >> 33) % sides;
}

static void shuffle(struct choice *choice)
{
    for (uint32_t i = choice->count; choice->dice && i > 1; i--) {
        uint32_t other = roll(choice, i);
        struct backend backend = choice->backends[i - 1];
        choice->backends[i - 1] = choice->backends[other];
        choice->backends[other] = backend;
    }
}

static bool is_same(const struct backend *a, const struct backend *b)
{
    return a->port == b->port && address_cmp(&a->address, &b->address) == 0;
}

static bool has(const struct backend_set *set, const struct backend *backend)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (is_same(&set->list[i], backend))
            return true;
    return false;
}

/* The place behind the endpoint that was chosen last; the same number when that one is gone. */
static uint32_t next_of(const struct choice *choice, const struct backend_set *set)
{
    if (choice->count == 0 || set->count == 0)
        return 0;
    const struct backend *last = &choice->backends[(choice->next + choice->count - 1) % choice->count];
    for (uint32_t i = 0; i < set->count; i++)
        if (is_same(&set->list[i], last))
            return (i + 1) % set->count;
    return choice->next % set->count;
}

static bool has_same(const struct choice *choice, const struct backend_set *set)
{
    bool has_all = choice->count == set->count;
    for (uint32_t i = 0; has_all && i < choice->count; i++)
        has_all = has(set, &choice->backends[i]);
    return has_all;
}

void choice_set(struct choice *choice, const struct backend_set *set, uint32_t affinity_seconds)
{
    struct choice_client *client, *next;
    HASH_ITER (hh, choice->clients, client, next)
        if (!affinity_seconds || !has(set, &client->backend))
            forget(choice, client);
    choice->affinity_seconds = affinity_seconds;
    if (has_same(choice, set))
        return;
    choice->next = choice->dice ? 0 : next_of(choice, set);
    free(choice->backends);
    choice->backends = xcalloc(set->count ? set->count : 1, sizeof(*choice->backends));
    if (set->count)
        memcpy(choice->backends, set->list, set->count * sizeof(*choice->backends));
    choice->count = set->count;
    shuffle(choice);
}

static struct choice_client *find(const struct choice *choice, const struct address *address)
{
    struct choice_client *client;
    HASH_FIND(hh, choice->clients, address, sizeof(*address), client);
    return client;
}

/* Puts the client last. */
static void remember(struct choice *choice, const struct address *address, const struct backend *backend,
                     uint64_t now_ms)
{
    struct choice_client *client = find(choice, address);
    if (client)
        HASH_DEL(choice->clients, client);
    else if (HASH_COUNT(choice->clients) >= CHOICE_CLIENTS_MAX)
        forget(choice, choice->clients);
    if (!client)
        client = xcalloc(1, sizeof(*client));
    client->address = *address;
    client->backend = *backend;
    client->seen_ms = now_ms;
    HASH_ADD(hh, choice->clients, address, sizeof(client->address), client);
}

bool choice_take(struct choice *choice, const struct address *client, uint64_t now_ms, struct backend *ret)
{
    if (choice->count == 0)
        return false;
    const uint64_t time_ms = (uint64_t)choice->affinity_seconds * 1000;
    while (choice->clients && choice->clients->seen_ms + time_ms <= now_ms)
        forget(choice, choice->clients);
    const struct choice_client *known = choice->affinity_seconds ? find(choice, client) : NULL;
    struct backend chosen;
    if (known) {
        chosen = known->backend;
    } else {
        chosen = choice->backends[choice->next];
        choice->next = (choice->next + 1) % choice->count;
        if (choice->next == 0)
            shuffle(choice);
    }
    if (choice->affinity_seconds)
        remember(choice, client, &chosen, now_ms);
    *ret = chosen;
    return true;
}

void choice_reset(struct choice *choice, const struct address *client)
{
    struct choice_client *known = find(choice, client);
    if (known)
        forget(choice, known);
}

bool choice_retry(struct choice *choice, const struct address *client, const struct backend *failed,
                  uint64_t now_ms, struct backend *ret)
{
    choice_reset(choice, client);
    for (uint32_t i = 0; i < choice->count; i++) {
        if (!is_same(&choice->backends[i], failed))
            continue;
        *ret = choice->backends[(i + 1) % choice->count];
        if (choice->affinity_seconds)
            remember(choice, client, ret, now_ms);
        return true;
    }
    return choice_take(choice, client, now_ms, ret); /* it is gone */
}
