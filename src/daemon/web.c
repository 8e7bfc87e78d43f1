/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/web.h"

#include "apiserver/discovery.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "config/flag_values.h"
#include "daemon/exposition.h"
#include "daemon/zpages.h"
#include "sys/http.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define COMPONENT "kube-proxy"
#define BODY_MAX 4096 /* of a request; most bodies are of no use to anybody */
#define FLAGS_MAX 128

typedef void page_fn(const struct web *web, const struct http_request *request,
                     struct http_response *response);

/* What has to be there for a page to be served. */
enum need { NEED_NOTHING, NEED_PROXY, NEED_FLAGZ, NEED_STATUSZ, NEED_PROFILING };

struct route {
    const char *path;
    page_fn *page;
    enum need need;
    bool is_prefix; /* for everything that begins so */
};

/* One address of one of the two servers; a server on every address has one for each family. */
struct listener {
    struct web *web;
    const char *name;
    const struct route *routes;
    bool cleans_paths; /* sends clients to the path without "//", "." and ".." */
    struct socket_address address;
    bool is_optional, is_given_up;
    struct http_server *server; /* NULL until bound */
    struct err failure;         /* reported last */
};

struct web {
    struct web_config config;
    struct web_proxy proxy; /* what config.proxy leads to; zero without one */
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

/* The next value of key in a query ("exclude=a&exclude=b"), as far as it needs no decoding: from *at, which
 * moves on; NULL behind the last. A key without "=" has the value "". */
static const char *next_value(const char **at, const char *key, size_t *ret_len)
{
    size_t key_len = strlen(key);
    while (**at) {
        const char *pair = *at;
        size_t len = strcspn(pair, "&");
        *at += len + (pair[len] == '&');
        if (strncmp(pair, key, key_len) != 0 || (key_len < len && pair[key_len] != '=') || key_len > len)
            continue;
        *ret_len = key_len < len ? len - key_len - 1 : 0;
        return pair + key_len + (key_len < len);
    }
    return NULL;
}

/* "ping" is the one check that there is, as in kube-proxy. (apiserver/pkg/server/healthz, handleRootHealth)
 */
static void exclude_checks(const char *query, bool *ret_is_ping_excluded, struct text *ret_unknown)
{
    const char *value;
    size_t len;
    while ((value = next_value(&query, "exclude", &len))) {
        bool is_ping = len == strlen("ping") && strncmp(value, "ping", len) == 0;
        *ret_is_ping_excluded |= is_ping;
        if (!is_ping)
            text_printf(ret_unknown, "%s\"%.*s\"", ret_unknown->len ? "," : "", (int)(len < 200 ? len : 200),
                        value);
    }
}

/* The health of this server, not of the proxy: it answers, so it is well. */
static void page_alive(const struct web *web, const struct http_request *request,
                       struct http_response *response)
{
    const char *query = request->query;
    size_t len;
    bool is_verbose = next_value(&query, "verbose", &len), is_excluded = false;
    struct text unknown = {0};
    exclude_checks(request->query, &is_excluded, &unknown);
    web->config.metrics->pings_total += !is_excluded;
    http_response_set(response, 200, TEXT_PLAIN, is_verbose ? "" : "ok");
    if (is_verbose) {
        text_add(&response->body, is_excluded ? "[+]ping excluded: ok\n" : "[+]ping ok\n");
        if (unknown.len)
            text_printf(&response->body, "warn: some health checks cannot be excluded: no matches for %s\n",
                        text_str(&unknown));
        text_add(&response->body, "healthz check passed\n");
    }
    text_done(&unknown);
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

/* Reads what costs something to know, and tells a scraper when to begin anew
 * (component-base/metrics/http.go). */
static void begin_metrics(const struct web *web, struct http_response *response)
{
    const struct metrics_process *process = &web->config.metrics->process;
    char started[32];
    /* Without /proc the rows of the process are missing and all others are not. */
    metrics_read_process(web->config.metrics, NULL);
    response->content_type = EXPOSITION_CONTENT_TYPE;
    if (!process->is_known)
        return;
    snprintf(started, sizeof(started), "%lld", (long long)(process->start_time_s + 0.5));
    http_response_add_header(response, "Process-Start-Time-Unix", started);
}

static void page_metrics(const struct web *web, const struct http_request *request,
                         struct http_response *response)
{
    if (web->config.refresh)
        web->config.refresh(web->config.context);
    begin_metrics(web, response);
    metrics_format(web->config.metrics, &response->body);
    if (web->config.format_more)
        web->config.format_more(web->config.context, &response->body);
}

/* Apart, so that /metrics does not grow with the number of Services. */
static void page_services(const struct web *web, const struct http_request *request,
                          struct http_response *response)
{
    response->content_type = EXPOSITION_CONTENT_TYPE;
    if (web->config.format_services)
        web->config.format_services(web->config.context, &response->body);
}

static void page_slis(const struct web *web, const struct http_request *request,
                      struct http_response *response)
{
    if (strcmp(request->method, "DELETE") == 0) {
        web->config.metrics->pings_total = 0;
        http_response_set(response, 200, TEXT_PLAIN, "metrics reset\n");
        return;
    }
    begin_metrics(web, response);
    metrics_format_slis(web->config.metrics, &response->body);
}

/* --- what kube-proxy alone has --- */

static void page_configz(const struct web *web, const struct http_request *request,
                         struct http_response *response)
{
    http_response_set(response, 200, "application/json", "{\"kubeproxy.config.k8s.io\":");
    web->proxy.configz(web->config.context, &response->body);
    text_add(&response->body, "}");
}

static void set_zpage(struct http_response *response, struct zpage *page)
{
    http_response_set(response, page->status, page->content_type, "");
    if (page->warning)
        http_response_add_header(response, "Warning", page->warning);
    text_done(&response->body);
    response->body = page->body;
}

static void page_statusz(const struct web *web, const struct http_request *request,
                         struct http_response *response)
{
    static const char *const paths[] = {"/configz", "/flagz", "/healthz", "/metrics", "/proxyMode"};
    const char *shown[ARRAY_LEN(paths)];
    struct statusz facts = {.component = COMPONENT,
                            .version = FAIRLEAD_VERSION,
                            .emulated = KUBERNETES_MAJOR "." KUBERNETES_MINOR,
                            .paths = shown};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (web->proxy.has_flagz || strcmp(paths[i], "/flagz") != 0)
            shown[facts.path_count++] = paths[i];
    metrics_read_process(web->config.metrics, NULL);
    facts.started_s = (int64_t)web->config.metrics->process.start_time_s;
    facts.now_s = web_now().wall_ns / 1000000000;
    struct zpage page = statusz_answer(&facts, http_request_header(request, "Accept"));
    set_zpage(response, &page);
}

struct flags {
    struct arena arena;
    struct flagz_entry entries[FLAGS_MAX];
    size_t count;
};

static void on_flag(void *context, const char *flag, const char *value)
{
    struct flags *flags = context;
    assert(flags->count < FLAGS_MAX);
    flags->entries[flags->count++] =
        (struct flagz_entry){arena_strdup(&flags->arena, flag), arena_strdup(&flags->arena, value)};
}

static void page_flagz(const struct web *web, const struct http_request *request,
                       struct http_response *response)
{
    struct flags flags = {0};
    web->proxy.flagz(web->config.context, on_flag, &flags);
    struct zpage page =
        flagz_answer(COMPONENT, flags.entries, flags.count, http_request_header(request, "Accept"));
    set_zpage(response, &page);
    arena_done(&flags.arena);
}

static void page_flags(const struct web *web, const struct http_request *request,
                       struct http_response *response)
{
    http_response_set(response, 200, "text/html; charset=utf-8",
                      "<html><head><title>/debug/flags/</title></head><body>"
                      "<a href=\"/debug/flags/v\">v</a>: PUT sets it</body></html>\n");
}

/* apiserver/pkg/server/routes/flags.go. */
static void page_verbosity(const struct web *web, const struct http_request *request,
                           struct http_response *response)
{
    struct arena arena = {0};
    struct err err;
    int64_t verbosity = 0;
    if (strcmp(request->method, "PUT") != 0) {
        http_response_set(response, 406, "text/plain", "unsupported http method\n");
        return;
    }
    if (flag_value_set(FLAG_LEVEL, &verbosity, text_str(&request->body), &arena, &err) < 0) {
        http_response_set(response, 400, "text/plain", "");
        text_printf(&response->body, "%s\n", err.text);
    } else {
        web->proxy.set_verbosity(web->config.context, verbosity);
        http_response_set(response, 200, "text/plain", "");
        text_printf(&response->body, "the verbosity is %lld now\n", (long long)verbosity);
    }
    arena_done(&arena);
}

static void page_pprof(const struct web *web, const struct http_request *request,
                       struct http_response *response)
{
    http_response_set(
        response, 404, TEXT_PLAIN,
        "fairlead is no Go program: there is no Go profiler to ask; perf(1) can look into it\n");
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
    {"/metrics/services", page_services},
    {"/metrics/slis", page_slis},
    {"/configz", page_configz, NEED_PROXY},
    {"/flagz", page_flagz, NEED_FLAGZ},
    {"/statusz", page_statusz, NEED_STATUSZ},
    {"/debug/flags/v", page_verbosity, NEED_PROFILING},
    {"/debug/flags", page_flags, NEED_PROFILING},
    {"/debug/flags/", page_flags, NEED_PROFILING, true},
    {"/debug/pprof", page_pprof, NEED_PROFILING},
    {"/debug/pprof/", page_pprof, NEED_PROFILING, true},
    {NULL},
};

static bool is_served(const struct web *web, enum need need)
{
    switch (need) {
    case NEED_NOTHING:
        return true;
    case NEED_PROXY:
        return web->config.proxy;
    case NEED_FLAGZ:
        return web->proxy.has_flagz;
    case NEED_STATUSZ:
        return web->proxy.has_statusz;
    case NEED_PROFILING:
        return web->proxy.has_profiling;
    }
    return false;
}

/* path without empty, "." and ".." elements; a slash at the end stays. (Go's net/http, cleanPath) */
static void clean_path(const char *path, struct text *ret)
{
    size_t len, path_len = strlen(path);
    for (const char *at = path + strspn(path, "/"); *at; at += len, at += strspn(at, "/")) {
        len = strcspn(at, "/");
        if (len == 2 && strncmp(at, "..", len) == 0) {
            while (ret->len > 0 && ret->data[--ret->len] != '/')
                ;
        } else if (len != 1 || *at != '.') {
            text_add(ret, "/");
            text_add_bytes(ret, at, len);
        }
    }
    text_add(ret, ret->len == 0 || (path_len > 0 && path[path_len - 1] == '/') ? "/" : "");
}

/* Only what stands in a header as it is: the path was decoded. */
static bool is_sendable(const char *location)
{
    for (const char *at = location; *at; at++)
        if (*at <= ' ' || *at >= 127)
            return false;
    return strlen(location) < HTTP_HEADER_VALUE_MAX;
}

/* As Go's http.ServeMux does; true when the client was sent elsewhere. */
static bool redirect(const struct http_request *request, struct http_response *response)
{
    struct text location = {0};
    clean_path(request->path, &location);
    bool is_elsewhere = strcmp(text_str(&location), request->path) != 0;
    if (*request->query)
        text_printf(&location, "?%s", request->query);
    is_elsewhere = is_elsewhere && is_sendable(text_str(&location));
    if (is_elsewhere) {
        http_response_set(response, 307, TEXT_PLAIN, "");
        http_response_add_header(response, "Location", text_str(&location));
    }
    text_done(&location);
    return is_elsewhere;
}

static void on_request(void *context, const struct http_request *request, struct http_response *response)
{
    struct listener *listener = context;
    for (const struct route *route = listener->routes; route->path; route++) {
        size_t len = strlen(route->path);
        bool is_it = route->is_prefix ? strncmp(route->path, request->path, len) == 0
                                      : strcmp(route->path, request->path) == 0;
        if (is_it && is_served(listener->web, route->need)) {
            route->page(listener->web, request, response);
            return;
        }
    }
    if (!listener->cleans_paths || !redirect(request, response))
        http_response_set(response, 404, TEXT_PLAIN, "404 page not found\n");
}

/* Tries to bind what is not bound; 0 when nothing is left to try again. */
static int listener_bind(struct listener *listener, struct err *err)
{
    if (listener->server || listener->is_given_up)
        return 0;
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    int code = http_server_open(&listener->server, listener->web->loop, &listener->address, on_request,
                                listener, err);
    limits.body_max = BODY_MAX;
    if (code == 0)
        http_server_set_limits(listener->server, &limits);
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
    struct listener listener = {.web = web,
                                .name = name,
                                .routes = routes,
                                .cleans_paths = routes == healthz_routes,
                                .address = *address};
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
    if (config->proxy)
        web->proxy = *config->proxy;
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
