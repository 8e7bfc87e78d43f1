/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/test_http.h"

#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DAY_S 86400
#define GET "GET /who HTTP/1.1\r\nHost: a\r\n\r\n"

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
};

/* "CN/O,O," or "nobody", or "refused"; /length answers with the body's length. */
static void who(void *context, const struct http_request *request, struct http_response *response)
{
    const struct http_peer *peer = request->peer;
    char name[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&peer->address, name), "127.0.0.1");
    http_response_set(response, 200, "text/plain", "");
    if (strcmp(request->path, "/length") == 0) {
        text_printf(&response->body, "length %zu;", request->body.len);
        return;
    }
    text_add(&response->body, peer->is_certificate_refused ? "refused"
                              : peer->common_name          ? peer->common_name
                                                           : "nobody");
    text_add(&response->body, "/");
    for (const char *const *each = peer->organizations; *each; each++)
        text_printf(&response->body, "%s,", *each);
    text_add(&response->body, ";");
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct err err;
    uv_loop_init(&fixture->loop);
    if (test_server_open(&fixture->server, &fixture->loop, true, who, fixture, &err) < 0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gnutls_global_set_time_function(time);
    http_server_close(fixture->server);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    free(fixture);
    return 0;
}

/* What the server says of whoever has this certificate. */
static void assert_seen_as(struct fixture *fixture, const char *certificate, const char *key,
                           const char *priorities, const char *seen)
{
    struct test_client client;
    assert_true(test_client_connect(fixture->server, &client));
    assert_true(test_client_tls(&fixture->loop, &client, priorities, certificate, key));
    /* Twice: it stays so for the connection's life. */
    for (int i = 0; i < 2; i++) {
        text_done(&client.got);
        assert_true(test_client_send(&client, GET));
        assert_true(test_client_wait(&fixture->loop, &client, ";", 2000));
        assert_string_equal(test_body(&client.got), seen);
    }
    test_client_close(&client);
}

static void knows_its_clients(void **state)
{
    struct fixture *fixture = *state;
    static const char *const groups[] = {"system:nodes", "two, with a comma", "drei \xc3\xb6", NULL};
    char *certificate, *key;
    assert_seen_as(fixture, NULL, NULL, NULL, "nobody/;");
    assert_seen_as(fixture, test_pki.admin_certificate, test_pki.admin_key, NULL,
                   "kubernetes-admin/system:masters,;");
    assert_seen_as(fixture, test_pki.admin_certificate, test_pki.admin_key, "NORMAL:-VERS-ALL:+VERS-TLS1.2",
                   "kubernetes-admin/system:masters,;");
    assert_int_equal(
        pki_issue_client(test_pki_dir, "system:node:one", groups, DAY_S, &certificate, &key, NULL), 0);
    assert_seen_as(fixture, certificate, key, NULL,
                   "system:node:one/system:nodes,two, with a comma,drei \xc3\xb6,;");
    free(certificate);
    free(key);
    assert_int_equal(pki_issue_client(test_pki_dir, "solo", NULL, DAY_S, &certificate, &key, NULL), 0);
    assert_seen_as(fixture, certificate, key, NULL, "solo/;");
    free(certificate);
    free(key);
}

/* As pki makes none: of our authority, with these parts of a subject alone. */
static void issue_odd(const char *oid, const char *value, size_t len, char certificate[4096], char key[4096])
{
    gnutls_x509_crt_t made, ca;
    gnutls_x509_privkey_t made_key, ca_key;
    gnutls_datum_t ca_pem = {(unsigned char *)test_pki.ca_certificate,
                             (unsigned)strlen(test_pki.ca_certificate)};
    gnutls_datum_t ca_key_pem;
    char path[128];
    size_t certificate_len = 4096, key_len = 4096;
    snprintf(path, sizeof(path), "%s/ca.key", test_pki_dir);
    assert_int_equal(gnutls_load_file(path, &ca_key_pem), 0);
    gnutls_x509_crt_init(&made);
    gnutls_x509_crt_init(&ca);
    gnutls_x509_privkey_init(&made_key);
    gnutls_x509_privkey_init(&ca_key);
    assert_int_equal(gnutls_x509_crt_import(ca, &ca_pem, GNUTLS_X509_FMT_PEM), 0);
    assert_int_equal(gnutls_x509_privkey_import(ca_key, &ca_key_pem, GNUTLS_X509_FMT_PEM), 0);
    gnutls_x509_privkey_generate(made_key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                 0);
    gnutls_x509_crt_set_version(made, 3);
    gnutls_x509_crt_set_serial(made, "odd", 3);
    gnutls_x509_crt_set_activation_time(made, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(made, time(NULL) + DAY_S);
    gnutls_x509_crt_set_key(made, made_key);
    assert_int_equal(
        gnutls_x509_crt_set_dn_by_oid(made, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, "system:masters", 14), 0);
    assert_int_equal(gnutls_x509_crt_set_dn_by_oid(made, oid, 0, value, (unsigned)len), 0);
    assert_int_equal(gnutls_x509_crt_sign2(made, ca, ca_key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export(made, GNUTLS_X509_FMT_PEM, certificate, &certificate_len), 0);
    assert_int_equal(gnutls_x509_privkey_export(made_key, GNUTLS_X509_FMT_PEM, key, &key_len), 0);
    gnutls_x509_crt_deinit(made);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_privkey_deinit(made_key);
    gnutls_x509_privkey_deinit(ca_key);
    gnutls_free(ca_key_pem.data);
}

static void takes_no_odd_subject(void **state)
{
    struct fixture *fixture = *state;
    char certificate[4096], key[4096], longest[258] = {0};
    /* Without a name nobody is in any group. */
    issue_odd(GNUTLS_OID_X520_LOCALITY_NAME, "here", 4, certificate, key);
    assert_seen_as(fixture, certificate, key, NULL, "nobody/;");
    memset(longest, 'n', 257);
    issue_odd(GNUTLS_OID_X520_COMMON_NAME, longest, 257, certificate, key);
    assert_seen_as(fixture, certificate, key, NULL, "refused/;");
    issue_odd(GNUTLS_OID_X520_COMMON_NAME, "admin\0.example", 14, certificate, key);
    assert_seen_as(fixture, certificate, key, NULL, "refused/;");
    longest[256] = '\0';
    issue_odd(GNUTLS_OID_X520_COMMON_NAME, longest, 256, certificate, key);
    struct text seen = {0};
    text_printf(&seen, "%s/system:masters,;", longest);
    assert_seen_as(fixture, certificate, key, NULL, seen.data);
    text_done(&seen);
}

static time_t in_two_days(time_t *ret)
{
    return time(ret) + 2 * DAY_S;
}

static void refuses_bad_certificates(void **state)
{
    struct fixture *fixture = *state;
    char own_dir[sizeof(test_pki_dir)], *certificate, *key;
    struct pki own = test_pki;
    memcpy(own_dir, test_pki_dir, sizeof(own_dir));
    /* Another authority, of the same name. */
    assert_int_equal(test_pki_setup(NULL), 0);
    struct pki foreign = test_pki;
    test_pki = own;
    assert_seen_as(fixture, foreign.admin_certificate, foreign.admin_key, NULL, "refused/;");
    test_pki = foreign;
    assert_int_equal(test_pki_teardown(NULL), 0);
    memcpy(test_pki_dir, own_dir, sizeof(own_dir));
    test_pki = own;
    /* For servers. */
    assert_seen_as(fixture, test_pki.server_certificate, test_pki.server_key, NULL, "refused/;");
    /* Over. */
    assert_int_equal(pki_issue_client(test_pki_dir, "old", NULL, DAY_S, &certificate, &key, NULL), 0);
    assert_seen_as(fixture, certificate, key, NULL, "old/;");
    gnutls_global_set_time_function(in_two_days);
    assert_seen_as(fixture, certificate, key, NULL, "refused/;");
    free(certificate);
    free(key);
}

static void knows_all_groups_or_refuses(void **state)
{
    struct fixture *fixture = *state;
    char *certificate, *key, name[70][8];
    const char *groups[71] = {NULL};
    for (size_t i = 0; i < 70; i++)
        snprintf(name[i], sizeof(name[i]), "group%zu", i);
    for (size_t count = 63; count <= 70; count += 7) {
        struct text seen = {0};
        text_add(&seen, count < 64 ? "many/" : "refused/");
        for (size_t i = 0; i < count; i++) {
            groups[i] = name[i];
            if (count < 64)
                text_printf(&seen, "%s,", name[i]);
        }
        text_add(&seen, ";");
        assert_int_equal(pki_issue_client(test_pki_dir, "many", groups, DAY_S, &certificate, &key, NULL), 0);
        assert_seen_as(fixture, certificate, key, NULL, seen.data);
        free(certificate);
        free(key);
        text_done(&seen);
    }
}

static void speaks_the_two_versions_of_today(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *priorities;
        bool is_served;
        gnutls_protocol_t version;
    } cases[] = {
        {"NORMAL", true, GNUTLS_TLS1_3},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.3", true, GNUTLS_TLS1_3},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", true, GNUTLS_TLS1_2},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT", false, 0},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_client client;
        gnutls_datum_t protocol;
        assert_true(test_client_connect(fixture->server, &client));
        if (test_client_tls(&fixture->loop, &client, cases[i].priorities, NULL, NULL) != cases[i].is_served)
            fail_msg("case %zu", i);
        if (cases[i].is_served) {
            assert_int_equal(gnutls_protocol_get_version(client.session), cases[i].version);
            assert_int_equal(gnutls_alpn_get_selected_protocol(client.session, &protocol), 0);
            assert_int_equal(protocol.size, 8);
            assert_memory_equal(protocol.data, "http/1.1", 8);
        }
        test_client_close(&client);
    }
    test_turn(&fixture->loop, 20);
    assert_int_equal(http_server_connections(fixture->server), 0);
}

/* One record brings more than libmicrohttpd takes in one read: what gnutls has decrypted wakes no socket. */
static void leaves_nothing_in_the_record(void **state)
{
    struct fixture *fixture = *state;
    struct test_client client;
    struct text record = {0};
    http_server_set_limits(
        fixture->server,
        &(struct http_limits){.connections_max = 10, .deadline_ms = 5000, .body_max = 100000});
    assert_true(test_client_open(&fixture->loop, fixture->server, true, &client));
    text_add(&record, "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 15500\r\n\r\n");
    for (int i = 0; i < 15500; i++)
        text_add_bytes(&record, "b", 1);
    for (int i = 0; i < 10; i++)
        text_add(&record, GET);
    assert_in_range(record.len, 15000, 16384);
    assert_true(test_client_send(&client, record.data));
    assert_true(test_client_wait(&fixture->loop, &client, "length 15500;", 1000));
    for (long long end = test_now_ms() + 1000; test_now_ms() < end;) {
        size_t count = 0;
        for (const char *at = text_str(&client.got); (at = strstr(at, "nobody/;")); at++)
            count++;
        if (count == 10)
            break;
        test_client_wait(&fixture->loop, &client, "never", 5);
        if (test_now_ms() >= end)
            fail_msg("%zu answers of 10", count);
    }
    test_client_close(&client);
    text_done(&record);
}

/* A server that knows no authority asks nobody; nor does one without TLS. */
static void asks_nobody_without_an_authority(void **state)
{
    struct fixture *fixture = *state;
    struct http_server *server;
    struct test_client client;
    struct socket_address any = {0};
    const struct http_tls tls = {.certificate_pem = test_pki.server_certificate,
                                 .key_pem = test_pki.server_key};
    address_parse("127.0.0.1", &any.address, NULL);
    assert_int_equal(http_server_open_tls(&server, &fixture->loop, &any, &tls, who, fixture, NULL), 0);
    assert_true(test_client_connect(server, &client));
    assert_true(
        test_client_tls(&fixture->loop, &client, NULL, test_pki.admin_certificate, test_pki.admin_key));
    assert_true(test_client_send(&client, GET));
    assert_true(test_client_wait(&fixture->loop, &client, "nobody/;", 1000));
    test_client_close(&client);
    http_server_close(server);
    assert_int_equal(test_server_open(&server, &fixture->loop, false, who, fixture, NULL), 0);
    assert_true(test_client_open(&fixture->loop, server, false, &client));
    assert_true(test_client_send(&client, GET));
    assert_true(test_client_wait(&fixture->loop, &client, "nobody/;", 1000));
    test_client_close(&client);
    http_server_close(server);
}

static void says_what_is_wrong_with_its_certificates(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        struct http_tls tls;
        const char *words;
    } cases[] = {
        {{"", test_pki.server_key, NULL}, "the server's certificate and key: "},
        {{"nonsense", test_pki.server_key, NULL}, "the server's certificate and key: "},
        {{test_pki.server_certificate, "", NULL}, "the server's certificate and key: "},
        {{test_pki.server_certificate, test_pki.admin_key, NULL}, "the server's certificate and key: "},
        {{test_pki.server_certificate, test_pki.server_key, ""}, "the clients' certificate authority: "},
        {{test_pki.server_certificate, test_pki.server_key, "no PEM"},
         "the clients' certificate authority: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_server *server = NULL;
        struct socket_address any = {0};
        struct err err;
        address_parse("127.0.0.1", &any.address, NULL);
        assert_int_equal(
            http_server_open_tls(&server, &fixture->loop, &any, &cases[i].tls, who, fixture, &err), -EINVAL);
        if (!strstr(err.text, cases[i].words) ||
            strncmp(err.text, "cannot serve HTTPS on 127.0.0.1:0: ", 35) != 0)
            fail_msg("case %zu: %s", i, err.text);
        assert_null(server);
    }
}

/* Bytes that are no TLS, and half of what is, end soon and hurt nobody. */
static void survives_nonsense(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
        {"\x16\x03\x01\xff\xff\x01\x00\x01\xfc\x03\x03", 11},
        {"\x17\x03\x03\x00\x05hello", 10},
        {"\x15\x03\x03\x00\x02\x02\x28", 7},
        {"", 0},
    };
    http_server_set_limits(
        fixture->server, &(struct http_limits){.connections_max = 10, .deadline_ms = 5000, .header_ms = 150});
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_client client;
        assert_true(test_client_connect(fixture->server, &client));
        assert_int_equal(test_client_write(&client, cases[i].bytes, cases[i].len), cases[i].len);
        if (!test_client_wait(&fixture->loop, &client, NULL, 500))
            fail_msg("case %zu left the connection open", i);
        test_client_close(&client);
    }
    assert_int_equal(http_server_connections(fixture->server), 0);
    assert_seen_as(fixture, NULL, NULL, NULL, "nobody/;");
}

/* A handshake that stops in its middle does not keep the loop from sleeping. */
static void sleeps_during_handshakes(void **state)
{
    struct fixture *fixture = *state;
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (size_t len = 0; len < sizeof(hello); len++) {
        struct test_client client, other;
        assert_true(test_client_connect(fixture->server, &client));
        assert_int_equal(test_client_write(&client, hello, len), len);
        /* On a busy machine a timer may be due just now, but not again and again. */
        bool sleeps = false;
        for (int i = 0; i < 20 && !sleeps; i++) {
            test_turn(&fixture->loop, 30);
            sleeps = uv_backend_timeout(&fixture->loop) != 0;
        }
        assert_true(sleeps);
        assert_true(test_client_open(&fixture->loop, fixture->server, true, &other));
        assert_true(test_client_send(&other, GET));
        assert_true(test_client_wait(&fixture->loop, &other, ";", 2000));
        test_client_close(&other);
        test_client_close(&client);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(knows_its_clients),
        TEST(takes_no_odd_subject),
        TEST(refuses_bad_certificates),
        TEST(knows_all_groups_or_refuses),
        TEST(speaks_the_two_versions_of_today),
        TEST(leaves_nothing_in_the_record),
        TEST(asks_nobody_without_an_authority),
        TEST(says_what_is_wrong_with_its_certificates),
        TEST(survives_nonsense),
        TEST(sleeps_during_handshakes),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
