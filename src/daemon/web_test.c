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
        {"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", NULL},
        {"/livez", 404, PLAIN, "404 page not found\n"},
        {"/configz", 404, PLAIN, "404 page not found\n"},
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
        TEST(serves_kube_proxys_pages),          TEST(the_healthz_body_is_of_now),
        TEST(binds_when_the_address_comes_free), TEST(a_hard_fail_is_one),
        TEST(every_address_means_both_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
