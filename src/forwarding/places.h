/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "forwarding/view.h"

/* Which zone an address is in, as far as the store tells: of every endpoint by its slice, else by the Node
 * that it is on; of every known Node its addresses and pod ranges. A snapshot with nothing borrowed, so that
 * questions can go on while the store changes. Pure. */

struct places;

/* own: further addresses of this node, those of its interfaces. node->store is not NULL. Some 30 bytes for
 * each endpoint; freed with places_free. */
struct places *places_new(const struct node_view *node, const struct address *own, uint32_t own_count);
void places_free(struct places *places);
/* False when nobody knows the address. The zone is interned; 0 where the place is known and has no zone. A
 * known address goes before the pod range that it lies in; of pod ranges inside each other none is certain.
 */
bool places_find(const struct places *places, const struct address *address, uint32_t *ret_zone);
