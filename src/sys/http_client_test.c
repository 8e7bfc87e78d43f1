/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/test_http_client.h"
#include "sys/write_file.h"

#include <sched.h>
#include <sys/mount.h>

#define DAY_S 86400

static void gets(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    char url[256];
    struct err err;
    url_of(fixture, "/a?b=c", true, url);
    struct http_call_request request = {.method = "GET",
                                        .url = url,
                                        .accept = "application/json",
                                        .authorization = "Bearer secret",
                                        .timeout_ms = WAIT_MS};
    assert_int_equal(http_call_start(fixture->client, &request, &ops, &seen, &seen.call, &err), 0);
    assert_int_equal(seen.headers, 0);
    assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
    assert_string_equal(seen.err.text, "");
    assert_int_equal(seen.code, 0);
    assert_int_equal(seen.headers, 1);
    assert_int_equal(seen.status, 200);
    assert_string_equal(seen.content_type, "text/plain");
    assert_string_equal(
        text_str(&seen.body),
        "GET /a?b=c accept=application/json authorization=Bearer secret type= expect= body= user=");
    assert_int_equal(fixture->answered[200], 1);
    text_done(&seen.body);
}

static void streams(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    char url[256];
    url_of(fixture, "/watch", true, url);
    text_add(&fixture->stream->next, "one;");
    get(&seen, fixture, url, 0);
    assert_true(turn_until_text(fixture, &seen.body, "one;"));
    text_add(&fixture->stream->next, "two;");
    http_stream_wake(fixture->stream->stream);
    assert_true(turn_until_text(fixture, &seen.body, "two;"));
    assert_int_equal(seen.ended, 0);
    fixture->stream->is_ending = true;
    http_stream_wake(fixture->stream->stream);
    assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
    assert_int_equal(seen.code, 0);
    assert_string_equal(text_str(&seen.body), "one;two;");
    text_done(&seen.body);
}

static void sends_bodies_and_certificates(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    struct seen seen = {0};
    char url[256];
    options.certificate_pem = test_pki.admin_certificate;
    options.key_pem = test_pki.admin_key;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    url_of(fixture, "/b", true, url);
    struct http_call_request request = {.method = "PATCH",
                                        .url = url,
                                        .content_type = "application/merge-patch+json",
                                        .body = "{\"a\":1}and more",
                                        .body_len = 7,
                                        .tag = 5};
    assert_int_equal(http_call_start(fixture->client, &request, &ops, &seen, &seen.call, NULL), 0);
    assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
    assert_string_equal(text_str(&seen.body),
                        "PATCH /b? accept= authorization= type=application/merge-patch+json "
                        "expect= body={\"a\":1} user=kubernetes-admin");
    /* What the observer was told. */
    char names[64];
    snprintf(names, sizeof(names), "PATCH 127.0.0.1:%u", http_server_address(fixture->server).port);
    assert_string_equal(fixture->last_names, names);
    assert_int_equal(fixture->overs, 1);
    assert_int_equal(fixture->last.tag, 5);
    assert_int_equal(fixture->last.status, 200);
    assert_int_equal(fixture->last.sent_bytes, 7);
    assert_int_equal(fixture->last.received_bytes, seen.body.len);
    text_done(&seen.body);
    expect(fixture, "/c", 0, 200, "GET /c");
}

static void tells_status(void **state)
{
    struct fixture *fixture = *state;
    char url[256];
    url_of(fixture, "/busy", true, url);
    struct seen *seen = fetch(fixture, url, 0);
    assert_int_equal(seen->code, 0);
    assert_int_equal(seen->status, 429);
    assert_int_equal(seen->retry_after_s, 7);
    assert_string_equal(seen->content_type, "application/json");
    assert_int_equal(fixture->answered[429], 1);
    seen_free(seen);
}

static void verifies(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    char own[64];
    snprintf(own, sizeof(own), "127.0.0.1:%u", http_server_address(fixture->server).port);
    options.server_name = "localhost";
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", 0, 200, own);
    options.server_name = "elsewhere";
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", -EPROTO, 0, "https://127.0.0.1:");
    assert_int_equal(fixture->answered[0], 1);
    options = usual();
    options.ca_pem = test_pki.admin_certificate;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", -EPROTO, 0, "the server's certificate is not valid: ");
    options.ca_pem = NULL;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", -EPROTO, 0, "https://127.0.0.1:");
    options.is_insecure = true;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", 0, 200, own);
}

/* The system's authorities are replaced by ours, for this process. */
static bool has_system_of_ours(void)
{
    static const char *const paths[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ours.pem"};
    bool is_done = unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount("", "/etc/ssl/certs", "tmpfs", 0, NULL) == 0;
    for (size_t i = 0; is_done && i < ARRAY_LEN(paths); i++)
        is_done = write_file_whole(paths[i], 0644, test_pki.ca_certificate, strlen(test_pki.ca_certificate),
                                   NULL) == 0;
    return is_done;
}

static void trusts_the_system_only_without_another(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    if (!has_system_of_ours())
        skip();
    options.ca_pem = NULL;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", 0, 200, "127.0.0.1");
    options.ca_pem = test_pki.admin_certificate;
    assert_int_equal(http_client_set_options(fixture->client, &options, NULL), 0);
    expect(fixture, "/host", -EPROTO, 0, "https://127.0.0.1:");
}

static void takes_rotated_credentials(void **state)
{
    struct fixture *fixture = *state;
    struct http_client_options options = usual();
    struct seen watch = {0};
    char url[256], *certificate, *key;
    struct err err;
    url_of(fixture, "/watch", true, url);
    text_add(&fixture->stream->next, "one;");
    get(&watch, fixture, url, 0);
    assert_true(turn_until_text(fixture, &watch.body, "one;"));
    options.certificate_pem = test_pki.admin_certificate;
    options.key_pem = test_pki.admin_key;
    assert_int_equal(http_client_set_options(fixture->client, &options, &err), 0);
    expect(fixture, "/a", 0, 200, "user=kubernetes-admin");
    assert_int_equal(pki_issue_client(test_pki_dir, "next", NULL, DAY_S, &certificate, &key, NULL), 0);
    /* Half of a rotation. */
    options.certificate_pem = certificate;
    assert_int_equal(http_client_set_options(fixture->client, &options, &err), -EINVAL);
    options.key_pem = "-----BEGIN";
    assert_int_equal(http_client_set_options(fixture->client, &options, &err), -EINVAL);
    options.key_pem = NULL;
    assert_int_equal(http_client_set_options(fixture->client, &options, &err), -EINVAL);
    expect(fixture, "/a", 0, 200, "user=kubernetes-admin");
    options.key_pem = key;
    options.ca_pem = "nothing";
    assert_int_equal(http_client_set_options(fixture->client, &options, &err), -EINVAL);
    options.ca_pem = test_pki.ca_certificate;
    assert_int_equal(http_client_set_options(fixture->client, &options, &err), 0);
    expect(fixture, "/a", 0, 200, "user=next");
    /* The watch has gone on. */
    text_add(&fixture->stream->next, "two;");
    http_stream_wake(fixture->stream->stream);
    assert_true(turn_until_text(fixture, &watch.body, "two;"));
    assert_int_equal(watch.ended, 0);
    http_call_cancel(watch.call);
    text_done(&watch.body);
    free(certificate);
    free(key);
}

static void many_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct seen *all = calloc(60, sizeof(*all));
    char url[256];
    url_of(fixture, "/a", false, url);
    struct http_limits limits = {.connections_max = 100, .deadline_ms = 15000};
    http_server_set_limits(fixture->server, &limits);
    for (int i = 0; i < 60; i++)
        get(&all[i], fixture, url, WAIT_MS);
    for (int i = 0; i < 60; i++) {
        assert_true(turn_until(fixture, &all[i].ended, 1, WAIT_MS));
        assert_int_equal(all[i].code, 0);
        assert_int_equal(all[i].headers, 1);
        text_done(&all[i].body);
    }
    assert_int_equal(fixture->answered[200], 60);
    free(all);
}

/* --- callbacks that change things --- */

static void begin_watch(struct seen *seen, struct fixture *fixture)
{
    char url[256];
    url_of(fixture, "/watch", true, url);
    fixture->stream++;
    text_add(&fixture->stream->next, "one;");
    get(seen, fixture, url, 0);
}

static void callbacks_start_and_cancel(void **state)
{
    struct fixture *fixture = *state;
    struct seen started = {0}, other = {0}, seen = {.starts = &started};
    begin_watch(&seen, fixture);
    assert_true(turn_until(fixture, &started.ended, 1, WAIT_MS));
    assert_int_equal(started.status, 200);
    begin_watch(&other, fixture);
    other.cancels = &seen;
    other.cancels_itself = true;
    assert_true(turn_until_text(fixture, &other.body, "one;"));
    test_turn(&fixture->loop, 50);
    assert_int_equal(seen.ended + other.ended, 0);
    assert_true(fixture->stream->is_gone);
    assert_int_equal(http_server_streams(fixture->server), 0);
    text_done(&seen.body);
    text_done(&other.body);
    text_done(&started.body);
}

static void callbacks_give_up(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.gives_up = true};
    begin_watch(&seen, fixture);
    assert_true(turn_until(fixture, &seen.ended, 1, WAIT_MS));
    assert_int_equal(seen.code, -ECANCELED);
    expect(fixture, "/a", 0, 200, "GET /a");
    text_done(&seen.body);
}

static void callbacks_close(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.closes_client = true}, other = {0};
    begin_watch(&other, fixture);
    assert_true(turn_until_text(fixture, &other.body, "one;"));
    begin_watch(&seen, fixture);
    assert_true(turn_until_text(fixture, &seen.body, "one;"));
    test_turn(&fixture->loop, 50);
    assert_null(fixture->client);
    assert_int_equal(seen.ended + other.ended, 0);
    assert_int_equal(http_server_streams(fixture->server), 0);
    text_done(&seen.body);
    text_done(&other.body);
}

static void cancels_before_it_begins(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0}, held = {0};
    begin_watch(&seen, fixture);
    http_call_cancel(seen.call);
    http_client_hold(fixture->client);
    get(&held, fixture, "http://127.0.0.1:1/", 0);
    http_call_cancel(held.call);
    http_client_release(fixture->client, NULL);
    test_turn(&fixture->loop, 50);
    assert_int_equal(seen.ended + held.ended + seen.headers, 0);
    assert_int_equal(fixture->answered[0], 2);
    assert_int_equal(fixture->overs, 0);
    text_done(&fixture->stream->next);
}

static void holds(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {0}, second = {0};
    struct err err = {"no credentials"};
    char url[256];
    url_of(fixture, "/a", true, url);
    http_client_hold(fixture->client);
    get(&first, fixture, url, 0);
    test_turn(&fixture->loop, 50);
    assert_int_equal(first.headers, 0);
    http_client_release(fixture->client, "Bearer late");
    assert_true(turn_until(fixture, &first.ended, 1, WAIT_MS));
    assert_non_null(strstr(text_str(&first.body), "authorization=Bearer late "));
    http_client_hold(fixture->client);
    get(&second, fixture, url, 0);
    http_client_refuse(fixture->client, -EACCES, &err);
    assert_int_equal(second.ended, 1);
    assert_int_equal(second.code, -EACCES);
    assert_string_equal(second.err.text, "no credentials");
    expect(fixture, "/a", 0, 200, "authorization= ");
    text_done(&first.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gets, setup, teardown),
        cmocka_unit_test_setup_teardown(streams, setup, teardown),
        cmocka_unit_test_setup_teardown(sends_bodies_and_certificates, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_status, setup, teardown),
        cmocka_unit_test_setup_teardown(verifies, setup, teardown),
        cmocka_unit_test_setup_teardown(trusts_the_system_only_without_another, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_rotated_credentials, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_once, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(callbacks_start_and_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(callbacks_give_up, setup, teardown),
        cmocka_unit_test_setup_teardown(callbacks_close, setup, teardown),
        cmocka_unit_test_setup_teardown(cancels_before_it_begins, setup, teardown),
        cmocka_unit_test_setup_teardown(holds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
