/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "source/cluster.h"
#include "source/event_book.h"

/* Events told to an apiserver (event_book.h), one request at a time, some few each second. Nothing waits for
 * them: what cannot be written is tried again for two minutes and then forgotten, and the rest of the program
 * learns of it by a sentence for the log alone. Needs the right to create and patch events.k8s.io events in
 * the namespaces of what they are about, in "default" for what has none. */

struct events;

/* complain says each kind of fault once. The cluster has to outlive it; controller and instance are copied.
 */
struct events *events_open(struct cluster *cluster, uv_loop_t *loop, const char *controller,
                           const char *instance, void (*complain)(void *context, const char *sentence),
                           void *context);
/* Returns at once; the texts are copied. NULL is allowed: then nobody is told. */
void events_post(struct events *events, const struct event *event);
/* What is not written yet is lost. NULL is allowed. The memory goes when the loop next turns. */
void events_close(struct events *events);
