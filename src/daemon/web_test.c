/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/web.h"

#include "base/arena.h"
#include "sys/http.h"
#include "sys/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct health health;
    struct metrics metrics;
    struct socket_address healthz, metrics_server;
    struct web_config config;
    struct web *web;
    struct text reports;
    int64_t verbosity;
};

static void report(void *context, const char *sentence)
{
    struct fixture *fixture = context;
    text_printf(&fixture->reports, "%s\n", sentence);
}

static void no_request(void *context, const struct http_request *request, struct http_response *response)
{
}

static struct socket_address free_port(uv_loop_t *loop)
{
    struct socket_address address = {0};
    struct http_server *server = NULL;
    address_parse("127.0.0.1", &address.address, NULL);
    assert_int_equal(http_server_open(&server, loop, &address, no_request, NULL, NULL), 0);
    address = http_server_address(server);
    http_server_close(server);
    return address;
}

static int setup(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    uv_loop_init(&fixture->loop);
    health_init(&fixture->health, 30000);
    metrics_init(&fixture->metrics);
    fixture->healthz = free_port(&fixture->loop);
    fixture->metrics_server = free_port(&fixture->loop);
    fixture->config = (struct web_config){.healthz = &fixture->healthz,
                                          .metrics_server = &fixture->metrics_server,
                                          .mode = "nftables",
                                          .health = &fixture->health,
                                          .metrics = &fixture->metrics,
                                          .retry_ms = 100,
                                          .report = report,
                                          .context = fixture};
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    web_close(fixture->web);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    text_done(&fixture->reports);
    free(fixture);
    return 0;
}

static void open_web(struct fixture *fixture)
{
    struct err err;
    assert_int_equal(web_open(&fixture->web, &fixture->loop, &fixture->config, &err), 0);
}

struct page {
    const char *path;
    int status;
    const char *type, *body; /* NULL: not compared */
};

static void check_pages(struct fixture *fixture, const struct socket_address *address,
                        const struct page *page)
{
    for (; page->path; page++) {
        struct text text = {0};
        char status[32], type[96];
        assert_true(test_get(&fixture->loop, address, page->path, &text));
        snprintf(status, sizeof(status), "HTTP/1.1 %d ", page->status);
        snprintf(type, sizeof(type), "\r\nContent-Type: %s\r\n", page->type);
        if (strncmp(text.data, status, strlen(status)) != 0 || !strstr(text.data, type))
            fail_msg("%s: %s", page->path, text.data);
        if (page->body)
            assert_string_equal(test_body(&text), page->body);
        text_done(&text);
    }
}

#define PLAIN "text/plain; charset=utf-8"

static void serves_kube_proxys_pages(void **state)
{
    struct fixture *fixture = *state;
    static const struct page healthz[] = {
        {"/healthz", 200, "application/json", NULL},      {"/livez?x", 200, "application/json", NULL},
        {"/", 404, PLAIN, "404 page not found\n"},        {"/healthz/", 404, PLAIN, "404 page not found\n"},
        {"/metrics", 404, PLAIN, "404 page not found\n"}, {NULL},
    };
    static const struct page metrics[] = {
        {"/healthz", 200, PLAIN, "ok"},
        {"/healthz?a&verbose", 200, PLAIN, "[+]ping ok\nhealthz check passed\n"},
        {"/healthz?verbosely", 200, PLAIN, "ok"},
        {"/healthz/ping", 200, PLAIN, "ok"},
        {"/proxyMode", 200, PLAIN, "nftables"},
        {"/healthz?verbose=false", 200, PLAIN, "[+]ping ok\nhealthz check passed\n"},
        {"/healthz?exclude=ping&verbose", 200, PLAIN, "[+]ping excluded: ok\nhealthz check passed\n"},
        {"/healthz?verbose&exclude=a&exclude=ping&exclude=b", 200, PLAIN,
         "[+]ping excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"a\",\"b\"\n"
         "healthz check passed\n"},
        {"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", NULL},
        {"/metrics/slis", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", NULL},
        {"/metrics/services", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", ""},
        {"/livez", 404, PLAIN, "404 page not found\n"},
        {"//metrics", 404, PLAIN, "404 page not found\n"},
        /* Those of kube-proxy's role. */
        {"/configz", 404, PLAIN, "404 page not found\n"},
        {"/flagz", 404, PLAIN, "404 page not found\n"},
        {"/statusz", 404, PLAIN, "404 page not found\n"},
        {"/debug/flags/v", 404, PLAIN, "404 page not found\n"},
        {"/debug/pprof/", 404, PLAIN, "404 page not found\n"},
        {NULL},
    };
    open_web(fixture);
    assert_string_equal(text_str(&fixture->reports), "");
    check_pages(fixture, &fixture->healthz, healthz);
    check_pages(fixture, &fixture->metrics_server, metrics);

    fixture->health.is_node_eligible = false;
    static const struct page drained[] = {
        {"/healthz", 503, "application/json", NULL}, {"/livez", 200, "application/json", NULL}, {NULL}};
    check_pages(fixture, &fixture->healthz, drained);
    struct text text = {0};
    assert_true(test_get(&fixture->loop, &fixture->metrics_server, "/metrics", &text));
    assert_non_null(strstr(text.data, "\nkubeproxy_proxy_healthz_total{code=\"200\"} 1\n"));
    assert_non_null(strstr(text.data, "\nkubeproxy_proxy_healthz_total{code=\"503\"} 1\n"));
    assert_non_null(strstr(text.data, "\nkubeproxy_proxy_livez_total{code=\"200\"} 2\n"));
    assert_non_null(strstr(text.data, "\nprocess_resident_memory_bytes "));
    text_done(&text);
}

static void format_more(void *context, struct text *ret)
{
    text_printf(ret, "more %u\n", ((struct fixture *)context)->config.retry_ms);
}

static void format_services(void *context, struct text *ret)
{
    text_printf(ret, "services %u\n", ((struct fixture *)context)->config.retry_ms);
}

/* What its owner tells stands at the end of /metrics; the Services have a page of their own, of the same
 * type. */
static void tells_what_its_owner_tells(void **state)
{
    struct fixture *fixture = *state;
    static const struct page pages[] = {
        {"/metrics/services", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
         "services 100\n"},
        {NULL},
    };
    fixture->config.format_more = format_more;
    fixture->config.format_services = format_services;
    open_web(fixture);
    check_pages(fixture, &fixture->metrics_server, pages);
    struct text text = {0};
    assert_true(test_get(&fixture->loop, &fixture->metrics_server, "/metrics", &text));
    const char *more = strstr(text.data, "\nmore 100\n");
    assert_non_null(more);
    assert_string_equal(more, "\nmore 100\n");
    assert_null(strstr(text.data, "services 100"));
    text_done(&text);
}

/* One request with a method, headers and a body; the whole answer. */
static void ask(struct fixture *fixture, const struct socket_address *to, const char *method,
                const char *path, const char *headers, const char *body, struct text *answer)
{
    struct text request = {0};
    text_printf(&request,
                "%s %s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                method, path, headers, strlen(body), body);
    answer->len = 0;
    assert_true(test_exchange(&fixture->loop, to, text_str(&request), answer));
    text_done(&request);
}

static void expect_answer(struct fixture *fixture, const char *method, const char *path, const char *body,
                          const char *status, const char *want)
{
    struct text answer = {0};
    ask(fixture, &fixture->metrics_server, method, path, "", body, &answer);
    if (!strstr(text_str(&answer), status) || strcmp(test_body(&answer), want) != 0)
        fail_msg("%s %s: wanted %s \"%s\", got %s", method, path, status, want, text_str(&answer));
    text_done(&answer);
}

static void on_configz(void *context, struct text *ret)
{
    text_printf(ret, "{\"mode\":\"%s\"}", ((struct fixture *)context)->config.mode);
}

static void on_flagz(void *context, web_flag_fn *visit, void *visit_context)
{
    visit(visit_context, "proxy-mode", ((struct fixture *)context)->config.mode);
    visit(visit_context, "config", "");
}

static void on_verbosity(void *context, int64_t verbosity)
{
    ((struct fixture *)context)->verbosity = verbosity;
}

static const struct web_proxy whole = {true, true, true, on_configz, on_flagz, on_verbosity};

static void serves_what_the_proxy_shows_of_itself(void **state)
{
    struct fixture *fixture = *state;
    struct text answer = {0};
    fixture->config.proxy = &whole;
    open_web(fixture);
    expect_answer(fixture, "GET", "/configz", "", "\r\nContent-Type: application/json\r\n",
                  "{\"kubeproxy.config.k8s.io\":{\"mode\":\"nftables\"}}");
    fixture->config.mode = "other"; /* asked for each time */
    expect_answer(fixture, "POST", "/configz", "x", " 200 OK\r\n",
                  "{\"kubeproxy.config.k8s.io\":{\"mode\":\"other\"}}");
    ask(fixture, &fixture->metrics_server, "GET", "/flagz", "", "", &answer);
    assert_non_null(strstr(text_str(&answer), "\nconfig=\nproxy-mode=other\n"));
    ask(fixture, &fixture->metrics_server, "GET", "/statusz", "", "", &answer);
    assert_non_null(strstr(text_str(&answer), "\nPaths: /configz /flagz /healthz /metrics /proxyMode\n"));
    assert_non_null(strstr(text_str(&answer), "\nUp: 0 hr 00 min "));
    ask(fixture, &fixture->metrics_server, "GET", "/statusz",
        "Accept: application/json;v=v1alpha1;g=config.k8s.io;as=Statusz\r\n", "", &answer);
    assert_non_null(strstr(text_str(&answer), "\r\nWarning: 299 - "));
    assert_non_null(strstr(text_str(&answer), "\"binaryVersion\": \"" FAIRLEAD_VERSION "\""));
    ask(fixture, &fixture->metrics_server, "GET", "/flagz", "Accept: application/json\r\n", "", &answer);
    assert_non_null(strstr(text_str(&answer), " 406 Not Acceptable\r\n"));
    text_done(&answer);
}

static void sets_the_verbosity(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.proxy = &whole;
    open_web(fixture);
    expect_answer(fixture, "PUT", "/debug/flags/v", "4", " 200 OK\r\n", "the verbosity is 4 now\n");
    assert_int_equal(fixture->verbosity, 4);
    expect_answer(fixture, "POST", "/debug/flags/v", "2", " 406 Not Acceptable\r\n",
                  "unsupported http method\n");
    expect_answer(fixture, "PUT", "/debug/flags/v", "x", " 400 Bad Request\r\n",
                  "strconv.ParseUint: parsing \"x\": invalid syntax\n");
    expect_answer(fixture, "PUT", "/debug/flags/v", "", " 400 Bad Request\r\n",
                  "strconv.ParseUint: parsing \"\": invalid syntax\n");
    assert_int_equal(fixture->verbosity, 4);
    static const struct page debug[] = {{"/debug/flags", 200, "text/html; charset=utf-8", NULL},
                                        {"/debug/flags/w", 200, "text/html; charset=utf-8", NULL},
                                        {"/debug/pprof", 404, PLAIN, NULL},
                                        {"/debug/pprof/heap", 404, PLAIN, NULL},
                                        {"/debug", 404, PLAIN, "404 page not found\n"},
                                        {NULL}};
    check_pages(fixture, &fixture->metrics_server, debug);
    struct text answer = {0};
    ask(fixture, &fixture->metrics_server, "GET", "/debug/pprof/heap", "", "", &answer);
    assert_non_null(strstr(text_str(&answer), "no Go profiler"));
    text_done(&answer);
}

static void gates_close_pages(void **state)
{
    struct fixture *fixture = *state;
    struct web_proxy none = {.configz = on_configz, .flagz = on_flagz, .has_statusz = true};
    struct text answer = {0};
    fixture->config.proxy = &none;
    open_web(fixture);
    static const struct page pages[] = {{"/configz", 200, "application/json", NULL},
                                        {"/flagz", 404, PLAIN, "404 page not found\n"},
                                        {"/debug/flags/v", 404, PLAIN, "404 page not found\n"},
                                        {"/debug/pprof/", 404, PLAIN, "404 page not found\n"},
                                        {NULL}};
    check_pages(fixture, &fixture->metrics_server, pages);
    ask(fixture, &fixture->metrics_server, "GET", "/statusz", "", "", &answer);
    assert_non_null(strstr(text_str(&answer), "\nPaths: /configz /healthz /metrics /proxyMode\n"));
    text_done(&answer);
}

/* Health checks of the metrics server, and those alone. */
static void counts_health_checks(void **state)
{
    struct fixture *fixture = *state;
    struct text answer = {0};
    open_web(fixture);
    static const struct page asked[] = {{"/healthz", 200, PLAIN, "ok"},
                                        {"/healthz?exclude=ping", 200, PLAIN, "ok"},
                                        {"/healthz/ping", 200, PLAIN, "ok"},
                                        {"/healthz?verbose", 200, PLAIN, NULL},
                                        {NULL}};
    check_pages(fixture, &fixture->metrics_server, asked);
    static const struct page livez[] = {{"/healthz", 200, "application/json", NULL}, {NULL}};
    check_pages(fixture, &fixture->healthz, livez);
    ask(fixture, &fixture->metrics_server, "GET", "/metrics/slis", "", "", &answer);
    assert_non_null(strstr(text_str(&answer), "status=\"success\",type=\"healthz\"} 2\n"));
    assert_non_null(strstr(text_str(&answer), "\nprocess_start_time_seconds "));
    assert_non_null(strstr(text_str(&answer), "\r\nProcess-Start-Time-Unix: "));
    expect_answer(fixture, "DELETE", "/metrics/slis", "", " 200 OK\r\n", "metrics reset\n");
    ask(fixture, &fixture->metrics_server, "GET", "/metrics/slis", "", "", &answer);
    assert_null(strstr(text_str(&answer), "kubernetes_healthcheck"));
    text_done(&answer);
}

static void any_method_and_any_path(void **state)
{
    struct fixture *fixture = *state;
    struct text answer = {0};
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"};
    static const char *const elsewhere[][2] = {{"//livez", "/livez"},
                                               {"/livez/../healthz?a=b", "/healthz?a=b"},
                                               {"/./livez", "/livez"},
                                               {"/../..//livez/.//", "/livez/"},
                                               {"/healthz/..", "/"}};
    open_web(fixture);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        ask(fixture, &fixture->healthz, methods[i], "/healthz", "", "abc", &answer);
        if (strncmp(text_str(&answer), "HTTP/1.1 200 ", 13) != 0 || *test_body(&answer) != '{')
            fail_msg("%s: %s", methods[i], text_str(&answer));
    }
    ask(fixture, &fixture->healthz, "HEAD", "/healthz", "", "", &answer);
    assert_int_equal(strncmp(text_str(&answer), "HTTP/1.1 200 ", 13), 0);
    assert_non_null(strstr(text_str(&answer), "\r\nContent-Length: "));
    assert_string_equal(test_body(&answer), "");
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        char want[64];
        ask(fixture, &fixture->healthz, "GET", elsewhere[i][0], "", "", &answer);
        snprintf(want, sizeof(want), "\r\nLocation: %s\r\n", elsewhere[i][1]);
        if (!strstr(text_str(&answer), " 307 ") || !strstr(text_str(&answer), want))
            fail_msg("%s: %s", elsewhere[i][0], text_str(&answer));
    }
    /* No header of the client's making. */
    ask(fixture, &fixture->healthz, "GET", "//a%0d%0aSet-Cookie:%20x", "", "", &answer);
    assert_non_null(strstr(text_str(&answer), " 404 "));
    assert_null(strstr(text_str(&answer), "Set-Cookie"));
    text_done(&answer);
}

static void the_healthz_body_is_of_now(void **state)
{
    struct fixture *fixture = *state;
    struct text text = {0};
    open_web(fixture);
    health_updated(&fixture->health, FAMILY_IPV4, web_now());
    struct health_time late = web_now();
    late.monotonic_ns -= 60LL * 1000000000;
    health_queued(&fixture->health, FAMILY_IPV4, late);
    assert_true(test_get(&fixture->loop, &fixture->healthz, "/healthz", &text));
    assert_int_equal(strncmp(text.data, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(text.data, "\r\nX-Content-Type-Options: nosniff\r\n"));
    char year[32];
    time_t now = time(NULL);
    strftime(year, sizeof(year), "\"currentTime\":\"%Y-%m-%dT%H", gmtime(&now));
    assert_non_null(strstr(test_body(&text), year));
    assert_non_null(
        strstr(test_body(&text), ",\"nodeEligible\":true,\"healthy\":false,\"status\":{\"IPv4\":{"));
    text_done(&text);
}

static void binds_when_the_address_comes_free(void **state)
{
    struct fixture *fixture = *state;
    struct http_server *squatter = NULL;
    char want[256], name[SOCKET_ADDRESS_TEXT_MAX];
    assert_int_equal(http_server_open(&squatter, &fixture->loop, &fixture->healthz, no_request, NULL, NULL),
                     0);
    open_web(fixture);
    test_turn(&fixture->loop, 350);
    socket_address_format(&fixture->healthz, name);
    snprintf(want, sizeof(want), "healthz: cannot listen on %s: Address already in use\n", name);
    assert_string_equal(text_str(&fixture->reports), want);
    static const struct page mode[] = {{"/proxyMode", 200, PLAIN, "nftables"}, {NULL}};
    check_pages(fixture, &fixture->metrics_server, mode);
    http_server_close(squatter);
    test_turn(&fixture->loop, 200);
    static const struct page livez[] = {{"/livez", 200, "application/json", NULL}, {NULL}};
    check_pages(fixture, &fixture->healthz, livez);
    snprintf(want + strlen(want), sizeof(want) - strlen(want), "healthz: serving on %s now\n", name);
    assert_string_equal(text_str(&fixture->reports), want);
    test_turn(&fixture->loop, 20);
    assert_int_equal(uv_backend_timeout(&fixture->loop), -1);
}

static void a_hard_fail_is_one(void **state)
{
    struct fixture *fixture = *state;
    struct http_server *squatter = NULL;
    struct err err;
    char want[256], name[SOCKET_ADDRESS_TEXT_MAX];
    fixture->config.is_bind_hard_fail = true;
    assert_int_equal(
        http_server_open(&squatter, &fixture->loop, &fixture->metrics_server, no_request, NULL, NULL), 0);
    assert_int_equal(web_open(&fixture->web, &fixture->loop, &fixture->config, &err), -EADDRINUSE);
    snprintf(want, sizeof(want), "metrics: cannot listen on %s: Address already in use",
             socket_address_format(&fixture->metrics_server, name));
    assert_string_equal(err.text, want);
    assert_null(fixture->web);
    assert_int_equal(test_connect(&fixture->healthz), -ECONNREFUSED);
    http_server_close(squatter);
    fixture->config.metrics_server = NULL;
    open_web(fixture);
    assert_int_equal(test_connect(&fixture->metrics_server), -ECONNREFUSED);
}

/* 0.0.0.0 answers on IPv6 as well, where that exists. */
static void every_address_means_both_families(void **state)
{
    struct fixture *fixture = *state;
    static const struct page livez[] = {{"/livez", 200, "application/json", NULL}, {NULL}};
    struct socket_address v4 = fixture->healthz, v6 = fixture->healthz;
    address_parse("0.0.0.0", &fixture->healthz.address, NULL);
    address_parse("::1", &v6.address, NULL);
    open_web(fixture);
    check_pages(fixture, &v4, livez);
    int fd = test_connect(&v6);
    if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
        assert_string_equal(text_str(&fixture->reports), "");
        skip();
    }
    assert_true(fd >= 0);
    close(fd);
    check_pages(fixture, &v6, livez);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(serves_kube_proxys_pages),   TEST(serves_what_the_proxy_shows_of_itself),
        TEST(sets_the_verbosity),         TEST(gates_close_pages),
        TEST(counts_health_checks),       TEST(any_method_and_any_path),
        TEST(the_healthz_body_is_of_now), TEST(binds_when_the_address_comes_free),
        TEST(a_hard_fail_is_one),         TEST(every_address_means_both_families),
        TEST(tells_what_its_owner_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
