/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/web.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "daemon/exposition.h"
#include "sys/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_PLAIN "text/plain; charset=utf-8"

typedef void page_fn(const struct web *web, const struct http_request *request,
                     struct http_response *response);

struct route {
    const char *path;
    page_fn *page;
};

/* One address of one of the two servers; a server on every address has one for each family. */
struct listener {
    struct web *web;
    const char *name;
    const struct route *routes;
    struct socket_address address;
    bool is_optional, is_given_up;
    struct http_server *server; /* NULL until bound */
    struct err failure;         /* reported last */
};

struct web {
    struct web_config config;
    uv_loop_t *loop;
    uv_timer_t retry;
    struct listener listeners[4];
    size_t listener_count;
};

struct health_time web_now(void)
{
    struct timespec wall, monotonic;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    return (struct health_time){.wall_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec,
                                .monotonic_ns = (int64_t)monotonic.tv_sec * 1000000000 + monotonic.tv_nsec};
}

static void health_page(const struct web *web, enum health_page page, uint64_t totals[2],
                        struct http_response *response)
{
    http_response_set(response, 200, "application/json", "");
    response->status = health_format(web->config.health, page, web_now(), &response->body);
    totals[response->status == 200 ? METRICS_CODE_200 : METRICS_CODE_503]++;
}

static void page_healthz(const struct web *web, const struct http_request *request,
                         struct http_response *response)
{
    health_page(web, HEALTH_PAGE_HEALTHZ, web->config.metrics->healthz_total, response);
}

static void page_livez(const struct web *web, const struct http_request *request,
                       struct http_response *response)
{
    health_page(web, HEALTH_PAGE_LIVEZ, web->config.metrics->livez_total, response);
}

static bool has_key(const char *query, const char *key)
{
    size_t len = strlen(key);
    while (true) {
        if (strncmp(query, key, len) == 0 && strchr("=&", query[len]))
            return true;
        query = strchr(query, '&');
        if (!query)
            return false;
        query++;
    }
}

/* The health of this server, not of the proxy: it answers, so it is well. "ping" is the one check that it
 * has, as in kube-proxy. */
static void page_alive(const struct web *web, const struct http_request *request,
                       struct http_response *response)
{
    bool is_verbose = has_key(request->query, "verbose");
    http_response_set(response, 200, TEXT_PLAIN, is_verbose ? "[+]ping ok\nhealthz check passed\n" : "ok");
}

static void page_ping(const struct web *web, const struct http_request *request,
                      struct http_response *response)
{
    http_response_set(response, 200, TEXT_PLAIN, "ok");
}

static void page_mode(const struct web *web, const struct http_request *request,
                      struct http_response *response)
{
    http_response_set(response, 200, TEXT_PLAIN, web->config.mode);
}

static void page_metrics(const struct web *web, const struct http_request *request,
                         struct http_response *response)
{
    /* Without /proc these rows are missing and all others are not. */
    if (web->config.refresh)
        web->config.refresh(web->config.context);
    metrics_read_process(web->config.metrics, NULL);
    response->content_type = EXPOSITION_CONTENT_TYPE;
    metrics_format(web->config.metrics, &response->body);
}

static const struct route healthz_routes[] = {
    {"/healthz", page_healthz},
    {"/livez", page_livez},
    {NULL},
};
static const struct route metrics_routes[] = {
    {"/healthz", page_alive},
    {"/healthz/ping", page_ping},
    {"/proxyMode", page_mode},
    {"/metrics", page_metrics},
    {NULL},
};

static void on_request(void *context, const struct http_request *request, struct http_response *response)
{
    struct listener *listener = context;
    for (const struct route *route = listener->routes; route->path; route++) {
        if (strcmp(route->path, request->path) == 0) {
            route->page(listener->web, request, response);
            return;
        }
    }
    http_response_set(response, 404, TEXT_PLAIN, "404 page not found\n");
}

/* Tries to bind what is not bound; 0 when nothing is left to try again. */
static int listener_bind(struct listener *listener, struct err *err)
{
    if (listener->server || listener->is_given_up)
        return 0;
    int code = http_server_open(&listener->server, listener->web->loop, &listener->address, on_request,
                                listener, err);
    if (listener->is_optional && (code == -EAFNOSUPPORT || code == -EADDRNOTAVAIL)) {
        listener->is_given_up = true;
        return 0;
    }
    return code < 0 ? err_prefix(err, code, "%s", listener->name) : 0;
}

static void report(struct listener *listener, int code, const struct err *err)
{
    struct web *web = listener->web;
    struct err good;
    char name[SOCKET_ADDRESS_TEXT_MAX];
    bool was_reported = listener->failure.text[0] != '\0';
    if (code < 0 && strcmp(err->text, listener->failure.text) != 0) {
        listener->failure = *err;
        web->config.report(web->config.context, err->text);
    } else if (code == 0 && was_reported) {
        err_set(&good, 0, "%s: serving on %s now", listener->name,
                socket_address_format(&listener->address, name));
        listener->failure = (struct err){""};
        web->config.report(web->config.context, good.text);
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct web *web = timer->data;
    bool is_again = false;
    for (size_t i = 0; i < web->listener_count; i++) {
        struct err err = {""};
        int code = listener_bind(&web->listeners[i], &err);
        report(&web->listeners[i], code, &err);
        is_again |= code < 0;
    }
    if (is_again)
        uv_timer_start(timer, on_retry, web->config.retry_ms, 0);
}

static void listener_add(struct web *web, const char *name, const struct route *routes,
                         const struct socket_address *address)
{
    static const uint8_t any[16];
    if (!address)
        return;
    struct listener listener = {.web = web, .name = name, .routes = routes, .address = *address};
    web->listeners[web->listener_count++] = listener;
    if (!address_is_unspecified(&address->address))
        return;
    bool is_v4 = address_family(&address->address) == FAMILY_IPV4;
    listener.address.address = address_from_wire(is_v4 ? FAMILY_IPV6 : FAMILY_IPV4, any);
    listener.is_optional = true;
    web->listeners[web->listener_count++] = listener;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void web_close(struct web *web)
{
    if (!web)
        return;
    for (size_t i = 0; i < web->listener_count; i++)
        http_server_close(steal_pointer(&web->listeners[i].server));
    uv_close((uv_handle_t *)&web->retry, on_closed);
}

int web_open(struct web **ret, uv_loop_t *loop, const struct web_config *config, struct err *err)
{
    struct web *web = xcalloc(1, sizeof(*web));
    web->config = *config;
    web->loop = loop;
    if (web->config.retry_ms == 0)
        web->config.retry_ms = WEB_RETRY_MS;
    uv_timer_init(loop, &web->retry);
    web->retry.data = web;
    listener_add(web, "healthz", healthz_routes, config->healthz);
    listener_add(web, "metrics", metrics_routes, config->metrics_server);
    int code = 0;
    for (size_t i = 0; config->is_bind_hard_fail && code == 0 && i < web->listener_count; i++)
        code = listener_bind(&web->listeners[i], err);
    if (code < 0) {
        web_close(web);
        return code;
    }
    if (!config->is_bind_hard_fail)
        on_retry(&web->retry);
    *ret = web;
    return 0;
}
