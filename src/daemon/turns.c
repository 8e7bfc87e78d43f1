/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/turns.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/announce.h"
#include "daemon/daemon.h"
#include "daemon/takeover.h"
#include "dataplane/conntrack.h"

#include <errno.h>
#include <string.h>

#define DISTURBED_AGAIN_DELAY_MS 500
#define DISTURBED_DELAY_MS 50 /* lets a foreign `nft flush ruleset` finish before the repair */
#define WITHDRAWAL_MS 10000   /* a service manager has not much more patience than that */

/* Where a family's health-check servers listen: everywhere, or on the addresses that node ports answer on. */
static uint32_t listen_addresses(const struct node_facts *node, enum family family, struct address *ret)
{
    uint32_t count = 0;
    if (node->is_every_address[family]) {
        ret[0] = (struct address){0};
        if (family == FAMILY_IPV4)
            address_parse("0.0.0.0", &ret[0], NULL);
        return 1;
    }
    for (uint32_t i = 0; i < node->dataplane.node_port_address_count; i++)
        if (address_family(&node->dataplane.node_port_addresses[i]) == family)
            ret[count++] = node->dataplane.node_port_addresses[i];
    return count;
}

/* The health-check node-port servers. Only called when a service that has one changed. */
static void publish_service_health(struct daemon *daemon)
{
    const struct node_facts *node = &daemon->sync.node;
    cleanup_free struct address *addresses =
        xcalloc((node->dataplane.node_port_address_count + 1) * FAMILY_COUNT, sizeof(*addresses));
    uint32_t v4_count = listen_addresses(node, FAMILY_IPV4, addresses);
    uint32_t v6_count = listen_addresses(node, FAMILY_IPV6, addresses + v4_count);
    size_t most = HASH_COUNT(daemon->store->services) * FAMILY_COUNT, count = 0;
    cleanup_free struct service_health_want *wants = xcalloc(most, sizeof(*wants));
    for (const struct service_record *record = daemon->store->services; record; record = record->hh.next) {
        const struct entry *entry = record->is_planned ? record->planned : record->entry;
        for (uint32_t i = 0; entry && entry->health_check_node_port && i < entry->cluster_ip_count; i++) {
            enum family family = address_family(&entry->cluster_ips[i]);
            wants[count++] = (struct service_health_want){
                .namespace = record->service->namespace_,
                .name = record->service->name,
                .family = family,
                .port = entry->health_check_node_port,
                .local_endpoints = entry->local_endpoint_count[family],
                .addresses = family == FAMILY_IPV4 ? addresses : addresses + v4_count,
                .address_count = family == FAMILY_IPV4 ? v4_count : v6_count,
            };
        }
    }
    service_health_sync(daemon->service_health, wants, count);
}

static void on_applied(void *context, const struct dataplane_change *changes, size_t count)
{
    struct daemon *daemon = context;
    bool has_health_check = false;
    struct conntrack_result conntrack = {0};
    struct err err;
    for (size_t i = 0; i < count; i++)
        has_health_check |= (changes[i].old && changes[i].old->health_check_node_port) ||
                            (changes[i].next && changes[i].next->health_check_node_port);
    if (has_health_check)
        publish_service_health(daemon);
    struct health_time before = web_now();
    if (conntrack_reconcile(daemon->sync.dataplane, changes, count, &daemon->sync.node.dataplane, &conntrack,
                            &err) < 0)
        log_warning("stale UDP flows may remain: %s", err.text);
    double seconds = (double)(web_now().monotonic_ns - before.monotonic_ns) / 1e9;
    for (int family = 0; conntrack.was_needed && family < FAMILY_COUNT; family++) {
        histogram_observe(&daemon->metrics.conntrack_sync_duration[family], seconds);
        daemon->metrics.conntrack_deleted_entries_total[family] += conntrack.deleted[family];
    }
}

/* From the change that the controller saw to the kernel's commit (SLI of the network-programming latency).
 * Changes from before this process are not its doing. Where the controller's clock is ahead of ours it was no
 * time at all. */
static void record_programming_latency(struct daemon *daemon, int64_t now_ns)
{
    struct store *store = daemon->store;
    for (uint32_t i = 0; i < store->trigger_count; i++) {
        const struct slice_trigger *trigger = &store->triggers[i];
        int64_t took_ns = now_ns - (int64_t)trigger->time_ns;
        if ((int64_t)trigger->time_ns > daemon->started_ns)
            histogram_observe(&daemon->metrics.network_programming_duration[trigger->family],
                              took_ns > 0 ? (double)took_ns / 1e9 : 0);
    }
    store_forget_triggers(store);
}

static void record_turn(struct daemon *daemon, const struct sync_result *result, struct health_time began)
{
    struct metrics *metrics = &daemon->metrics;
    struct health_time now = web_now();
    double seconds = (double)(now.monotonic_ns - began.monotonic_ns) / 1e9;
    record_programming_latency(daemon, now.wall_ns);
    metrics->turns_total = daemon->sync.turns;
    histogram_observe(&metrics->turn_duration, seconds);
    metrics->frontend_conflicts = daemon->sync.claims.shadowed;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        histogram_observe(&metrics->sync_duration[family], seconds);
        histogram_observe(result->was_full ? &metrics->sync_full_duration[family]
                                           : &metrics->sync_partial_duration[family],
                          seconds);
        metrics->sync_last_timestamp_s[family] = (double)now.wall_ns / 1e9;
        memcpy(metrics->no_local_endpoints[family], daemon->sync.empty_locals[family],
               sizeof(metrics->no_local_endpoints[family]));
    }
    log_debug("turn %llu: %u services, %u elements in, %u out, %u transactions, %.3f ms%s",
              (unsigned long long)daemon->sync.turns, result->changed, result->dataplane.element_adds,
              result->dataplane.element_deletes, result->dataplane.transactions, seconds * 1e3,
              result->was_full ? ", everything" : "");
}

static void on_retry(uv_timer_t *timer);
static void on_collect(uv_timer_t *timer);
static void on_disturbed(uv_poll_t *poll, int status, int events);

/* Somebody who goes on disturbing gets an answer twice a second, not at every stroke. */
static void repair_soon(struct daemon *daemon)
{
    uint64_t now_ms = uv_now(&daemon->loop);
    bool is_repeated = daemon->repaired_ms && now_ms - daemon->repaired_ms < 1000;
    daemon->repaired_ms = now_ms;
    daemon->sync.needs_load = true;
    uv_timer_start(&daemon->retry, on_retry, is_repeated ? DISTURBED_AGAIN_DELAY_MS : DISTURBED_DELAY_MS, 0);
}

static void say_disturbed(struct daemon *daemon)
{
    log_warning("somebody else changed fairlead's rules: they are compared and repaired");
    repair_soon(daemon);
}

/* The dataplane makes the descriptor with its first load. */
static void watch_disturbance(struct daemon *daemon)
{
    int fd = daemon->dataplane->ops->watch_fd(daemon->dataplane);
    if (fd < 0 || daemon->disturbance.data)
        return;
    uv_poll_init(&daemon->loop, &daemon->disturbance, fd);
    daemon->disturbance.data = daemon;
    uv_poll_start(&daemon->disturbance, UV_READABLE, on_disturbed);
}

void turns_announce(const struct daemon *daemon)
{
    announce(NOTIFY_READY, "node %s: %u services are programmed%s", daemon->options.node_name,
             HASH_COUNT(daemon->store->services), daemon->is_failing ? ", the last change is not" : "");
}

/* kube-proxy does not start before its Node has them. */
static void warn_of_missing_pod_cidrs(const struct daemon *daemon)
{
    const bool *has = daemon->sync.node.view.has_cluster_cidr;
    if (daemon->options.is_node_cidr && !has[FAMILY_IPV4] && !has[FAMILY_IPV6])
        log_warning(
            "detectLocalMode NodeCIDR: Node %s has no podCIDRs yet, until it has no source counts as a pod's",
            daemon->options.node_name);
}

/* kube-proxy waits for it at its start, says so after 30 s, and goes on. */
static void note_node(struct daemon *daemon)
{
    bool was_missed = daemon->misses_node;
    daemon->misses_node = daemon->options.role == ROLE_PROXY && daemon->sync.is_programmed &&
                          !store_node_find(daemon->store, daemon->options.node_name);
    if (daemon->misses_node && !was_missed)
        log_warning(
            "the apiserver has no Node %s: its zone and addresses are not known, and /healthz says 503",
            daemon->options.node_name);
    else if (was_missed && !daemon->misses_node)
        log_info("the apiserver has Node %s now", daemon->options.node_name);
}

static void report_failure(struct daemon *daemon, const struct err *err)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        daemon->metrics.nftables_sync_failures_total[family]++;
    unsigned delay_ms = sync_retry_delay_ms(&daemon->sync);
    announce(NOTIFY_STATUS, "%s", err->text);
    daemon->is_failing = true;
    log_error("%s; everything is tried again in %u ms, what was in force stays in force", err->text,
              delay_ms);
    uv_timer_start(&daemon->retry, on_retry, delay_ms, 0);
}

static void report_programmed(struct daemon *daemon, const struct sync_result *result)
{
    bool is_first = daemon->sync.turns == 1, was_failing = daemon->is_failing;
    record_turn(daemon, result, daemon->turn.began);
    watch_disturbance(daemon);
    if (result->dataplane.was_disturbed)
        repair_soon(daemon);
    if (is_first) {
        log_info("node %s: %u services are programmed, %u elements written", daemon->options.node_name,
                 HASH_COUNT(daemon->store->services), result->dataplane.element_adds);
        warn_of_missing_pod_cidrs(daemon);
        takeover_begin(daemon);
    }
    daemon->is_failing = false;
    if (is_first || was_failing)
        turns_announce(daemon);
    int delay_ms = daemon->dataplane->ops->collect_delay_ms(daemon->dataplane);
    if (delay_ms >= 0 && !uv_is_active((uv_handle_t *)&daemon->collector))
        uv_timer_start(&daemon->collector, on_collect, (uint64_t)delay_ms, 0);
}

/* A turn is over: at once, or when the dataplane says so. */
static void conclude(struct daemon *daemon, int code, const struct sync_result *result, const struct err *err)
{
    if (code < 0) {
        report_failure(daemon, err);
        return;
    }
    for (int family = 0; family < FAMILY_COUNT && daemon->sync.is_programmed; family++)
        health_updated(&daemon->health, (enum family)family, web_now());
    if (daemon->sync.is_programmed) {
        daemon->programmed_services = daemon->turn.service_changes;
        daemon->programmed_slices = daemon->turn.endpoint_changes;
    }
    note_node(daemon);
    if (result->did_program)
        report_programmed(daemon, result);
}

static void turn(struct daemon *daemon)
{
    struct sync_result result;
    struct err err;
    if (daemon->sync.is_under_way)
        return;
    daemon->turn.began = web_now();
    daemon->turn.service_changes = daemon->store->service_changes;
    daemon->turn.endpoint_changes = daemon->store->endpoint_changes;
    int code = sync_turn(&daemon->sync, &result, &err);
    if (code < 0 || daemon->sync.is_under_way || result.did_program)
        pace_note(&daemon->pace, uv_now(&daemon->loop));
    daemon->health.is_node_eligible = daemon->sync.node.is_eligible;
    if (!daemon->sync.is_under_way)
        conclude(daemon, code, &result, &err);
}

static void on_paced(uv_timer_t *timer)
{
    turn(timer->data);
}

/* A dataplane that writes by programs goes through much for each write, so that what comes within
 * minSyncPeriod waits for one another, as in kube-proxy. Where a write is a transaction of our own it does
 * not: it costs what has changed. */
static void turn_at_pace(struct daemon *daemon)
{
    unsigned min_ms = daemon->mode->starts_programs ? daemon->options.min_sync_period_ms : 0;
    uint64_t delay_ms = pace_delay_ms(&daemon->pace, uv_now(&daemon->loop), min_ms);
    if (delay_ms == 0)
        turn(daemon);
    else if (!uv_is_active((uv_handle_t *)&daemon->paced))
        uv_timer_start(&daemon->paced, on_paced, delay_ms, 0);
}

void turns_on_finished(void *context, int code, const struct dataplane_result *dataplane,
                       const struct err *err)
{
    struct daemon *daemon = context;
    struct sync_result result;
    if (daemon->is_withdrawing) {
        daemon->is_withdrawing = false;
        if (code < 0)
            log_warning("rules that lead to this process stay: %s", err->text);
        return;
    }
    conclude(daemon, sync_finish(&daemon->sync, code, dataplane, &result), &result, err);
    if (code == 0 && !daemon->is_ending)
        turn_at_pace(daemon); /* what came in meanwhile */
}

void turns_finish(struct daemon *daemon)
{
    while (daemon->sync.is_under_way)
        uv_run(&daemon->loop, UV_RUN_ONCE);
}

static void on_withdrawal_late(uv_timer_t *timer)
{
    log_warning("rules that lead to this process stay: their removal takes too long");
    ((struct daemon *)timer->data)->is_withdrawing = false;
}

void turns_withdraw(struct daemon *daemon)
{
    struct dataplane_result result;
    struct err err;
    if (!daemon->dataplane || !daemon->dataplane->ops->withdraw)
        return;
    uv_timer_stop(&daemon->paced);
    uv_timer_stop(&daemon->retry);
    uv_timer_init(&daemon->loop, &daemon->withdrawal);
    daemon->withdrawal.data = daemon;
    uv_timer_start(&daemon->withdrawal, on_withdrawal_late, WITHDRAWAL_MS, 0);
    daemon->is_withdrawing = true;
    int code = daemon->dataplane->ops->withdraw(daemon->dataplane, &result, &err);
    while (code == -EINPROGRESS && daemon->is_withdrawing)
        uv_run(&daemon->loop, UV_RUN_ONCE);
    if (code < 0 && code != -EINPROGRESS)
        log_warning("rules that lead to this process stay: %s", err.text);
    uv_timer_stop(&daemon->withdrawal);
}

static void note_queued(struct daemon *daemon)
{
    struct health_time now = web_now();
    for (int family = 0; family < FAMILY_COUNT; family++) {
        daemon->metrics.sync_last_queued_timestamp_s[family] = (double)now.wall_ns / 1e9;
        health_queued(&daemon->health, (enum family)family, now);
    }
}

void turns_take(struct daemon *daemon)
{
    /* Nothing can be late before there is anything to program. */
    if (!daemon->sync.is_source_synced)
        return;
    note_queued(daemon);
    turn_at_pace(daemon);
}

static void on_retry(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_collect(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    const struct dataplane_ops *ops = daemon->dataplane->ops;
    struct dataplane_result result;
    struct err err;
    if (ops->collect(daemon->dataplane, &result, &err) < 0) {
        log_error("%s; everything is written again", err.text);
        for (int family = 0; family < FAMILY_COUNT; family++)
            daemon->metrics.nftables_cleanup_failures_total[family]++;
        daemon->sync.needs_load = true;
        turn(daemon);
        return;
    }
    if (result.was_disturbed)
        say_disturbed(daemon);
    int delay_ms = ops->collect_delay_ms(daemon->dataplane);
    if (delay_ms >= 0)
        uv_timer_start(timer, on_collect, (uint64_t)delay_ms, 0);
}

static void on_disturbed(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct daemon *daemon = poll->data;
    if (!daemon->dataplane->ops->is_disturbed(daemon->dataplane) || daemon->sync.needs_load)
        return;
    say_disturbed(daemon);
}

void turns_on_interfaces(void *context)
{
    struct daemon *daemon = context;
    struct interface_addresses fresh;
    struct err err;
    if (interface_addresses_read(&fresh, &err) < 0) {
        log_warning("%s; node ports stay on the addresses known so far", err.text);
        return;
    }
    free(daemon->interfaces.list);
    daemon->interfaces = fresh;
    turns_take(daemon);
}

static void on_report(void *context, const char *sentence)
{
    (void)context;
    log_warning("%s", sentence);
}

void turns_init(struct daemon *daemon)
{
    sync_init(&daemon->sync, daemon->store, daemon->dataplane, &daemon->options, &daemon->interfaces);
    /* As kube-proxy's SyncLoop: from here on a family is known, and a first programming that goes on failing
     * makes it unhealthy. The Node is not known yet. */
    for (int family = 0; family < FAMILY_COUNT; family++)
        health_updated(&daemon->health, (enum family)family, web_now());
    daemon->health.is_node_eligible = daemon->sync.node.is_eligible;
    daemon->sync.report = on_report;
    daemon->sync.applied = on_applied;
    daemon->sync.context = daemon;
    uv_timer_init(&daemon->loop, &daemon->retry);
    uv_timer_init(&daemon->loop, &daemon->collector);
    uv_timer_init(&daemon->loop, &daemon->paced);
    daemon->paced.data = daemon->retry.data = daemon->collector.data = daemon;
}
