/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/standalone.h"

#include <errno.h>
#include <string.h>

typedef int tool_fn(struct standalone *standalone, int argc, char *const *argv, struct text *reply,
                    struct err *err);

static int status(struct standalone *standalone, int argc, char *const *argv, struct text *reply,
                  struct err *err)
{
    (void)argv;
    const struct source_status *source = manifests_status(standalone->manifests);
    const struct sync *sync = &standalone->sync;
    if (argc > 0)
        return err_set(err, EINVAL, "status takes no arguments");
    text_printf(reply, "node: %s\nzone: %s\nmode: %s\nmanifests: %s\n", standalone->options.node_name,
                sync->node.view.zone ? intern_text(standalone->store->names, sync->node.view.zone) : "(none)",
                standalone->dataplane->ops->name, standalone->options.manifests);
    text_printf(reply, "generation: %llu\nturn: %llu\n", (unsigned long long)source->generation,
                (unsigned long long)sync->turns);
    for (int kind = 0; kind < API_KIND_COUNT; kind++)
        if (source->objects[kind])
            text_printf(reply, "objects %s: %u\n", api_kind_name((enum api_kind)kind), source->objects[kind]);
    text_printf(reply, "refused: %u\nconflicts: %u\n", source->refused, sync->claims.shadowed);
    bool is_pending = !sync->is_programmed || sync->needs_load || standalone->store->dirty_count > 0 ||
                      uv_is_active((const uv_handle_t *)&standalone->turn);
    text_printf(reply, "state: %s\n",
                !sync->is_programmed ? "not programmed yet"
                : sync->failures     ? "the kernel refused the last turn; trying again"
                : is_pending         ? "changes are pending"
                                     : "in sync");
    return is_pending ? err_set(err, EAGAIN, "not in sync") : 0;
}

static const struct {
    const char *name;
    tool_fn *answer;
} tools[] = {
    {"status", status},
};

int tools_answer(void *context, int argc, char *const *argv, struct text *reply, struct err *err)
{
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
        if (strcmp(tools[i].name, argv[0]) == 0)
            return tools[i].answer(context, argc - 1, argv + 1, reply, err);
    return err_set(err, EINVAL, "\"%.64s\" is not something that this daemon answers", argv[0]);
}
