/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include "base/log.h"
#include "config/proxy_config.h"
#include "daemon/announce.h"
#include "daemon/confinement.h"
#include "daemon/kernel_settings.h"
#include "daemon/modes.h"
#include "daemon/notices.h"
#include "daemon/proxy_pages.h"
#include "daemon/sources.h"
#include "daemon/takeover.h"
#include "daemon/turns.h"
#include "dataplane/ipvs/ipvs.h"
#include "sys/single.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void daemon_end(struct daemon *daemon, int exit_status)
{
    daemon->exit_status = exit_status;
    daemon->is_ending = true;
    if (daemon->has_loop)
        uv_stop(&daemon->loop);
}

static void on_report(void *context, const char *sentence)
{
    (void)context;
    log_warning("%s", sentence);
}

static void on_service_health_report(void *context, const struct service_health_want *want,
                                     const char *sentence)
{
    log_warning("Service %s/%s: %s", want->namespace, want->name, sentence);
    notices_service_health(context, want, sentence);
}

static bool on_is_healthy(void *context)
{
    return health_is_healthy(&((struct daemon *)context)->health, web_now());
}

static void on_signal(uv_signal_t *signal, int number)
{
    const struct daemon *daemon = signal->data;
    const char *what = daemon->mode->withdraw ? "connections end with it, and its rules go"
                                              : "the kernel goes on forwarding by what was programmed";
    char status[128];
    snprintf(status, sizeof(status), "ending; %s", what);
    log_info("ending by signal %d; %s", number, what);
    announce(NOTIFY_STOPPING, "%s", status);
    daemon_end(signal->data, 0);
}

static void on_element_count(void *context, const char *set, uint64_t count)
{
    metrics_set_named(&((struct daemon *)context)->metrics.kernel_elements, set, (double)count);
}

/* What costs nothing until somebody asks. */
static void on_refresh(void *context)
{
    struct daemon *daemon = context;
    const struct source_status *status = sources_status(daemon);
    for (int kind = 0; kind < API_KIND_COUNT; kind++)
        metrics_set_named(&daemon->metrics.store_objects, api_kind_name((enum api_kind)kind),
                          status->objects[kind]);
    daemon->metrics.rest = daemon->cluster ? cluster_metrics(daemon->cluster) : NULL;
    daemon->metrics.settings = daemon->options.proxy_config ? daemon->options.proxy_config->settings : NULL;
    daemon->metrics.service_changes_total = daemon->store->service_changes;
    daemon->metrics.endpoint_changes_total = daemon->store->endpoint_changes;
    daemon->metrics.service_changes_pending = daemon->store->service_changes - daemon->programmed_services;
    daemon->metrics.endpoint_changes_pending = daemon->store->endpoint_changes - daemon->programmed_slices;
    if (daemon->dataplane->ops->restores)
        daemon->metrics.iptables = *daemon->dataplane->ops->restores(daemon->dataplane);
    daemon->dataplane->ops->count_elements(daemon->dataplane, on_element_count, daemon);
}

static void on_format_more(void *context, struct text *text)
{
    traffic_format(&((struct daemon *)context)->traffic, text);
}

static void on_format_services(void *context, struct text *text)
{
    traffic_format_services(&((struct daemon *)context)->traffic, text);
}

static int open_web(struct daemon *daemon, struct err *err)
{
    const struct options *options = &daemon->options;
    struct web_proxy proxy;
    const struct web_config config = {
        .proxy = proxy_pages(daemon, &proxy),
        .healthz = options->healthz.port ? &options->healthz : NULL,
        .metrics_server = options->metrics.port ? &options->metrics : NULL,
        .is_bind_hard_fail = options->is_bind_hard_fail,
        .mode = daemon->dataplane->ops->name,
        .health = &daemon->health,
        .metrics = &daemon->metrics,
        .refresh = on_refresh,
        .format_more = on_format_more,
        .format_services = on_format_services,
        .report = on_report,
        .context = daemon,
    };
    daemon->metrics.mode = daemon->mode->restores ? METRICS_MODE_IPTABLES : METRICS_MODE_NFTABLES;
    traffic_init(&daemon->traffic, &daemon->loop, &daemon->sync, &daemon->interfaces);
    daemon->traffic.report = on_report;
    daemon->traffic.context = daemon;
    return web_open(&daemon->web, &daemon->loop, &config, err);
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

static int init_handles(struct daemon *daemon, struct err *err)
{
    int code = check_descriptors(err);
    if (code < 0)
        return code;
    code = uv_loop_init(&daemon->loop);
    if (code < 0)
        return err_set(err, -code, "cannot start the event loop: %s", uv_strerror(code));
    daemon->has_loop = true;
    code = uv_signal_init(&daemon->loop, &daemon->terminate);
    if (code == 0)
        code = uv_signal_init(&daemon->loop, &daemon->interrupt);
    if (code < 0)
        return err_set(err, -code, "cannot watch for signals: %s", uv_strerror(code));
    daemon->terminate.data = daemon->interrupt.data = daemon;
    uv_signal_start(&daemon->terminate, on_signal, SIGTERM);
    uv_signal_start(&daemon->interrupt, on_signal, SIGINT);
    return 0;
}

/* A node's proxy has to serve on a file system that is read-only as well; the tools alone miss the socket. */
static int open_control(struct daemon *daemon, struct err *err)
{
    const struct options *options = &daemon->options;
    int code =
        control_listen(&daemon->control, &daemon->loop, options->control_socket, tools_answer, daemon, err);
    if (code == 0 || options->role != ROLE_PROXY || code == -EADDRINUSE)
        return code;
    log_warning("%s; the tools cannot reach this daemon, which serves nevertheless", err->text);
    return 0;
}

/* Everything above the options, lowest first; what was opened is closed by close_all. */
static int open_all(struct daemon *daemon, struct err *err)
{
    int code = single_claim("fairlead", &daemon->claim_fd, err);
    const struct dataplane_owner owner = {
        .loop = &daemon->loop, .finished = turns_on_finished, .context = daemon};
    const struct dataplane_ops *mode = daemon->mode;
    if (code == 0) {
        bool starts_programs = mode->starts_programs || takeover_starts_programs(daemon);
        confinement_enter(&daemon->options, starts_programs ? CONFINEMENT_STARTING : CONFINEMENT_SERVING);
        code = mode->open(&daemon->dataplane, &owner, err);
    }
    if (code == 0)
        code = interface_addresses_read(&daemon->interfaces, err);
    if (code < 0)
        return code;
    turns_init(daemon);
    daemon->service_health =
        service_health_new(&daemon->loop, on_is_healthy, on_service_health_report, daemon);
    code = open_control(daemon, err);
    if (code == 0)
        code = open_web(daemon, err);
    if (code == 0)
        code =
            interface_watch_open(&daemon->interface_watch, &daemon->loop, turns_on_interfaces, daemon, err);
    if (code == 0)
        code = reload_open(&daemon->reload, daemon, err);
    return code == 0 ? sources_open(daemon, err) : code;
}

static void on_walk(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_all(struct daemon *daemon)
{
    reload_close(&daemon->reload);
    takeover_cancel(daemon);
    sources_close(daemon);
    interface_watch_close(daemon->interface_watch);
    web_close(daemon->web);
    traffic_done(&daemon->traffic);
    control_close(daemon->control);
    service_health_free(daemon->service_health);
    turns_finish(daemon);
    if (daemon->disturbance.data)
        uv_poll_stop(&daemon->disturbance);
    turns_withdraw(daemon);
    if (daemon->dataplane)
        daemon->dataplane->ops->close(daemon->dataplane);
    if (daemon->has_loop) {
        uv_walk(&daemon->loop, on_walk, NULL);
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        uv_loop_close(&daemon->loop);
    }
    embedded_done(&daemon->embedded);
    if (daemon->sync.store)
        sync_done(&daemon->sync);
    if (daemon->claim_fd > 0)
        close(daemon->claim_fd);
    free(daemon->interfaces.list);
    store_free(daemon->store);
}

void daemon_set_verbosity(struct daemon *daemon, int verbosity)
{
    daemon->options.verbosity = verbosity;
    log_set_level(verbosity >= 2 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

static void take_settings(struct daemon *daemon)
{
    daemon_set_verbosity(daemon, daemon->options.verbosity);
    health_set_period(&daemon->health, daemon->options.sync_period_ms);
    if (!daemon->mode)
        return;
    daemon->options.has_localhost_node_ports &= daemon->mode->is_of_iptables;
    daemon->options.takes_node_addresses = daemon->mode == &ipvs_dataplane;
    kernel_settings_serve(&daemon->options, modes_number(daemon->mode));
    daemon->options.is_conntrack_liberal = kernel_settings_is_liberal("");
}

void daemon_take_options(struct daemon *daemon, const struct options *options)
{
    daemon->options = *options;
    take_settings(daemon);
    turns_take(daemon);
}

/* Signals that come while their handlers are away, before the loop and behind it, wait: between two runs
 * SIGHUP would end the process, and a service manager would take that for an end that was wanted. */
static void hold_signals(bool is_held)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(is_held ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

static void say_mode(const struct mode_finding *finding)
{
    const char *reason = finding->reason.text;
    if (strcmp(finding->mode, MODE_AUTO) == 0)
        log_info("mode " MODE_AUTO ": %s serves%s%s", finding->serves->name,
                 *reason ? ", because " : ", the first choice", reason);
    else if (*reason)
        log_warning("%s; %s serves instead", reason, finding->serves->name);
}

/* Rights that were given up do not come back: another process has to serve by that mode. */
static void end_for_rights(struct daemon *daemon, const char *mode)
{
    log_info("mode %s needs rights that this process gave up while it served by another: it ends with status "
             "%d and is to be started again; the kernel goes on forwarding by what was programmed",
             mode, DAEMON_AGAIN);
    announce(NOTIFY_STOPPING, "ending, to be started again for mode %s", mode);
    daemon_end(daemon, DAEMON_AGAIN);
}

static int choose_mode(struct daemon *daemon, struct err *err)
{
    bool has_given_up = confinement_stage() == CONFINEMENT_SERVING;
    struct mode_finding finding;
    int code = modes_choose(daemon->options.proxy_mode, &finding, err);
    daemon->mode = finding.serves;
    if (has_given_up && (finding.lacks_rights || (code == 0 && finding.serves->starts_programs))) {
        end_for_rights(daemon, finding.choices[0]);
        return 0;
    }
    if (code == 0)
        say_mode(&finding);
    return code;
}

int daemon_run(const struct options *options)
{
    struct daemon daemon = {.options = *options, .started_ns = web_now().wall_ns};
    struct err err;
    if (!options->dry_run)
        hold_signals(true);
    daemon.store = store_new();
    metrics_init(&daemon.metrics);
    health_init(&daemon.health, options->sync_period_ms);
    int code = options->dry_run ? 0 : choose_mode(&daemon, &err);
    if (code == 0 && !daemon.is_ending) {
        take_settings(&daemon);
        code = init_handles(&daemon, &err);
    }
    if (code == 0 && !daemon.is_ending)
        code = options->dry_run ? dry_run(&daemon, &err) : open_all(&daemon, &err);
    if (code < 0) {
        log_error("%s", err.text);
        daemon.exit_status = 1;
    } else if (!options->dry_run) {
        hold_signals(false);
        while (!daemon.is_ending)
            uv_run(&daemon.loop, UV_RUN_DEFAULT);
        hold_signals(true);
    }
    close_all(&daemon);
    return daemon.exit_status;
}
