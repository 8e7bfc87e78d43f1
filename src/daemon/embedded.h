/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/apiserver.h"
#include "apiserver/applier.h"
#include "daemon/options.h"
#include "source/registry.h"
#include "sys/pki.h"

/* The embedded API server as the daemon has it: the data folder, the registry in it, the allocator made anew
 * from what is stored, the objects that every cluster has, and the server itself. Folder and API both write
 * to the registry; the registry's own watch is what the sink hears. */

struct embedded {
    uv_loop_t *loop;
    uv_async_t news;
    bool has_news_handle;
    struct registry *registry;
    struct allocator *allocator;
    struct world world;
    struct pki pki;
    struct apiserver *server;
    struct registry_source *source;
    struct applier *applier;
    struct source_sink sink;
};

/* Opens everything but the folder: when this returns the sink has heard of every object. -errno and a
 * sentence. */
int embedded_open(struct embedded *embedded, uv_loop_t *loop, const struct options *options,
                  const struct source_sink *sink, struct err *err);
/* Where the folder's objects go, as written; finish after the first listing, which is one batch. */
struct source_sink embedded_begin_listing(struct embedded *embedded);
int embedded_finish_listing(struct embedded *embedded, struct err *err);
/* Ends serving; then, when the loop has turned for the last time, done ends the rest. Both are safe on a
 * zeroed one and on a half-opened one. */
void embedded_close(struct embedded *embedded);
void embedded_done(struct embedded *embedded);
