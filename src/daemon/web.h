/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "daemon/health.h"
#include "daemon/metrics.h"
#include "net/address.h"

#include <stdbool.h>
#include <uv.h>

/* The pages that the daemon serves, at kube-proxy's paths and in its forms (cmd/kube-proxy/app/server.go,
 * serveHealthz and serveMetrics, of 1.36): /healthz and /livez on the one address; on the other /healthz,
 * /proxyMode, /metrics and /metrics/slis, our own /metrics/services, and for the role of kube-proxy /configz,
 * /flagz, /statusz and /debug. Any method will do, as there. */

#define WEB_RETRY_MS 5000

/* A sentence about an address that cannot be served, once per cause, and one when it is served at last. */
typedef void web_report_fn(void *context, const char *sentence);

typedef void web_flag_fn(void *context, const char *flag, const char *value);

/* What kube-proxy alone has to show. context is the config's; what changes while we run is asked for with
 * each request. */
struct web_proxy {
    bool has_flagz, has_statusz;                      /* gates ComponentFlagz and ComponentStatusz */
    bool has_profiling;                               /* enableProfiling: everything under /debug */
    void (*configz)(void *context, struct text *ret); /* the configuration in force, as JSON */
    void (*flagz)(void *context, web_flag_fn *visit, void *visit_context);
    void (*set_verbosity)(void *context, int64_t verbosity);
};

/* 0.0.0.0 and :: both mean every address of both families, as Go's listeners have it; IPv6 may be absent.
 * What the pointers lead to outlives the web. */
struct web_config {
    const struct socket_address *healthz, *metrics_server; /* NULL: not served */
    bool is_bind_hard_fail; /* a failing bind fails web_open, instead of a try every retry_ms */
    unsigned retry_ms;      /* 0: WEB_RETRY_MS */
    const char *mode;       /* what /proxyMode says */
    const struct health *health;
    struct metrics *metrics; /* web counts its own answers there, and reads the process's figures into it */
    void (*refresh)(
        void *context); /* before /metrics is answered: fills what is only counted then; may be NULL */
    void (*format_more)(void *context, struct text *ret);     /* more families of /metrics; may be NULL */
    void (*format_services)(void *context, struct text *ret); /* /metrics/services; NULL: it is empty */
    const struct web_proxy *proxy;                            /* NULL: nothing of that is served; copied */
    web_report_fn *report;
    void *context;
};

struct web;

/* -errno and a sentence, only with is_bind_hard_fail. The config is copied. */
int web_open(struct web **ret, uv_loop_t *loop, const struct web_config *config, struct err *err);
/* Listening ends before it returns; the memory goes when the loop next turns. NULL is allowed. */
void web_close(struct web *web);
/* Both clocks, read now, in the form that health wants. */
struct health_time web_now(void);
