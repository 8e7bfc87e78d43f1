/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

struct daemon;

/* When the walk is taken, and what follows a turn: health-check servers, conntrack, metrics; another turn
 * after a failure, after a foreign hand in our table, or for what had to linger. */

/* Once the store, the dataplane and the loop are there. */
void turns_init(struct daemon *daemon);
/* Something changed: a turn, as soon as the source has listed everything. */
void turns_take(struct daemon *daemon);
/* Tells the service manager that this daemon serves, and what. */
void turns_announce(const struct daemon *daemon);
/* For the dataplane: what a turn left under way is over. */
void turns_on_finished(void *context, int code, const struct dataplane_result *dataplane,
                       const struct err *err);
/* Waits for what is under way, so that a daemon that ends leaves nothing half done. */
void turns_finish(struct daemon *daemon);
/* Then takes away the rules that nobody would serve by, and waits for that, too, though not for ever. */
void turns_withdraw(struct daemon *daemon);
/* For interface_watch_open: the node's addresses changed. */
void turns_on_interfaces(void *context);
