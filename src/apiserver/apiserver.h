/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/addresses.h"
#include "apiserver/verbs.h"
#include "base/err.h"

#include <uv.h>

/* The embedded API server: the Kubernetes REST conventions over a registry, for the kinds of Service
 * networking. A request goes: sys/http -> who asks (auth) -> what is asked (request, negotiate) -> may he
 * (auth) -> read, watch or verbs -> registry; news of the registry go to the watches and the collector. */

struct apiserver;

struct apiserver_config {
    const struct world *world;
    const struct socket_address *addresses; /* where to listen */
    size_t address_count;
    const char *certificate_pem, *key_pem, *client_ca_pem; /* NULL: plain HTTP */
    const char *tokens_path;                               /* auth.h */
    void (*report)(void *context, const char *sentence);
    void *context;
};

/* Everything is borrowed but addresses and the PEM texts. */
int apiserver_open(struct apiserver **ret, uv_loop_t *loop, const struct apiserver_config *config,
                   struct err *err);
/* Ends all connections at once; memory goes when the loop next turns. NULL is allowed. */
void apiserver_close(struct apiserver *server);
/* There is news in the registry: call it soon after, from the loop. */
void apiserver_news(struct apiserver *server);
/* The port of the first address. */
uint16_t apiserver_port(const struct apiserver *server);

struct apiserver_counters {
    uint64_t requests, refused; /* refused: answered with 4xx or 5xx */
    unsigned watches, connections;
};
struct apiserver_counters apiserver_counters(const struct apiserver *server);
