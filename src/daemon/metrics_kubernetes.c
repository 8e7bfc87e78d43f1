/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/metrics.h"

#include "apiserver/discovery.h"
#include "base/cleanup.h"
#include "config/gates.h"
#include "config/settings.h"
#include "daemon/exposition.h"
#include "source/rest_metrics.h"

#include <stdio.h>

/* Takes the labels. */
static void sample(struct text *text, const char *name, struct text *labels, double value)
{
    exposition_sample(text, name, labels, value);
    text_done(labels);
}

static void build_add(struct text *text)
{
    static const char name[] = "kubernetes_build_info";
    static const char *const labels[][2] = {
        {"build_date", "1970-01-01T00:00:00Z"},
        {"compiler", "cc"},
        {"git_commit", ""},
        {"git_tree_state", ""},
        {"git_version", KUBERNETES_VERSION "+fairlead." FAIRLEAD_VERSION},
        {"go_version", ""},
        {"major", KUBERNETES_MAJOR},
        {"minor", KUBERNETES_MINOR},
        {"platform", "linux"},
    };
    struct text all = {0};
    exposition_family(text, name, "gauge",
                      "[BETA] Always 1; the labels say whose Kubernetes behaviour this build follows.");
    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        exposition_label(&all, labels[i][0], labels[i][1]);
    sample(text, name, &all, 1);
}

/* component-base, featuregate: the name of GA is empty. */
static const char *stage_name(enum gate_stage stage)
{
    switch (stage) {
    case GATE_ALPHA:
        return "ALPHA";
    case GATE_BETA:
        return "BETA";
    case GATE_DEPRECATED:
        return "DEPRECATED";
    case GATE_GA:
        break;
    }
    return "";
}

static void features_add(struct text *text, const struct proxy_settings *settings)
{
    static const char name[] = "kubernetes_feature_enabled";
    exposition_family(text, name, "gauge", "[BETA] 1 for a feature gate that is on, 0 for one that is off.");
    for (size_t i = 0; i < gate_count; i++) {
        struct text labels = {0};
        exposition_label(&labels, "name", gate_table[i].name);
        exposition_label(&labels, "stage", stage_name(gate_table[i].stage));
        sample(text, name, &labels, settings_gate(settings, gate_table[i].name));
    }
}

/* --- rest_client_* --- */

static void calls_add(struct text *text, const struct rest_metrics *rest)
{
    static const char name[] = "rest_client_requests_total";
    exposition_family(text, name, "counter", "[ALPHA] Calls to the apiserver by status, method and host.");
    for (const struct rest_series *series = rest->series; series; series = series->next) {
        for (unsigned status = 0; status < REST_STATUS_MAX; status++) {
            struct text labels = {0};
            char code[16] = "<error>";
            if (series->calls[status] == 0)
                continue;
            if (status > 0)
                snprintf(code, sizeof(code), "%u", status);
            exposition_label(&labels, "code", code);
            exposition_label(&labels, "host", series->host);
            exposition_label(&labels, "method", series->method);
            sample(text, name, &labels, (double)series->calls[status]);
        }
    }
}

static uint64_t observations(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++)
        count += histogram->counts[i];
    return count;
}

static void histograms_add(struct text *text, const struct rest_metrics *rest, const char *name,
                           const char *help, size_t offset)
{
    exposition_family(text, name, "histogram", help);
    for (const struct rest_series *series = rest->series; series; series = series->next) {
        const struct histogram *histogram = (const void *)((const char *)series + offset);
        struct text labels = {0};
        if (observations(histogram) == 0)
            continue;
        exposition_label(&labels, "host", series->host);
        exposition_label(&labels, "verb", series->method);
        exposition_histogram(text, name, &labels, histogram);
        text_done(&labels);
    }
}

static void exec_add(struct text *text, const struct rest_metrics *rest)
{
    static const char name[] = "rest_client_exec_plugin_call_total";
    exposition_family(text, name, "counter", "[ALPHA] Runs of the credential program by how they ended.");
    for (int exec = 0; exec < REST_EXEC_COUNT; exec++) {
        struct text labels = {0};
        if (rest->exec_calls[exec] == 0)
            continue;
        exposition_label(&labels, "call_status", rest_exec_name((enum rest_exec)exec));
        exposition_label(&labels, "code", exec == REST_EXEC_GOOD ? "0" : "1");
        sample(text, name, &labels, (double)rest->exec_calls[exec]);
    }
}

static void rest_add(struct text *text, const struct rest_metrics *rest)
{
    exec_add(text, rest);
    histograms_add(text, rest, "rest_client_rate_limiter_duration_seconds",
                   "[ALPHA] Time for which qps and burst held a call to the apiserver back.",
                   offsetof(struct rest_series, throttled));
    histograms_add(text, rest, "rest_client_request_duration_seconds",
                   "[ALPHA] Time from a call to the apiserver to the end of its answer.",
                   offsetof(struct rest_series, duration));
    histograms_add(text, rest, "rest_client_request_size_bytes",
                   "[ALPHA] Bytes of the bodies that go to the apiserver.",
                   offsetof(struct rest_series, request_size));
    calls_add(text, rest);
    histograms_add(text, rest, "rest_client_response_size_bytes",
                   "[ALPHA] Bytes of the bodies that come from the apiserver.",
                   offsetof(struct rest_series, response_size));
}

void metrics_format_kubernetes(const struct metrics *metrics, struct text *text)
{
    build_add(text);
    if (metrics->settings)
        features_add(text, metrics->settings);
    if (metrics->rest)
        rest_add(text, metrics->rest);
}

void metrics_format_slis(const struct metrics *metrics, struct text *text)
{
    static const char now[] = "kubernetes_healthcheck", total[] = "kubernetes_healthchecks_total";
    struct text labels = {0};
    if (metrics->pings_total > 0) {
        exposition_family(text, now, "gauge", "[STABLE] 1 for a health check that was good when last made.");
        exposition_label(&labels, "name", "ping");
        exposition_label(&labels, "type", "healthz");
        sample(text, now, &labels, 1);
        exposition_family(text, total, "counter", "[STABLE] Health checks by their result.");
        exposition_label(&labels, "name", "ping");
        exposition_label(&labels, "status", "success");
        exposition_label(&labels, "type", "healthz");
        sample(text, total, &labels, (double)metrics->pings_total);
    }
    if (!metrics->process.is_known)
        return;
    exposition_family(text, "process_start_time_seconds", "gauge",
                      "[ALPHA] When the process started, since 1970.");
    exposition_sample(text, "process_start_time_seconds", &labels, metrics->process.start_time_s);
}
