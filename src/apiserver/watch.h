/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/read.h"
#include "sys/http.h"

/* Watches: each is one stream of an HTTP answer that pulls from the registry's history when its client can
 * take more. A client that does not read costs nothing but its place; when the history has left it behind it
 * is told 410 and ends. */

struct watches;

struct watches *watches_new(uv_loop_t *loop, const struct world *world);
/* After the HTTP servers are closed. The memory goes when the loop next turns. */
void watches_close(struct watches *watches);
/* There is news in the registry. */
void watches_wake(struct watches *watches);
unsigned watches_count(const struct watches *watches);

/* Begins one. Returns false with *ret_status, in the arena, when it is refused (400, 422, 429). */
bool watch_begin(struct watches *watches, const struct http_request *request, const struct target *target,
                 const struct query *query, const struct presentation *how, struct arena *arena,
                 struct status *ret_status);
/* For registry_set_cache_free. */
void watch_cache_free(void *cache);
