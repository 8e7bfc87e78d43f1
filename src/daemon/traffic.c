/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/traffic.h"

#include "base/cleanup.h"
#include "daemon/exposition.h"
#include "forwarding/endpoint_counts.h"

#include <string.h>
#include <time.h>

#define NS_PER_MS 1000000U

struct traffic_count {
    struct traffic *traffic;
    struct flows flows;
    struct places *places;
    struct connections connections;
    uint64_t spent_ns;
    bool has_poll;
    uv_poll_t poll;
};

void traffic_init(struct traffic *traffic, uv_loop_t *loop, const struct sync *sync,
                  const struct interface_addresses *interfaces)
{
    *traffic = (struct traffic){.loop = loop, .sync = sync, .interfaces = interfaces};
}

static void on_closed(uv_handle_t *handle)
{
    struct traffic_count *count = handle->data;
    flows_close(&count->flows);
    free(count);
}

static void count_free(struct traffic_count *count)
{
    places_free(count->places);
    connections_done(&count->connections);
    if (count->has_poll) {
        uv_close((uv_handle_t *)&count->poll, on_closed);
        return;
    }
    flows_close(&count->flows);
    free(count);
}

void traffic_done(struct traffic *traffic)
{
    if (traffic->count)
        count_free(steal_pointer(&traffic->count));
    connections_done(&traffic->result);
}

static void on_flow(void *context, const struct flow *flow)
{
    struct traffic_count *count = context;
    const struct sync *sync = count->traffic->sync;
    const struct connections_facts facts = {
        .claims = &sync->claims, .node = &sync->node.dataplane, .places = count->places};
    const struct dataplane *dataplane = sync->dataplane;
    struct flow carried = *flow;
    if (dataplane->ops->find_endpoint && !dataplane->ops->find_endpoint(dataplane, flow, &carried.answerer))
        return;
    connections_add(&count->connections, &facts, &carried);
}

/* code: as flows_read has it, or 1 for a list that is cut. */
static void count_end(struct traffic_count *count, int code, const struct err *err)
{
    struct traffic *traffic = count->traffic;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    bool was_failing = traffic->has_ended && !traffic->has_result;
    connections_done(&traffic->result);
    traffic->has_result = code >= 0;
    traffic->has_ended = true;
    traffic->is_cut = code > 0;
    traffic->ended_ms = uv_now(traffic->loop);
    traffic->ended_at_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    traffic->entries = count->flows.entries;
    traffic->took_s = (double)count->spent_ns / 1e9;
    traffic->failures += code < 0;
    if (code < 0 && !was_failing && traffic->report)
        traffic->report(traffic->context, err->text);
    if (code >= 0) {
        traffic->result = count->connections;
        count->connections = (struct connections){0};
        connections_sort(&traffic->result, traffic->sync->store->names);
    }
    traffic->count = NULL;
    count_free(count);
}

/* Reads for so long; false when the count has ended by it, and is gone. */
static bool count_go_on(struct traffic_count *count, uint64_t budget_ns)
{
    uint64_t began_ns = uv_hrtime(), spent_ns = 0;
    struct err err;
    int code = 1;
    while (code > 0 && spent_ns < budget_ns && count->flows.entries < TRAFFIC_ENTRIES_MAX) {
        code = flows_read(&count->flows, on_flow, count, &err);
        spent_ns = uv_hrtime() - began_ns;
    }
    count->spent_ns += spent_ns;
    if (code > 0 && count->flows.entries < TRAFFIC_ENTRIES_MAX)
        return true;
    count_end(count, code, &err);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct traffic_count *count = poll->data;
    struct err err;
    if (status >= 0)
        count_go_on(count, TRAFFIC_PIECE_MS * NS_PER_MS);
    else
        count_end(count, err_set(&err, -status, "cannot wait for conntrack: %s", uv_strerror(status)), &err);
}

static void count_begin(struct traffic *traffic)
{
    const struct sync *sync = traffic->sync;
    struct traffic_count *count = xcalloc(1, sizeof(*count));
    uint64_t began_ns = uv_hrtime();
    struct err err;
    count->traffic = traffic;
    connections_init(&count->connections);
    traffic->count = count;
    int code = flows_open(&count->flows, &err);
    if (code == 0)
        count->places = places_new(&sync->node.view, traffic->interfaces->list, traffic->interfaces->count);
    count->spent_ns = uv_hrtime() - began_ns;
    if (code < 0) {
        count_end(count, code, &err);
        return;
    }
    if (!count_go_on(count, TRAFFIC_PAGE_MS * NS_PER_MS))
        return;
    code = uv_poll_init(traffic->loop, &count->poll, count->flows.fd);
    if (code < 0) {
        count_end(count, err_set(&err, -code, "cannot wait for conntrack: %s", uv_strerror(code)), &err);
        return;
    }
    count->has_poll = true;
    count->poll.data = count;
    uv_poll_start(&count->poll, UV_READABLE, on_readable);
}

/* Begins a count if it is time; whether there is one to tell of. */
static bool refresh(struct traffic *traffic)
{
    bool is_fresh = traffic->has_ended && uv_now(traffic->loop) - traffic->ended_ms < TRAFFIC_KEEP_MS;
    if (!traffic->count && !is_fresh)
        count_begin(traffic);
    return traffic->has_result && uv_now(traffic->loop) - traffic->ended_ms < TRAFFIC_STALE_MS;
}

static void single(struct text *text, const char *name, const char *type, const char *help, double value)
{
    const struct text no_labels = {0};
    exposition_family(text, name, type, help);
    exposition_sample(text, name, &no_labels, value);
}

static void add_zones(const struct traffic *traffic, const struct connection_pair *pair, struct text *labels)
{
    const struct intern *names = traffic->sync->store->names;
    exposition_label(labels, "source_zone", intern_text(names, pair->key.source_zone));
    exposition_label(labels, "destination_zone", intern_text(names, pair->key.destination_zone));
}

/* All three, whatever their numbers: a ratio of what is not there would be nothing at all. */
static void add_localities(const struct traffic *traffic, struct text *text)
{
    static const char *const names[LOCALITY_COUNT] = {
        [LOCALITY_SAME_ZONE] = "same_zone",
        [LOCALITY_CROSS_ZONE] = "cross_zone",
        [LOCALITY_UNKNOWN_ZONE] = "unknown_zone",
    };
    exposition_family(text, "fairlead_connections_by_locality", "gauge",
                      "The same connections by whether they cross zones.");
    for (int i = 0; i < LOCALITY_COUNT; i++) {
        struct text labels = {0};
        exposition_label(&labels, "locality", names[i]);
        exposition_sample(text, "fairlead_connections_by_locality", &labels,
                          (double)traffic->result.by_locality[i]);
        text_done(&labels);
    }
}

void traffic_format(struct traffic *traffic, struct text *text)
{
    bool has_result = refresh(traffic);
    single(text, "fairlead_connections_count_failures_total", "counter", "Counts of connections that failed.",
           (double)traffic->failures);
    if (!has_result)
        return;
    exposition_family(text, "fairlead_connections", "gauge",
                      "Connections in conntrack that this node's Services carry, by zone; an empty zone is "
                      "unknown.");
    for (const struct connection_pair *pair = traffic->result.by_zone; pair; pair = pair->hh.next) {
        struct text labels = {0};
        add_zones(traffic, pair, &labels);
        exposition_sample(text, "fairlead_connections", &labels, (double)pair->count);
        text_done(&labels);
    }
    add_localities(traffic, text);
    single(text, "fairlead_connections_left_out", "gauge",
           "Connections of pairs of zones that are not told, since there are too many.",
           (double)traffic->result.left_out);
    single(text, "fairlead_connections_cut", "gauge",
           "1 where conntrack has more entries than are read, so that the counts are too low.",
           traffic->is_cut);
    single(text, "fairlead_connections_entries_read", "gauge",
           "Entries of conntrack that the last count has read.", (double)traffic->entries);
    single(text, "fairlead_connections_count_seconds", "gauge",
           "Time that the last count took of the event loop.", traffic->took_s);
    single(text, "fairlead_connections_count_timestamp_seconds", "gauge",
           "When the last count ended, since 1970.", traffic->ended_at_s);
}

/* namespace and service of "namespace/name". */
static void add_service(const char *key, struct text *labels)
{
    const char *slash = strchr(key, '/');
    cleanup_free char *namespace = strndup(key, slash ? (size_t)(slash - key) : 0);
    exposition_label(labels, "namespace", namespace ? namespace : "");
    exposition_label(labels, "service", slash ? slash + 1 : key);
}

static void add_connections(const struct traffic *traffic, struct text *text)
{
    exposition_family(
        text, "fairlead_service_connections", "gauge",
        "Connections in conntrack that the Service carries on this node, by zone; an empty zone "
        "is unknown.");
    for (const struct connection_pair *pair = traffic->result.by_service; pair; pair = pair->hh.next) {
        struct text labels = {0};
        add_service(intern_text(traffic->result.services, pair->key.service), &labels);
        add_zones(traffic, pair, &labels);
        exposition_sample(text, "fairlead_service_connections", &labels, (double)pair->count);
        text_done(&labels);
    }
    single(text, "fairlead_service_connections_left_out", "gauge",
           "Connections of Services and pairs of zones that are not told, since there are too many.",
           (double)traffic->result.left_out_of_services);
}

static void add_endpoints(const char *key, enum family family, const struct endpoint_counts *counts,
                          struct text *text)
{
    const struct {
        const char *state;
        uint32_t count;
    } rows[] = {
        {"all", counts->all},         {"ready", counts->ready},
        {"serving", counts->serving}, {"terminating", counts->terminating},
        {"local", counts->local},     {"used", counts->used},
    };
    struct text labels = {0};
    add_service(key, &labels);
    exposition_label(&labels, "ip_family", family_name(family));
    text_add(&labels, ",state=\"");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        text_printf(text, "fairlead_service_endpoints{%s%s\"} %u\n", labels.data, rows[i].state,
                    rows[i].count);
    text_done(&labels);
}

static bool has_family(const struct entry *entry, enum family family)
{
    for (uint32_t i = 0; i < entry->cluster_ip_count; i++)
        if (address_family(&entry->cluster_ips[i]) == family)
            return true;
    return false;
}

void traffic_format_services(struct traffic *traffic, struct text *text)
{
    const struct sync *sync = traffic->sync;
    struct arena scratch;
    bool has_result = refresh(traffic);
    arena_init(&scratch);
    exposition_family(text, "fairlead_service_endpoints", "gauge",
                      "Endpoint addresses of the Service; used: where this node may send a new connection.");
    for (const struct service_record *record = sync->store->services; record; record = record->hh.next) {
        for (int family = 0; record->entry && family < FAMILY_COUNT; family++) {
            if (!has_family(record->entry, (enum family)family))
                continue;
            arena_reset(&scratch);
            struct endpoint_counts counts =
                endpoint_counts_of(record->slices, record->slice_count, record->entry, (enum family)family,
                                   &sync->node.view, &scratch);
            add_endpoints(record->key, (enum family)family, &counts, text);
        }
    }
    arena_done(&scratch);
    if (has_result)
        add_connections(traffic, text);
}
