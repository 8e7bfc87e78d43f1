/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/cluster.h"

#include "api/base64.h"
#include "sys/read_file.h"
#include "sys/test_http.h"
#include "sys/write_file.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WAIT_MS 5000
#define DAY_S 86400
/* Files are looked at once a second. */
#define LOOK_MS 1100
#define V1 "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never"
#define V1BETA1 "apiVersion: client.authentication.k8s.io/v1beta1"

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
    struct cluster *cluster;
    char dir[64];
};

struct seen {
    unsigned status, ended;
    int code;
    struct text body;
    struct err err;
};

static void who(void *context, const struct http_request *request, struct http_response *response)
{
    const char *authorization = http_request_header(request, "Authorization");
    http_response_set(response, 200, "text/plain", "");
    text_printf(&response->body, "%s %s by=%s cn=%s", request->method, request->path,
                authorization ? authorization : "",
                request->peer->common_name ? request->peer->common_name : "");
}

static void saw_headers(void *context, const struct http_call_headers *headers)
{
    ((struct seen *)context)->status = headers->status;
}

static bool saw_data(void *context, const char *bytes, size_t len)
{
    text_add_bytes(&((struct seen *)context)->body, bytes, len);
    return true;
}

static void saw_end(void *context, int code, const struct err *err)
{
    struct seen *seen = context;
    seen->ended++;
    seen->code = code;
    seen->err = *err;
}

static const struct http_call_ops ops = {saw_headers, saw_data, saw_end};

static const char *path_of(const struct fixture *fixture, const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *at = path[next++ % 4];
    snprintf(at, sizeof(path[0]), "%s/%s", fixture->dir, name);
    return at;
}

static void put_file(const struct fixture *fixture, const char *name, mode_t mode, const char *text)
{
    assert_int_equal(write_file_whole(path_of(fixture, name), mode, text, strlen(text), NULL), 0);
}

static void put_script(const struct fixture *fixture, const char *text)
{
    struct text script = {0};
    text_printf(&script, "#!/bin/sh\ncd '%s' || exit 9\necho run >>runs\n%s\n", fixture->dir, text);
    put_file(fixture, "plugin", 0755, text_str(&script));
    text_done(&script);
}

static size_t runs(const struct fixture *fixture)
{
    struct stat info;
    return stat(path_of(fixture, "runs"), &info) == 0 ? (size_t)info.st_size / 4 : 0;
}

/* user is the YAML of a user, in one line. */
static void put_config(const struct fixture *fixture, const char *user)
{
    struct text text = {0};
    text_printf(&text,
                "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                "users: [{name: u, user: {%s}}]\nclusters:\n- name: k\n  cluster:\n"
                "    server: https://127.0.0.1:%u/\n    certificate-authority-data: ",
                user, http_server_address(fixture->server).port);
    base64_add(&text, (const uint8_t *)test_pki.ca_certificate, strlen(test_pki.ca_certificate));
    text_add(&text, "\n");
    put_file(fixture, "config", 0600, text_str(&text));
    text_done(&text);
}

static struct cluster_options options_of(const struct fixture *fixture)
{
    return (struct cluster_options){.kubeconfig = path_of(fixture, "config"),
                                    .user_agent = "test",
                                    .exec_timeout_ms = 2000,
                                    .connect_timeout_ms = WAIT_MS};
}

static void open_with(struct fixture *fixture, const char *user)
{
    struct err err;
    put_config(fixture, user);
    struct cluster_options options = options_of(fixture);
    if (cluster_open(&fixture->cluster, &fixture->loop, &options, &err) < 0)
        fail_msg("%s", err.text);
}

static struct http_call *begin(struct fixture *fixture, struct seen *seen)
{
    struct http_call *call = NULL;
    struct err err;
    const struct cluster_request request = {.method = "GET", .path = "/a", .timeout_ms = WAIT_MS};
    if (cluster_call(fixture->cluster, &request, &ops, seen, &call, &err) < 0)
        fail_msg("%s", err.text);
    return call;
}

static void wait_for(struct fixture *fixture, struct seen *seen)
{
    for (long long end = test_now_ms() + WAIT_MS; !seen->ended && test_now_ms() < end;)
        test_turn(&fixture->loop, 1);
    assert_int_equal(seen->ended, 1);
}

/* What a call brings by end: the body, or why there is none. */
static void expect_by(struct fixture *fixture, int code, const char *part, long long end)
{
    for (;;) {
        struct seen seen = {0};
        begin(fixture, &seen);
        wait_for(fixture, &seen);
        const char *text = seen.code < 0 ? seen.err.text : text_str(&seen.body);
        bool is_as_wanted = seen.code == code && strstr(text, part);
        if (!is_as_wanted && test_now_ms() >= end)
            fail_msg("wanted %d \"%s\", got %d \"%s\"", code, part, seen.code, text);
        text_done(&seen.body);
        if (is_as_wanted)
            return;
    }
}

static void expect(struct fixture *fixture, int code, const char *part)
{
    expect_by(fixture, code, part, 0);
}

/* Behind a look at a file, which may come late on a machine with other work. */
static void expect_soon(struct fixture *fixture, int code, const char *part)
{
    expect_by(fixture, code, part, test_now_ms() + WAIT_MS);
}

static uint64_t counted(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++)
        count += histogram->counts[i];
    return count;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const char *tmp = getenv("TMPDIR");
    uv_loop_init(&fixture->loop);
    snprintf(fixture->dir, sizeof(fixture->dir), "%s/fairlead-cluster-XXXXXX", tmp ? tmp : "/tmp");
    *state = fixture;
    if (!mkdtemp(fixture->dir))
        return -1;
    return test_server_open(&fixture->server, &fixture->loop, true, who, fixture, NULL);
}

static int teardown(void **state)
{
    static const char *const names[] = {"config",     "plugin",     "runs",  "token",      "ca.crt",
                                        "client.crt", "client.key", "info",  "server.crt", "server.key",
                                        "admin.crt",  "admin.key",  "ca.key"};
    struct fixture *fixture = *state;
    cluster_close(fixture->cluster);
    http_server_close(fixture->server);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(fixture, names[i]));
    assert_int_equal(rmdir(fixture->dir), 0);
    free(fixture);
    return 0;
}

static void knows_tokens_and_passwords(void **state)
{
    struct fixture *fixture = *state;
    char server[64];
    open_with(fixture, "token: secret");
    snprintf(server, sizeof(server), "https://127.0.0.1:%u", http_server_address(fixture->server).port);
    assert_string_equal(cluster_server(fixture->cluster), server);
    expect(fixture, 0, "GET /a by=Bearer secret cn=");
    cluster_close(fixture->cluster);
    open_with(fixture, "username: me, password: \"it: is\"");
    expect(fixture, 0, "by=Basic bWU6aXQ6IGlz ");
    const struct rest_series *series = cluster_metrics(fixture->cluster)->series;
    assert_string_equal(series->method, "GET");
    assert_string_equal(series->host, strstr(cluster_server(fixture->cluster), "://") + 3);
    assert_null(series->next);
    assert_int_equal(series->calls[200], 1);
    assert_int_equal(series->calls[0], 0);
    assert_int_equal(counted(&series->duration), 1);
    assert_int_equal(counted(&series->response_size), 1);
    assert_int_equal(counted(&series->request_size), 0);
    assert_int_equal(counted(&series->throttled), 1);
    /* A watch counts as a call and as nothing else; what held a call back does. */
    struct seen seen = {0};
    struct http_call *call;
    struct cluster_request request = {
        .method = "GET", .path = "/a", .timeout_ms = WAIT_MS, .is_stream = true};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cluster_call(fixture->cluster, &request, &ops, &seen, &call, NULL), 0);
        wait_for(fixture, &seen);
        text_done(&seen.body);
        seen = (struct seen){0};
        request.is_stream = false;
        request.throttled_ms = 300;
    }
    assert_int_equal(series->calls[200], 3);
    assert_int_equal(counted(&series->duration), 2);
    assert_int_equal(counted(&series->response_size), 2);
    assert_int_equal(counted(&series->throttled), 2);
    assert_true(series->throttled.sum == 0.3);
}

static void reads_tokens_again(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "token", 0600, " one\n");
    open_with(fixture, "tokenFile: token");
    expect(fixture, 0, "by=Bearer one ");
    put_file(fixture, "token", 0600, "two");
    expect(fixture, 0, "by=Bearer one ");
    expect_soon(fixture, 0, "by=Bearer two ");
    /* At once when the server says so. */
    put_file(fixture, "token", 0600, "three");
    cluster_unauthorized(fixture->cluster);
    expect(fixture, 0, "by=Bearer three ");
    /* What cannot be used changes nothing. */
    put_file(fixture, "token", 0600, "");
    cluster_unauthorized(fixture->cluster);
    expect(fixture, 0, "by=Bearer three ");
    unlink(path_of(fixture, "token"));
    test_turn(&fixture->loop, LOOK_MS);
    expect(fixture, 0, "by=Bearer three ");
    put_file(fixture, "token", 0600, "four");
    expect_soon(fixture, 0, "by=Bearer four ");
}

static void reads_certificates_again(void **state)
{
    struct fixture *fixture = *state;
    char *certificate, *key;
    assert_int_equal(pki_issue_client(test_pki_dir, "next", NULL, DAY_S, &certificate, &key, NULL), 0);
    put_file(fixture, "client.crt", 0600, test_pki.admin_certificate);
    put_file(fixture, "client.key", 0600, test_pki.admin_key);
    open_with(fixture, "client-certificate: client.crt, client-key: client.key");
    expect(fixture, 0, "by= cn=kubernetes-admin");
    put_file(fixture, "client.crt", 0600, certificate);
    test_turn(&fixture->loop, LOOK_MS);
    expect(fixture, 0, "cn=kubernetes-admin");
    put_file(fixture, "client.key", 0600, key);
    test_turn(&fixture->loop, LOOK_MS);
    expect(fixture, 0, "cn=next");
    /* The file that names them as well. */
    put_config(fixture, "token: now-a-token");
    test_turn(&fixture->loop, LOOK_MS);
    expect(fixture, 0, "by=Bearer now-a-token cn=");
    free(certificate);
    free(key);
}

static void is_a_service_account(void **state)
{
    struct fixture *fixture = *state;
    struct cluster_options options = {.service_account_dir = fixture->dir};
    struct http_server *second;
    struct socket_address any = {0};
    struct pki other;
    char port[16];
    struct err err;
    unsetenv("KUBERNETES_SERVICE_HOST");
    assert_int_equal(cluster_open(&fixture->cluster, &fixture->loop, &options, &err), -ENOENT);
    setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
    snprintf(port, sizeof(port), "%u", http_server_address(fixture->server).port);
    setenv("KUBERNETES_SERVICE_PORT", port, 1);
    assert_int_equal(cluster_open(&fixture->cluster, &fixture->loop, &options, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/ca.crt"));
    /* Another authority's server, for later. */
    address_parse("127.0.0.1", &any.address, NULL);
    assert_int_equal(pki_prepare(fixture->dir, &any.address, 1, NULL, &other, NULL), 0);
    const struct http_tls tls = {.certificate_pem = other.server_certificate, .key_pem = other.server_key};
    assert_int_equal(http_server_open_tls(&second, &fixture->loop, &any, &tls, who, NULL, NULL), 0);
    put_file(fixture, "ca.crt", 0600, test_pki.ca_certificate);
    put_file(fixture, "token", 0600, "pod");
    if (cluster_open(&fixture->cluster, &fixture->loop, &options, &err) < 0)
        fail_msg("%s", err.text);
    expect(fixture, 0, "by=Bearer pod ");
    snprintf(port, sizeof(port), "%u", http_server_address(second).port);
    setenv("KUBERNETES_SERVICE_PORT", port, 1);
    put_file(fixture, "ca.crt", 0600, other.ca_certificate);
    test_turn(&fixture->loop, LOOK_MS);
    expect(fixture, 0, "by=Bearer pod ");
    assert_non_null(strstr(cluster_server(fixture->cluster), port));
    unsetenv("KUBERNETES_SERVICE_HOST");
    http_server_close(second);
    pki_done(&other);
}

static void fails_over(void **state)
{
    struct fixture *fixture = *state;
    struct cluster_options options = options_of(fixture);
    char master[128];
    struct err err;
    put_config(fixture, "token: secret");
    snprintf(master, sizeof(master), "127.0.0.1:1/, https://127.0.0.1:%u//",
             http_server_address(fixture->server).port);
    options.master = master;
    assert_int_equal(cluster_open(&fixture->cluster, &fixture->loop, &options, &err), 0);
    assert_string_equal(cluster_server(fixture->cluster), "https://127.0.0.1:1");
    expect(fixture, -ECONNREFUSED, "https://127.0.0.1:1: ");
    assert_int_equal(cluster_metrics(fixture->cluster)->series->calls[0], 1);
    cluster_next(fixture->cluster);
    expect(fixture, 0, "by=Bearer secret");
    /* Reading files again does not go back. */
    cluster_unauthorized(fixture->cluster);
    expect(fixture, 0, "by=Bearer secret");
    cluster_next(fixture->cluster);
    assert_string_equal(cluster_server(fixture->cluster), "https://127.0.0.1:1");
    cluster_close(fixture->cluster);
    /* Without a file: nobody in particular, over plain HTTP. */
    options.kubeconfig = "";
    options.master = "10.0.0.1:8080";
    assert_int_equal(cluster_open(&fixture->cluster, &fixture->loop, &options, &err), 0);
    assert_string_equal(cluster_server(fixture->cluster), "http://10.0.0.1:8080");
}

static void names_what_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *user, *master, *part;
        int code;
    } cases[] = {
        {"tokenFile: nowhere", NULL, "/nowhere", -ENOENT},
        {"client-certificate: nowhere, client-key: neither", NULL, "/nowhere", -ENOENT},
        {"client-certificate-data: YQ==, client-key-data: YQ==", NULL, "no good", -EINVAL},
        {"token: a", "ftp://a", "ftp://a", -EINVAL},
        {"token: a", "https://user:secret@a", "is not the URL", -EINVAL},
        {"token: a", "https://", "is not the URL", -EINVAL},
        {"token: a", " , ", "no server", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cluster_options options = options_of(fixture);
        struct err err = {""};
        put_config(fixture, cases[i].user);
        options.master = cases[i].master;
        int code = cluster_open(&fixture->cluster, &fixture->loop, &options, &err);
        if (code != cases[i].code || !strstr(err.text, cases[i].part))
            fail_msg("case %zu: %d %s", i, code, err.text);
    }
}

/* --- programs --- */

static void asks_a_program(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {0}, second = {0};
    put_script(fixture,
               "printf %s \"$KUBERNETES_EXEC_INFO\" >info; sleep 0.2\n"
               "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\","
               "\"status\":{\"token\":\"'$1$NAME$(grep -c run runs)'\"}}'");
    open_with(fixture, "exec: {command: ./plugin, args: [a-], env: [{name: NAME, value: b-}], "
                       "provideClusterInfo: true, " V1 "}");
    assert_int_equal(runs(fixture), 0);
    begin(fixture, &first);
    http_call_cancel(begin(fixture, &second));
    assert_int_equal(first.ended, 0);
    wait_for(fixture, &first);
    assert_non_null(strstr(text_str(&first.body), "by=Bearer a-b-1 "));
    expect(fixture, 0, "by=Bearer a-b-1 ");
    assert_int_equal(runs(fixture), 1);
    cluster_unauthorized(fixture->cluster);
    expect(fixture, 0, "by=Bearer a-b-2 ");
    char *info;
    size_t len;
    assert_int_equal(read_file_whole(path_of(fixture, "info"), 65536, &info, &len, NULL), 0);
    info = realloc(info, len + 1);
    info[len] = '\0';
    assert_non_null(strstr(info, "\"apiVersion\":\"client.authentication.k8s.io/v1\""));
    assert_non_null(strstr(info, "\"interactive\":false"));
    assert_non_null(strstr(info, "\"server\":\"https://127.0.0.1:"));
    assert_non_null(strstr(info, "\"certificate-authority-data\":\"LS0t"));
    free(info);
    assert_int_equal(second.ended, 0);
    text_done(&first.body);
}

static void asks_again_when_expired(void **state)
{
    struct fixture *fixture = *state;
    put_script(fixture,
               "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\","
               "\"status\":{\"token\":\"t'$(grep -c run runs)'\",\"expirationTimestamp\":\"'"
               "$(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ)'\"}}'");
    open_with(fixture, "exec: {command: ./plugin, " V1BETA1 "}");
    expect(fixture, 0, "by=Bearer t1 ");
    expect(fixture, 0, "by=Bearer t1 ");
    test_turn(&fixture->loop, 2100);
    expect(fixture, 0, "by=Bearer t2 ");
}

static void takes_a_programs_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct text answer = {0};
    text_add(&answer,
             "cat <<'E'\n{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\","
             "\"status\":{\"clientCertificateData\":\"");
    for (int part = 0; part < 2; part++) {
        for (const char *at = part ? test_pki.admin_key : test_pki.admin_certificate; *at; at++)
            if (*at == '\n')
                text_add(&answer, "\\n");
            else
                text_add_bytes(&answer, at, 1);
        text_add(&answer, part ? "\"}}\nE" : "\",\"clientKeyData\":\"");
    }
    put_script(fixture, text_str(&answer));
    text_done(&answer);
    open_with(fixture, "exec: {command: ./plugin, " V1 "}");
    expect(fixture, 0, "by= cn=kubernetes-admin");
    expect(fixture, 0, "by= cn=kubernetes-admin");
    assert_int_equal(runs(fixture), 1);
}

static void bears_bad_programs(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *script, *part;
        int code;
    } cases[] = {
        {"exit 3", "failed with exit code 3", -EACCES},
        {"kill -9 $$", "signal 9", -EACCES},
        {"echo hello", "something else than JSON", -EPROTO},
        {"echo '{}'", "something else than an ExecCredential", -EPROTO},
        {"echo "
         "'{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/"
         "v1beta1\",\"status\":{}}'",
         "another API version", -EPROTO},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\"}'",
         "without a status", -EPROTO},
        {"echo "
         "'{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{}}'",
         "neither a token", -EPROTO},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":"
         "{\"clientKeyData\":\"a\"}}'",
         "not both", -EPROTO},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":"
         "{\"clientKeyData\":\"a\",\"clientCertificateData\":\"b\"}}'",
         "no good", -EINVAL},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":"
         "{\"token\":\"a\\u000ab\"}}'",
         "control characters", -EPROTO},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":"
         "{\"token\":\"a\",\"expirationTimestamp\":\"soon\"}}'",
         "no time", -EPROTO},
        {"exec tr '\\0' x </dev/zero 2>/dev/null", "says more than can be read", -EPROTO},
    };
    uint64_t failures[2] = {0}; /* with an answer of no use; without one */
    open_with(fixture, "exec: {command: ./plugin, " V1 "}");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        put_script(fixture, cases[i].script);
        expect(fixture, cases[i].code, cases[i].part);
        failures[cases[i].code == -EACCES]++;
    }
    /* And none at all. */
    struct seen seen = {0};
    struct http_call *call;
    struct err err;
    const struct cluster_request request = {.method = "GET", .path = "/a"};
    unlink(path_of(fixture, "plugin"));
    assert_int_equal(cluster_call(fixture->cluster, &request, &ops, &seen, &call, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/plugin cannot be started"));
    const uint64_t *runs_by_end = cluster_metrics(fixture->cluster)->exec_calls;
    assert_int_equal(runs_by_end[REST_EXEC_GOOD], failures[0]);
    assert_int_equal(runs_by_end[REST_EXEC_FAILED], failures[1]);
    assert_int_equal(runs_by_end[REST_EXEC_NOT_FOUND], 1);
    put_script(fixture,
               "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\","
               "\"status\":{\"token\":\"good\"}}'");
    expect(fixture, 0, "by=Bearer good ");
}

static void ends_programs_that_hang(void **state)
{
    struct fixture *fixture = *state;
    struct cluster_options options = options_of(fixture);
    struct seen seen = {0};
    long long begun = test_now_ms();
    options.exec_timeout_ms = 300;
    /* One child that holds the output, one that does not. */
    put_script(fixture, "echo $$ >info; sleep 60 & sleep 60 >/dev/null");
    put_config(fixture, "exec: {command: ./plugin, " V1 "}");
    assert_int_equal(cluster_open(&fixture->cluster, &fixture->loop, &options, NULL), 0);
    expect(fixture, -ETIMEDOUT, "takes too long");
    assert_in_range(test_now_ms() - begun, 290, 2000);
    char *pid;
    size_t len;
    assert_int_equal(read_file_whole(path_of(fixture, "info"), 64, &pid, &len, NULL), 0);
    test_turn(&fixture->loop, 200);
    assert_int_equal(kill((pid_t)atoi(pid), 0), -1);
    free(pid);
    /* Closing does not wait for one. */
    begin(fixture, &seen);
    test_turn(&fixture->loop, 50);
    cluster_close(steal_pointer(&fixture->cluster));
    /* Nor does it leave a zombie to a process that goes on with another loop. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_int_equal(seen.ended, 0);
    assert_in_range(test_now_ms() - begun, 290, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_tokens_and_passwords, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_tokens_again, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_certificates_again, setup, teardown),
        cmocka_unit_test_setup_teardown(is_a_service_account, setup, teardown),
        cmocka_unit_test_setup_teardown(fails_over, setup, teardown),
        cmocka_unit_test_setup_teardown(names_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_a_program, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_again_when_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_a_programs_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(bears_bad_programs, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_programs_that_hang, setup, teardown),
    };
    return cmocka_run_group_tests(tests, test_pki_setup, test_pki_teardown);
}
