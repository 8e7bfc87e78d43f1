/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/embedded.h"

#include "api/object.h"
#include "base/cleanup.h"
#include "daemon/kubeconfig.h"
#include "sys/read_file.h"
#include "sys/test_client.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The embedded API server in a folder of its own, as the daemon opens it. */

#define FILE_MAX_HERE ((size_t)1 << 16)

struct fixture {
    char folder[64], data_dir[80];
    struct options options;
    uv_loop_t loop;
    struct embedded embedded;
    unsigned puts, removes, complaints;
};

static void on_put(void *context, const struct api_object *object)
{
    ((struct fixture *)context)->puts++;
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    ((struct fixture *)context)->removes++;
}

static void on_settled(void *context)
{
}

static void on_complain(void *context, bool is_refusal, const char *sentence)
{
    ((struct fixture *)context)->complaints++;
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    struct options *options = &fixture->options;
    snprintf(fixture->folder, sizeof(fixture->folder), "%.40s/fairlead-embedded-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->data_dir, sizeof(fixture->data_dir), "%s/data", fixture->folder);
    *options = (struct options){.data_dir = fixture->data_dir,
                                .api_address_count = 1,
                                .is_api_plain = true,
                                .service_range_count = 1,
                                .node_port_first = 30000,
                                .node_port_last = 32767};
    assert_int_equal(prefix_parse("10.96.0.0/16", &options->service_ranges[0], NULL), 0);
    assert_int_equal(address_parse("127.0.0.1", &options->api[0].address, NULL), 0);
    uv_loop_init(&fixture->loop);
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

static int open_it(struct fixture *fixture, struct err *err)
{
    const struct source_sink sink = {fixture, on_put, on_remove, on_settled, on_complain};
    fixture->embedded = (struct embedded){0};
    fixture->puts = fixture->removes = 0;
    return embedded_open(&fixture->embedded, &fixture->loop, &fixture->options, &sink, err);
}

static void open_well(struct fixture *fixture)
{
    struct err err = {""};
    if (open_it(fixture, &err) < 0)
        fail_msg("%s", err.text);
}

static void close_it(struct fixture *fixture)
{
    embedded_close(&fixture->embedded);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    embedded_done(&fixture->embedded);
    fixture->embedded = (struct embedded){0};
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(fixture->complaints, 0);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    nftw(fixture->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

/* The text of a file in the data folder, the caller's; its mode has to be as given. */
static char *read_data(struct fixture *fixture, const char *name, unsigned mode)
{
    char path[128], *text;
    struct stat status;
    size_t len;
    snprintf(path, sizeof(path), "%s/%s", fixture->data_dir, name);
    assert_int_equal(read_file_whole(path, FILE_MAX_HERE, &text, &len, NULL), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, mode);
    char *copy = strndup(text, len);
    free(text);
    return copy;
}

/* What follows key up to the line's end, the caller's. */
static char *value_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        fail_msg("%s is not in\n%s", key, text);
    at += strlen(key);
    return strndup(at, strcspn(at, "\n"));
}

/* A request by the administrator's kubeconfig; the answer's code. */
static int ask(struct fixture *fixture, const char *method, const char *path, const char *body)
{
    cleanup_free char *config = read_data(fixture, "admin.kubeconfig", 0600),
                      *token = value_of(config, "token: ");
    struct socket_address to = fixture->options.api[0];
    struct text request = {0}, answer = {0};
    to.port = apiserver_port(fixture->embedded.server);
    text_printf(
        &request,
        "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: "
        "%zu\r\n\r\n%s",
        method, path, token, strlen(body), body);
    assert_true(test_exchange(&fixture->loop, &to, text_str(&request), &answer));
    int code = atoi(text_str(&answer) + strlen("HTTP/1.1 "));
    text_done(&request);
    text_done(&answer);
    return code;
}

static void a_new_folder_gets_all_that_is_needed(void **state)
{
    struct fixture *fixture = *state;
    char port[16];
    struct stat status;
    open_well(fixture);
    assert_int_equal(stat(fixture->data_dir, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    cleanup_free char *config = read_data(fixture, "admin.kubeconfig", 0600);
    snprintf(port, sizeof(port), ":%u\n", apiserver_port(fixture->embedded.server));
    cleanup_free char *server = value_of(config, "server: ");
    assert_int_equal(strncmp(server, "http://127.0.0.1:", 17), 0);
    assert_non_null(strstr(config, port));
    cleanup_free char *token = value_of(config, "token: "), *tokens = read_data(fixture, "tokens.csv", 0600);
    assert_int_equal(strlen(token), 48);
    assert_int_equal(strncmp(tokens, token, 48), 0);
    assert_non_null(strstr(tokens, "kubernetes-admin,\"system:masters\""));
    assert_int_equal(ask(fixture, "GET", "/api/v1/namespaces/default/services/kubernetes", ""), 200);
    assert_int_equal(ask(fixture, "GET", "/api/v1/namespaces/kube-system", ""), 200);
    /* The sink has heard of the Service, its range and its slice. */
    assert_int_equal(fixture->puts, 3);
    close_it(fixture);
}

static void objects_outlive_a_restart(void **state)
{
    struct fixture *fixture = *state;
    open_well(fixture);
    assert_int_equal(
        ask(fixture, "POST", "/api/v1/namespaces/default/services",
            "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"clusterIP\":\"10.96.0.9\",\"type\":\"NodePort\","
            "\"ports\":[{\"port\":80,\"nodePort\":30009}]}}"),
        201);
    test_turn(&fixture->loop, 20);
    assert_int_equal(fixture->puts, 4);
    uint64_t revision = registry_revision(fixture->embedded.registry);
    cleanup_free char *before = read_data(fixture, "admin.token", 0600);
    close_it(fixture);
    open_well(fixture);
    assert_int_equal(fixture->puts, 4);
    /* But for the port that the API is reached by everything is as it was. */
    assert_true(registry_revision(fixture->embedded.registry) <= revision + 3);
    assert_true(allocator_has_port(fixture->embedded.allocator, 30009));
    assert_int_equal(allocator_address_count(fixture->embedded.allocator), 2);
    cleanup_free char *after = read_data(fixture, "admin.token", 0600);
    assert_string_equal(after, before);
    assert_int_equal(ask(fixture, "POST", "/api/v1/namespaces/default/services",
                         "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"clusterIP\":\"10.96.0.9\",\"ports\":[{"
                         "\"port\":80}]}}"),
                     422);
    assert_int_equal(ask(fixture, "DELETE", "/api/v1/namespaces/default/services/web", ""), 200);
    test_turn(&fixture->loop, 20);
    assert_int_equal(fixture->removes, 1);
    close_it(fixture);
}

static void a_registry_may_be_without_a_server(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    fixture->options.api_address_count = 0;
    open_well(fixture);
    assert_null(fixture->embedded.server);
    snprintf(path, sizeof(path), "%s/admin.kubeconfig", fixture->data_dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_non_null(registry_get(fixture->embedded.registry, API_NAMESPACE, "", "default"));
    close_it(fixture);
}

static void the_folder_comes_in_one_batch(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    Meta__ObjectMeta metadata = META__OBJECT_META__INIT;
    Core__ServicePort port = CORE__SERVICE_PORT__INIT, *ports[] = {&port};
    Core__ServiceSpec spec = CORE__SERVICE_SPEC__INIT;
    Core__Service service = CORE__SERVICE__INIT;
    metadata.name = (char *)"web";
    port.has_port = true;
    port.port = 80;
    spec.n_ports = 1;
    spec.ports = ports;
    service.metadata = &metadata;
    service.spec = &spec;
    const struct api_object object = {API_SERVICE, "default", "web", &service.base};
    open_well(fixture);
    unsigned before = fixture->puts;
    struct source_sink sink = embedded_begin_listing(&fixture->embedded);
    sink.put(sink.context, &object);
    assert_int_equal(fixture->puts, before);
    assert_int_equal(embedded_finish_listing(&fixture->embedded, &err), 0);
    assert_int_equal(fixture->puts, before + 1);
    assert_non_null(registry_get(fixture->embedded.registry, API_SERVICE, "default", "web"));
    sink.remove(sink.context, API_SERVICE, "default", "web");
    test_turn(&fixture->loop, 20);
    assert_int_equal(fixture->removes, 1);
    close_it(fixture);
}

static void what_cannot_be_opened_is_told(void **state)
{
    struct fixture *fixture = *state;
    char other_dir[96];
    struct err err = {""};
    fixture->options.data_dir = "/nowhere/else/data";
    assert_int_equal(open_it(fixture, &err), -ENOENT);
    assert_non_null(strstr(err.text, "cannot make the data folder /nowhere/else/data"));
    close_it(fixture);
    fixture->options.data_dir = fixture->data_dir;
    fixture->options.node_port_first = 0;
    assert_int_equal(open_it(fixture, &err), -EINVAL);
    close_it(fixture);
    fixture->options.node_port_first = 30000;
    open_well(fixture);
    /* Somebody else has the folder, or the port. */
    struct embedded second = {0};
    const struct source_sink sink = {fixture, on_put, on_remove, on_settled, on_complain};
    assert_int_equal(embedded_open(&second, &fixture->loop, &fixture->options, &sink, &err), -EBUSY);
    assert_non_null(strstr(err.text, "registry.db"));
    embedded_close(&second);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    embedded_done(&second);
    struct options other = fixture->options;
    snprintf(other_dir, sizeof(other_dir), "%s/other", fixture->folder);
    other.data_dir = other_dir;
    other.api[0].port = apiserver_port(fixture->embedded.server);
    second = (struct embedded){0};
    assert_int_equal(embedded_open(&second, &fixture->loop, &other, &sink, &err), -EADDRINUSE);
    embedded_close(&second);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    embedded_done(&second);
    close_it(fixture);
}

/* --- kubeconfig --- */

static void kubeconfigs_have_everything_inside(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.is_api_plain = false;
    open_well(fixture);
    cleanup_free char *config = read_data(fixture, "admin.kubeconfig", 0600),
                      *server = value_of(config, "server: ");
    assert_int_equal(strncmp(server, "https://127.0.0.1:", 18), 0);
    assert_non_null(strstr(config, "\n    certificate-authority-data: LS0tLS1CRUdJTi"));
    assert_non_null(strstr(config, "\n    client-certificate-data: LS0tLS1CRUdJTi"));
    assert_non_null(strstr(config, "\n    client-key-data: LS0tLS1CRUdJTi"));
    assert_null(strstr(config, "token: "));
    close_it(fixture);
}

static void everywhere_is_written_as_here(void **state)
{
    static const char *const cases[][2] = {
        {"0.0.0.0:6443", "server: http://127.0.0.1:6443\n"},
        {"[::]:6443", "server: http://[::1]:6443\n"},
        {"192.0.2.1:7443", "server: http://192.0.2.1:7443\n"},
    };
    struct fixture *fixture = *state;
    char path[128];
    assert_int_equal(mkdir(fixture->data_dir, 0700), 0);
    snprintf(path, sizeof(path), "%s/admin.kubeconfig", fixture->data_dir);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct socket_address at;
        struct err err;
        assert_int_equal(socket_address_parse(cases[i][0], &at, NULL), 0);
        assert_int_equal(kubeconfig_write_admin(path, fixture->data_dir, &at, true, NULL, &err), 0);
        cleanup_free char *config = read_data(fixture, "admin.kubeconfig", 0600);
        if (!strstr(config, cases[i][1]))
            fail_msg("%s\n%s", cases[i][0], config);
    }
    /* One token for all of them. */
    cleanup_free char *tokens = read_data(fixture, "tokens.csv", 0600);
    assert_ptr_equal(strchr(tokens, '\n'), tokens + strlen(tokens) - 1);
}

static void tokens_have_kubeconfigs(void **state)
{
    struct text text = {0};
    kubeconfig_for_token("https://192.0.2.1:6443", "PEM", 3, "system:node:n1", "secret", &text);
    assert_string_equal(
        text_str(&text),
        "apiVersion: v1\nkind: Config\ncurrent-context: fairlead\ncontexts:\n- name: fairlead\n  context:\n"
        "    cluster: fairlead\n    user: system:node:n1\nclusters:\n- name: fairlead\n  cluster:\n"
        "    server: https://192.0.2.1:6443\n    certificate-authority-data: UEVN\nusers:\n"
        "- name: system:node:n1\n  user:\n    token: secret\n");
    text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_folder_gets_all_that_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_outlive_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_registry_may_be_without_a_server, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folder_comes_in_one_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(kubeconfigs_have_everything_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(everywhere_is_written_as_here, setup, teardown),
        cmocka_unit_test(tokens_have_kubeconfigs),
    };
    return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
