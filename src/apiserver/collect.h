/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/verbs.h"

#include <uv.h>

/* What goes by itself, in the background, as kube-controller-manager's garbage collector and namespace
 * controller have it: objects whose owners are all gone, what a terminating namespace holds, pods whose grace
 * is over, events of an hour ago. Follows the registry's history; one timer, armed only while something is
 * due. */

struct collector;

/* Reads everything that the registry has; write errors go to report. */
struct collector *collector_new(uv_loop_t *loop, const struct world *world,
                                void (*report)(void *context, const char *sentence), void *context);
void collector_close(struct collector *collector);
/* There is news in the registry: follows it, and writes what follows from it. */
void collector_pull(struct collector *collector);
