/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "daemon/daemon.h"
#include "daemon/sources.h"
#include "forwarding/describe.h"
#include "forwarding/explain.h"

#include <errno.h>
#include <string.h>

typedef int tool_fn(struct daemon *daemon, int argc, char *const *argv, struct text *reply, struct err *err);

static int status(struct daemon *daemon, int argc, char *const *argv, struct text *reply, struct err *err)
{
    (void)argv;
    const struct source_status *source = sources_status(daemon);
    const struct sync *sync = &daemon->sync;
    if (argc > 0)
        return err_set(err, EINVAL, "status takes no arguments");
    text_printf(reply, "node: %s%s\nzone: %s\nmode: %s\nmanifests: %s\n", daemon->options.node_name,
                daemon->misses_node ? " (the apiserver has no Node of this name)" : "",
                sync->node.view.zone ? intern_text(daemon->store->names, sync->node.view.zone) : "(none)",
                daemon->dataplane->ops->name,
                daemon->options.manifests ? daemon->options.manifests : "(none)");
    if (daemon->cluster)
        text_printf(reply, "apiserver: %s\n", cluster_server(daemon->cluster));
    if (daemon->embedded.server)
        text_printf(reply, "api: %s/admin.kubeconfig, %u watches\n", daemon->options.data_dir,
                    apiserver_counters(daemon->embedded.server).watches);
    text_printf(reply, "generation: %llu\nturn: %llu\n", (unsigned long long)source->generation,
                (unsigned long long)sync->turns);
    for (int kind = 0; kind < API_KIND_COUNT; kind++)
        if (source->objects[kind])
            text_printf(reply, "objects %s: %u\n", api_kind_name((enum api_kind)kind), source->objects[kind]);
    text_printf(reply, "refused: %u\nconflicts: %u\n", source->refused, sync->claims.shadowed);
    bool is_pending =
        !sync->is_programmed || sync->needs_load || sync->is_under_way || daemon->store->dirty_count > 0;
    text_printf(reply, "state: %s\n",
                !sync->is_programmed ? "not programmed yet"
                : sync->failures     ? "the kernel refused the last turn; trying again"
                : is_pending         ? "changes are pending"
                                     : "in sync");
    return is_pending ? err_set(err, EAGAIN, "not in sync") : 0;
}

static struct explain_world world_of(const struct daemon *daemon)
{
    const struct dataplane_node *node = &daemon->sync.node.dataplane;
    return (struct explain_world){
        .store = daemon->store,
        .claims = &daemon->sync.claims,
        .node = &daemon->sync.node.view,
        .node_name = daemon->options.node_name,
        .node_port_addresses = node->node_port_addresses,
        .node_port_address_count = node->node_port_address_count,
        .service_cidrs = node->service_cidrs,
        .service_cidr_count = node->service_cidr_count,
    };
}

static int parse_question(int argc, char *const *argv, struct explain_question *ret, struct err *err)
{
    if (argc != 1 && !(argc == 3 && strcmp(argv[1], "--from") == 0))
        return err_set(err, EINVAL, "what is wanted is ADDRESS:PORT[/PROTOCOL] [--from ADDRESS]");
    int code = explain_parse(argv[0], ret, err);
    if (code < 0 || argc == 1)
        return code;
    ret->has_from = true;
    code = address_parse(argv[2], &ret->from, err);
    if (code < 0)
        return err_prefix(err, code, "--from");
    if (address_family(&ret->from) != address_family(&ret->address))
        return err_set(err, EINVAL, "--from: %s and %s are not of one family", argv[2], argv[0]);
    return 0;
}

static int explain(struct daemon *daemon, int argc, char *const *argv, struct text *reply, struct err *err)
{
    struct explain_question question;
    struct explain_answer answer;
    int code = parse_question(argc, argv, &question, err);
    if (code < 0)
        return code;
    const struct explain_world world = world_of(daemon);
    explain_write(&world, &question, reply, &answer);
    if (!answer.frontend)
        return 0;
    text_add(reply, "kernel:\n");
    code = daemon->dataplane->ops->inspect(daemon->dataplane, &daemon->sync.node.dataplane,
                                           answer.record->entry, answer.frontend,
                                           question.has_from ? &question.from : NULL, reply, err);
    if (code < 0)
        return code;
    text_add(reply, code == 0 ? "  it agrees\n" : "  it does NOT agree; fairlead repairs what it notices\n");
    return 0;
}

static void dump_store(const struct daemon *daemon, struct text *reply)
{
    const struct store *store = daemon->store;
    for (const struct service_record *record = store->services; record; record = record->hh.next) {
        text_printf(reply, "service %s%s", record->key, record->service ? "" : " (no Service object)");
        if (record->service && !record->service->is_proxied)
            text_printf(reply, " (not served: %s)", record->service->not_proxied_because);
        text_add(reply, "\n");
        for (uint32_t i = 0; i < record->slice_count; i++)
            text_printf(reply, "  slice %s: %s, %u endpoints, %u ports\n", record->slices[i]->name,
                        family_name(record->slices[i]->family), record->slices[i]->endpoint_count,
                        record->slices[i]->port_count);
    }
    for (const struct node_record *record = store->nodes; record; record = record->hh.next)
        text_printf(reply, "node %s: zone %s, %u addresses\n", record->node->name,
                    record->node->zone ? intern_text(store->names, record->node->zone) : "(none)",
                    record->node->address_count);
    for (const struct service_cidr_record *record = store->service_cidrs; record; record = record->hh.next)
        text_printf(reply, "service CIDR %s: %u ranges\n", record->service_cidr->name,
                    record->service_cidr->cidr_count);
}

static void dump_forwarding(const struct daemon *daemon, struct text *reply)
{
    for (const struct service_record *record = daemon->store->services; record; record = record->hh.next)
        if (record->entry)
            describe_entry(record->entry, reply);
}

static void dump_dataplane(const struct daemon *daemon, struct text *reply)
{
    size_t count;
    cleanup_free const struct entry **entries = sync_entries(&daemon->sync, &count);
    daemon->dataplane->ops->render(&daemon->sync.node.dataplane, entries, count, reply);
}

static int dump(struct daemon *daemon, int argc, char *const *argv, struct text *reply, struct err *err)
{
    static const struct {
        const char *name;
        void (*write)(const struct daemon *daemon, struct text *reply);
    } parts[] = {{"store", dump_store}, {"forwarding", dump_forwarding}, {"dataplane", dump_dataplane}};
    bool is_known = argc == 0;
    if (argc > 1)
        return err_set(err, EINVAL, "dump takes one part at most: store, forwarding or dataplane");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (argc == 1 && strcmp(argv[0], parts[i].name) != 0)
            continue;
        is_known = true;
        if (argc == 0)
            text_printf(reply, "# %s\n", parts[i].name);
        parts[i].write(daemon, reply);
    }
    return is_known ? 0
                    : err_set(err, EINVAL, "\"%.32s\" is not a part: store, forwarding and dataplane are",
                              argv[0]);
}

static const struct {
    const char *name;
    tool_fn *answer;
} tools[] = {
    {"status", status},
    {"explain", explain},
    {"dump", dump},
};

int tools_answer(void *context, int argc, char *const *argv, struct text *reply, struct err *err)
{
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
        if (strcmp(tools[i].name, argv[0]) == 0)
            return tools[i].answer(context, argc - 1, argv + 1, reply, err);
    return err_set(err, EINVAL, "\"%.64s\" is not something that this daemon answers", argv[0]);
}
