/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/notices.h"

#include "base/log.h"
#include "base/text.h"
#include "config/proxy_config.h"
#include "daemon/daemon.h"
#include "source/events.h"

#include <unistd.h>

#define CONTROLLER "kube-proxy"

static void on_complaint(void *context, const char *sentence)
{
    (void)context;
    log_warning("%s", sentence);
}

static void tell_of_node(struct daemon *daemon, bool is_warning, const char *reason, const char *note)
{
    const struct event event = {
        .is_warning = is_warning,
        .reason = reason,
        .action = "StartKubeProxy",
        .note = note,
        .regarding = {"v1", "Node", "", daemon->options.node_name},
    };
    events_post(daemon->events, &event);
}

void notices_open(struct daemon *daemon)
{
    char host[256] = "";
    struct text instance = {0};
    gethostname(host, sizeof(host) - 1);
    text_printf(&instance, CONTROLLER "-%s", host);
    daemon->events =
        events_open(daemon->cluster, &daemon->loop, CONTROLLER, text_str(&instance), on_complaint, daemon);
    text_done(&instance);
    if (daemon->options.proxy_config->mode == PROXY_MODE_IPVS)
        tell_of_node(daemon, true, "IPVSDeprecation",
                     "The mode ipvs is deprecated upstream and may go; nftables is the one to move to.");
    tell_of_node(daemon, false, "Starting", "");
}

void notices_service_health(struct daemon *daemon, const struct service_health_want *want,
                            const char *sentence)
{
    struct text note = {0};
    text_printf(&note, "node %s: %s", daemon->options.node_name, sentence);
    const struct event event = {
        .is_warning = true,
        .reason = "FailedToStartServiceHealthcheck",
        .action = "Listen",
        .note = text_str(&note),
        .regarding = {"v1", "Service", want->namespace, want->name},
    };
    events_post(daemon->events, &event);
    text_done(&note);
}

void notices_close(struct daemon *daemon)
{
    events_close(daemon->events);
    daemon->events = NULL;
}
