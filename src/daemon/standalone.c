/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/standalone.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/commands.h"
#include "dataplane/conntrack.h"
#include "forwarding/describe.h"
#include "store/convert.h"
#include "sys/single.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DISTURBED_AGAIN_DELAY_MS 500
#define DISTURBED_DELAY_MS 50 /* lets a foreign `nft flush ruleset` finish before the repair */

static void end(struct standalone *standalone, int exit_status)
{
    standalone->exit_status = exit_status;
    standalone->is_ending = true;
    uv_stop(&standalone->loop);
}

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
static void publish_service_health(struct standalone *standalone)
{
    const struct node_facts *node = &standalone->sync.node;
    cleanup_free struct address *addresses =
        xcalloc((node->dataplane.node_port_address_count + 1) * FAMILY_COUNT, sizeof(*addresses));
    uint32_t v4_count = listen_addresses(node, FAMILY_IPV4, addresses);
    uint32_t v6_count = listen_addresses(node, FAMILY_IPV6, addresses + v4_count);
    size_t most = HASH_COUNT(standalone->store->services) * FAMILY_COUNT, count = 0;
    cleanup_free struct service_health_want *wants = xcalloc(most, sizeof(*wants));
    for (const struct service_record *record = standalone->store->services; record;
         record = record->hh.next) {
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
    service_health_sync(standalone->service_health, wants, count);
}

static void on_applied(void *context, const struct dataplane_change *changes, size_t count)
{
    struct standalone *standalone = context;
    bool has_health_check = false;
    struct conntrack_result conntrack = {0};
    struct err err;
    for (size_t i = 0; i < count; i++)
        has_health_check |= (changes[i].old && changes[i].old->health_check_node_port) ||
                            (changes[i].next && changes[i].next->health_check_node_port);
    if (has_health_check)
        publish_service_health(standalone);
    struct health_time before = web_now();
    if (conntrack_reconcile(changes, count, &standalone->sync.node.dataplane, &conntrack, &err) < 0)
        log_warning("stale UDP flows may remain: %s", err.text);
    double seconds = (double)(web_now().monotonic_ns - before.monotonic_ns) / 1e9;
    for (int family = 0; conntrack.was_needed && family < FAMILY_COUNT; family++) {
        metrics_observe(&standalone->metrics.conntrack_sync_duration[family], seconds);
        standalone->metrics.conntrack_deleted_entries_total[family] += conntrack.deleted[family];
    }
}

/* From the change that the controller saw to the kernel's commit (SLI of the network-programming latency).
 * Changes from before this process are not its doing. */
static void record_programming_latency(struct standalone *standalone, int64_t now_ns)
{
    struct store *store = standalone->store;
    for (uint32_t i = 0; i < store->trigger_count; i++) {
        const struct slice_trigger *trigger = &store->triggers[i];
        if ((int64_t)trigger->time_ns >= standalone->started_ns && (int64_t)trigger->time_ns <= now_ns)
            metrics_observe(&standalone->metrics.network_programming_duration[trigger->family],
                            (double)(now_ns - (int64_t)trigger->time_ns) / 1e9);
    }
    store_forget_triggers(store);
}

static void record_turn(struct standalone *standalone, const struct sync_result *result,
                        struct health_time began)
{
    struct metrics *metrics = &standalone->metrics;
    struct health_time now = web_now();
    double seconds = (double)(now.monotonic_ns - began.monotonic_ns) / 1e9;
    record_programming_latency(standalone, now.wall_ns);
    metrics->turns_total = standalone->sync.turns;
    metrics_observe(&metrics->turn_duration, seconds);
    metrics->frontend_conflicts = standalone->sync.claims.shadowed;
    metrics->service_changes_total = standalone->store->service_changes;
    metrics->endpoint_changes_total = standalone->store->endpoint_changes;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        metrics_observe(&metrics->sync_duration[family], seconds);
        metrics_observe(result->was_full ? &metrics->sync_full_duration[family]
                                         : &metrics->sync_partial_duration[family],
                        seconds);
        metrics->sync_last_timestamp_s[family] = (double)now.wall_ns / 1e9;
        memcpy(metrics->no_local_endpoints[family], standalone->sync.empty_locals[family],
               sizeof(metrics->no_local_endpoints[family]));
    }
    log_debug("turn %llu: %u services, %u elements in, %u out, %u transactions, %.3f ms%s",
              (unsigned long long)standalone->sync.turns, result->changed, result->dataplane.element_adds,
              result->dataplane.element_deletes, result->dataplane.transactions, seconds * 1e3,
              result->was_full ? ", everything" : "");
}

static void on_retry(uv_timer_t *timer);
static void on_collect(uv_timer_t *timer);
static void on_disturbed(uv_poll_t *poll, int status, int events);

/* Somebody who goes on disturbing gets an answer twice a second, not at every stroke. */
static void repair_soon(struct standalone *standalone)
{
    uint64_t now_ms = uv_now(&standalone->loop);
    bool is_repeated = standalone->repaired_ms && now_ms - standalone->repaired_ms < 1000;
    standalone->repaired_ms = now_ms;
    standalone->sync.needs_load = true;
    uv_timer_start(&standalone->retry, on_retry, is_repeated ? DISTURBED_AGAIN_DELAY_MS : DISTURBED_DELAY_MS,
                   0);
}

/* The dataplane makes the descriptor with its first load. */
static void watch_disturbance(struct standalone *standalone)
{
    int fd = standalone->dataplane->ops->watch_fd(standalone->dataplane);
    if (fd < 0 || standalone->disturbance.data)
        return;
    uv_poll_init(&standalone->loop, &standalone->disturbance, fd);
    standalone->disturbance.data = standalone;
    uv_poll_start(&standalone->disturbance, UV_READABLE, on_disturbed);
}

static void turn(struct standalone *standalone)
{
    struct sync_result result;
    struct err err;
    bool was_programmed = standalone->sync.is_programmed;
    struct health_time began = web_now();
    int code = sync_turn(&standalone->sync, &result, &err);
    if (code < 0) {
        for (int family = 0; family < FAMILY_COUNT; family++)
            standalone->metrics.nftables_sync_failures_total[family]++;
        unsigned delay_ms = sync_retry_delay_ms(&standalone->sync);
        log_error("%s; everything is tried again in %u ms, what was in force stays in force", err.text,
                  delay_ms);
        uv_timer_start(&standalone->retry, on_retry, delay_ms, 0);
        return;
    }
    for (int family = 0; family < FAMILY_COUNT && standalone->sync.is_programmed; family++)
        health_updated(&standalone->health, (enum family)family, web_now());
    standalone->health.is_node_eligible = standalone->sync.node.is_eligible;
    if (!result.did_program)
        return;
    record_turn(standalone, &result, began);
    watch_disturbance(standalone);
    if (result.dataplane.was_disturbed)
        repair_soon(standalone);
    if (!was_programmed)
        log_info("node %s: %u services are programmed, %u elements written", standalone->options.node_name,
                 HASH_COUNT(standalone->store->services), result.dataplane.element_adds);
    int delay_ms = standalone->dataplane->ops->collect_delay_ms(standalone->dataplane);
    if (delay_ms >= 0 && !uv_is_active((uv_handle_t *)&standalone->collector))
        uv_timer_start(&standalone->collector, on_collect, (uint64_t)delay_ms, 0);
}

static void note_queued(struct standalone *standalone)
{
    struct health_time now = web_now();
    for (int family = 0; family < FAMILY_COUNT; family++) {
        standalone->metrics.sync_last_queued_timestamp_s[family] = (double)now.wall_ns / 1e9;
        health_queued(&standalone->health, (enum family)family, now);
    }
}

static void on_retry(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_collect(uv_timer_t *timer)
{
    struct standalone *standalone = timer->data;
    const struct dataplane_ops *ops = standalone->dataplane->ops;
    struct dataplane_result result;
    struct err err;
    if (ops->collect(standalone->dataplane, &result, &err) < 0) {
        log_error("%s; everything is written again", err.text);
        for (int family = 0; family < FAMILY_COUNT; family++)
            standalone->metrics.nftables_cleanup_failures_total[family]++;
        standalone->sync.needs_load = true;
        turn(standalone);
        return;
    }
    int delay_ms = ops->collect_delay_ms(standalone->dataplane);
    if (delay_ms >= 0)
        uv_timer_start(timer, on_collect, (uint64_t)delay_ms, 0);
}

static void on_disturbed(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct standalone *standalone = poll->data;
    if (!standalone->dataplane->ops->is_disturbed(standalone->dataplane) || standalone->sync.needs_load)
        return;
    log_warning("somebody else changed fairlead's nftables table: it is compared and repaired");
    repair_soon(standalone);
}

static void on_interfaces(void *context)
{
    struct standalone *standalone = context;
    struct interface_addresses fresh;
    struct err err;
    if (interface_addresses_read(&fresh, &err) < 0) {
        log_warning("%s; node ports stay on the addresses known so far", err.text);
        return;
    }
    free(standalone->interfaces.list);
    standalone->interfaces = fresh;
    note_queued(standalone);
    turn(standalone);
}

static void on_put(void *context, const struct api_object *object)
{
    store_put(((struct standalone *)context)->store, object);
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    store_remove(((struct standalone *)context)->store, kind, namespace_, name);
}

static void on_settled(void *context)
{
    struct standalone *standalone = context;
    note_queued(standalone);
    if (standalone->manifests)
        standalone->metrics.refused_objects = manifests_status(standalone->manifests)->refused;
    if (standalone->sync.is_source_synced)
        turn(standalone);
}

const struct source_status *standalone_source_status(const struct standalone *standalone)
{
    if (standalone->apiserver)
        return apiserver_source_status(standalone->apiserver);
    return standalone->embedded.source ? registry_source_status(standalone->embedded.source)
                                       : manifests_status(standalone->manifests);
}

static void on_complaint(void *context, bool is_refusal, const char *sentence)
{
    (void)context;
    log_write(is_refusal ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s", sentence);
}

static void on_report(void *context, const char *sentence)
{
    (void)context;
    log_warning("%s", sentence);
}

static void on_service_health_report(void *context, const struct service_health_want *want,
                                     const char *sentence)
{
    (void)context;
    log_warning("Service %s/%s: %s", want->namespace, want->name, sentence);
}

static bool on_is_healthy(void *context)
{
    return health_is_healthy(&((struct standalone *)context)->health, web_now());
}

static void on_signal(uv_signal_t *signal, int number)
{
    log_info("ending by signal %d; the kernel goes on forwarding by what was programmed", number);
    end(signal->data, 0);
}

static void on_element_count(void *context, const char *set, uint64_t count)
{
    metrics_set_named(&((struct standalone *)context)->metrics.kernel_elements, set, (double)count);
}

/* What costs nothing until somebody asks. */
static void on_refresh(void *context)
{
    struct standalone *standalone = context;
    const struct source_status *status = standalone_source_status(standalone);
    for (int kind = 0; kind < API_KIND_COUNT; kind++)
        metrics_set_named(&standalone->metrics.store_objects, api_kind_name((enum api_kind)kind),
                          status->objects[kind]);
    standalone->metrics.service_changes_pending =
        standalone->sync.needs_load || standalone->store->dirty_count;
    standalone->dataplane->ops->count_elements(standalone->dataplane, on_element_count, standalone);
}

static int open_web(struct standalone *standalone, struct err *err)
{
    const struct options *options = &standalone->options;
    const struct web_config config = {
        .healthz = options->healthz.port ? &options->healthz : NULL,
        .metrics_server = options->metrics.port ? &options->metrics : NULL,
        .is_bind_hard_fail = options->is_bind_hard_fail,
        .mode = standalone->dataplane->ops->name,
        .health = &standalone->health,
        .metrics = &standalone->metrics,
        .refresh = on_refresh,
        .report = on_report,
        .context = standalone,
    };
    return web_open(&standalone->web, &standalone->loop, &config, err);
}

#define DESCRIPTORS_MIN 64

/* libuv ends the process where it cannot have its descriptors: look first. */
static int check_descriptors(struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_MIN)
        return 0;
    return err_set(err, EMFILE, "the limit of open files is %llu, at least %d are needed (ulimit -n)",
                   (unsigned long long)limit.rlim_cur, DESCRIPTORS_MIN);
}

static int init_handles(struct standalone *standalone, struct err *err)
{
    int code = check_descriptors(err);
    if (code < 0)
        return code;
    code = uv_loop_init(&standalone->loop);
    if (code < 0)
        return err_set(err, -code, "cannot start the event loop: %s", uv_strerror(code));
    standalone->has_loop = true;
    uv_timer_init(&standalone->loop, &standalone->retry);
    uv_timer_init(&standalone->loop, &standalone->collector);
    standalone->retry.data = standalone->collector.data = standalone;
    code = uv_signal_init(&standalone->loop, &standalone->terminate);
    if (code == 0)
        code = uv_signal_init(&standalone->loop, &standalone->interrupt);
    if (code < 0)
        return err_set(err, -code, "cannot watch for signals: %s", uv_strerror(code));
    standalone->terminate.data = standalone->interrupt.data = standalone;
    uv_signal_start(&standalone->terminate, on_signal, SIGTERM);
    uv_signal_start(&standalone->interrupt, on_signal, SIGINT);
    return 0;
}

static void on_synced(void *context)
{
    ((struct standalone *)context)->sync.is_source_synced = true;
}

/* The selections of kube-proxy (cmd/kube-proxy/app/server.go). */
static int open_cluster(struct standalone *standalone, const struct source_sink *sink, struct err *err)
{
    const struct options *options = &standalone->options;
    const struct cluster_options access = {.kubeconfig = options->kubeconfig,
                                           .master = options->master,
                                           .user_agent = "fairlead/" FAIRLEAD_VERSION};
    struct text self = {0};
    text_printf(&self, "metadata.name=%s", options->node_name);
    const struct apiserver_selection selections[] = {
        {API_NODE, "", self.data, false},
        {API_SERVICE_CIDR, "", "", true},
        {API_SERVICE, "!service.kubernetes.io/service-proxy-name", "spec.clusterIP!=None", false},
        {API_ENDPOINT_SLICE, "!service.kubernetes.io/headless", "", false},
    };
    const struct apiserver_source_options source = {.selections = selections,
                                                    .selection_count = ARRAY_LEN(selections),
                                                    .qps = 5,
                                                    .burst = 10,
                                                    .page = 500};
    int code = cluster_open(&standalone->cluster, &standalone->loop, &access, err);
    if (code == 0)
        code = apiserver_source_open(&standalone->apiserver, standalone->cluster, &standalone->loop, &source,
                                     sink, on_synced, err);
    text_done(&self);
    return code;
}

/* The folder tells the walk by itself, or, where there is a registry, the registry, whose watch then tells
 * the walk. */
static int open_sources(struct standalone *standalone, const struct source_sink *sink, struct err *err)
{
    const struct options *options = &standalone->options;
    if (options->role == ROLE_PROXY)
        return open_cluster(standalone, sink, err);
    if (!options->data_dir)
        return manifests_open(&standalone->manifests, &standalone->loop, options->manifests,
                              MANIFESTS_COMPLETE, sink, err);
    int code = embedded_open(&standalone->embedded, &standalone->loop, options, sink, err);
    if (code < 0 || !options->manifests)
        return code;
    const struct source_sink applier = embedded_begin_listing(&standalone->embedded);
    code = manifests_open(&standalone->manifests, &standalone->loop, options->manifests, MANIFESTS_AS_WRITTEN,
                          &applier, err);
    return code < 0 ? code : embedded_finish_listing(&standalone->embedded, err);
}

/* Everything above the options, lowest first; what was opened is closed by close_all. */
static int open_all(struct standalone *standalone, struct err *err)
{
    const struct options *options = &standalone->options;
    int code = single_claim("fairlead", &standalone->claim_fd, err);
    if (code == 0)
        code = nftables_dataplane.probe(err);
    if (code == 0)
        code = nftables_dataplane.open(&standalone->dataplane, err);
    if (code == 0)
        code = interface_addresses_read(&standalone->interfaces, err);
    if (code < 0)
        return code;
    sync_init(&standalone->sync, standalone->store, standalone->dataplane, options, &standalone->interfaces);
    standalone->sync.report = on_report;
    standalone->sync.applied = on_applied;
    standalone->sync.context = standalone;
    standalone->service_health =
        service_health_new(&standalone->loop, on_is_healthy, on_service_health_report, standalone);
    const struct source_sink sink = {standalone, on_put, on_remove, on_settled, on_complaint};
    code = control_listen(&standalone->control, &standalone->loop, options->control_socket, tools_answer,
                          standalone, err);
    if (code == 0)
        code = open_web(standalone, err);
    if (code == 0)
        code = interface_watch_open(&standalone->interface_watch, &standalone->loop, on_interfaces,
                                    standalone, err);
    if (code == 0)
        code = open_sources(standalone, &sink, err);
    if (code < 0 || options->role == ROLE_PROXY)
        return code;
    standalone->sync.is_source_synced = true;
    on_settled(standalone);
    return 0;
}

static void on_walk(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_all(struct standalone *standalone)
{
    manifests_close(standalone->manifests);
    apiserver_source_close(standalone->apiserver);
    cluster_close(standalone->cluster);
    embedded_close(&standalone->embedded);
    interface_watch_close(standalone->interface_watch);
    web_close(standalone->web);
    control_close(standalone->control);
    service_health_free(standalone->service_health);
    if (standalone->has_loop) {
        uv_walk(&standalone->loop, on_walk, NULL);
        uv_run(&standalone->loop, UV_RUN_DEFAULT);
        uv_loop_close(&standalone->loop);
    }
    embedded_done(&standalone->embedded);
    if (standalone->sync.store)
        sync_done(&standalone->sync);
    if (standalone->dataplane)
        standalone->dataplane->ops->close(standalone->dataplane);
    if (standalone->claim_fd > 0)
        close(standalone->claim_fd);
    free(standalone->interfaces.list);
    store_free(standalone->store);
}

static int entry_order(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->name, (*(const struct entry *const *)b)->name);
}

static int dry_run(struct standalone *standalone, struct err *err)
{
    /* The same reading and deciding, and then the text instead of the kernel. */
    const struct source_sink sink = {standalone, on_put, on_remove, on_settled, on_complaint};
    int code = manifests_open(&standalone->manifests, &standalone->loop, standalone->options.manifests,
                              MANIFESTS_COMPLETE, &sink, err);
    if (code == 0)
        code = interface_addresses_read(&standalone->interfaces, err);
    if (code < 0)
        return code;
    sync_init(&standalone->sync, standalone->store, NULL, &standalone->options, &standalone->interfaces);
    standalone->sync.report = on_report;
    sync_plan_all(&standalone->sync);
    size_t count;
    struct text text = {0};
    cleanup_free const struct entry **entries = sync_entries(&standalone->sync, &count);
    qsort(entries, count, sizeof(*entries), entry_order);
    if (standalone->options.dry_run == DRY_RUN_NFTABLES)
        nftables_dataplane.render(&standalone->sync.node.dataplane, entries, count, &text);
    for (size_t i = 0; standalone->options.dry_run == DRY_RUN_FORWARDING && i < count; i++)
        describe_entry(entries[i], &text);
    fwrite(text_str(&text), 1, text.len, stdout);
    text_done(&text);
    return 0;
}

int node_run(const struct options *options)
{
    struct standalone standalone = {.options = *options};
    struct err err;
    log_set_level(options->verbosity >= 2 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    standalone.store = store_new();
    metrics_init(&standalone.metrics);
    standalone.started_ns = web_now().wall_ns;
    health_init(&standalone.health, options->sync_period_ms);
    int code = init_handles(&standalone, &err);
    if (code == 0)
        code = options->dry_run ? dry_run(&standalone, &err) : open_all(&standalone, &err);
    if (code < 0) {
        log_error("%s", err.text);
        standalone.exit_status = 1;
    } else if (!options->dry_run) {
        while (!standalone.is_ending)
            uv_run(&standalone.loop, UV_RUN_DEFAULT);
    }
    close_all(&standalone);
    return standalone.exit_status;
}

int standalone_main(int argc, char *const *argv)
{
    struct options options;
    struct arena arena;
    struct err err;
    int status = 0;
    arena_init(&arena);
    if (options_parse(argc, argv, &arena, &options, &err) < 0) {
        fprintf(stderr, "fairlead standalone: %s\n", err.text);
        status = 2;
    } else if (options.shows_help) {
        options_usage();
    } else {
        status = node_run(&options);
    }
    arena_done(&arena);
    return status;
}
