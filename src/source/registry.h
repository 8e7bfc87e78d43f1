/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "registry/registry.h"
#include "source/source.h"

/* The registry as a source: tells a sink what is there, and every later change. Of an object that changed
 * several times since the last pull it tells the last state alone. Not to be called inside a batch. */
struct registry_source;

/* Puts every object of the kinds; when this returns everything is listed. The registry has to outlive the
 * source. */
int registry_source_open(struct registry_source **ret, struct registry *registry, const enum api_kind *kinds,
                         size_t count, const struct source_sink *sink, struct err *err);
void registry_source_close(struct registry_source *source);

/* Tells what happened since the last call, then calls settled, once, if anything did. For the owner to call
 * when registry_on_news says so, but not from within it. */
void registry_source_pull(struct registry_source *source);
/* Of the kinds asked for. Nothing in the registry is ever refused. */
const struct source_status *registry_source_status(const struct registry_source *source);
