/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/kubeconfig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
#define CONTEXT "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"
#define CLUSTER "clusters:\n- name: k\n  cluster: {server: https://10.0.0.1:6443}\n"
#define EXEC "users:\n- name: u\n  user:\n    exec:\n      "

static char dir[64];

static int make_dir(void **state)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%s/fairlead-config-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/a", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/b", dir);
    unlink(path);
    return rmdir(dir);
}

static const char *write_config(const char *name, const char *text)
{
    static char path[2][128];
    char *at = path[*name == 'b'];
    snprintf(at, sizeof(path[0]), "%s/%s", dir, name);
    FILE *file = fopen(at, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return at;
}

static void reads_everything(void **state)
{
    struct arena arena = {0};
    struct kubeconfig config;
    struct err err = {""};
    char expected[160];
    const char *path = write_config(
        "a", HEAD CONTEXT
        "clusters:\n- name: other\n  cluster: {server: wrong}\n- name: k\n  cluster:\n"
        "    server: https://10.0.0.1:6443\n    tls-server-name: kubernetes\n    proxy-url: socks5://p:1\n"
        "    certificate-authority: pki/ca.crt\n"
        "    extensions:\n    - name: client.authentication.k8s.io/exec\n      extension: {audience: x}\n"
        "users:\n- name: u\n  user:\n    client-certificate-data: Y2VydA==\n    client-key: /abs/key\n"
        "    tokenFile: ../token\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n"
        "      command: bin/plugin\n      interactiveMode: Never\n      args: [a, b]\n"
        "      env: [{name: X, value: \"1\"}]\n      provideClusterInfo: true\n");
    if (kubeconfig_read(path, &arena, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    assert_string_equal(config.server_name, "kubernetes");
    assert_string_equal(config.proxy_url, "socks5://p:1");
    snprintf(expected, sizeof(expected), "%s/pki/ca.crt", dir);
    assert_string_equal(config.ca_file, expected);
    assert_null(config.ca_pem);
    assert_string_equal(config.certificate_pem, "cert");
    assert_string_equal(config.key_file, "/abs/key");
    snprintf(expected, sizeof(expected), "%s/../token", dir);
    assert_string_equal(config.token_file, expected);
    assert_null(config.exec.command); /* the certificate and the token come first */
    assert_string_equal(config.exec.args[1], "b");
    assert_null(config.exec.args[2]);
    assert_string_equal(config.exec.env[0], "X=1");
    assert_string_equal(config.exec.cluster_config, "{\"audience\":\"x\"}");
    assert_true(config.exec.provides_cluster);
    arena_done(&arena);
}

static void reads_json(void **state)
{
    struct arena arena = {0};
    struct kubeconfig config;
    const char *path = write_config(
        "a",
        "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\": {\"cluster\": \"k\"}}], "
        "\"clusters\": [{\"name\": \"k\", \"cluster\": {\"server\": \"h\", \"insecure-skip-tls-verify\": "
        "true}}]}");
    assert_int_equal(kubeconfig_read(path, &arena, &config, NULL), 0);
    assert_string_equal(config.server, "h");
    assert_true(config.is_insecure);
    assert_null(config.token);
    arena_done(&arena);
}

static void resolves_programs(void **state)
{
    struct arena arena = {0};
    struct kubeconfig config;
    char expected[128];
    const char *path =
        write_config("a", HEAD CONTEXT CLUSTER EXEC
                     "{apiVersion: client.authentication.k8s.io/v1beta1, command: ./plugin}\n");
    assert_int_equal(kubeconfig_read(path, &arena, &config, NULL), 0);
    snprintf(expected, sizeof(expected), "%s/./plugin", dir);
    assert_string_equal(config.exec.command, expected);
    assert_null(config.exec.args[0]);
    path = write_config("a", HEAD CONTEXT CLUSTER EXEC
                        "{apiVersion: client.authentication.k8s.io/v1beta1, command: plugin}\n");
    assert_int_equal(kubeconfig_read(path, &arena, &config, NULL), 0);
    assert_string_equal(config.exec.command, "plugin");
    arena_done(&arena);
}

static void merges_files(void **state)
{
    struct arena arena = {0};
    struct kubeconfig config;
    struct err err;
    char paths[512], expected[128];
    const char *a = write_config("a", HEAD CLUSTER);
    const char *b = write_config("b", "current-context: other\n" CONTEXT
                                      "clusters:\n- name: k\n  cluster: {server: second}\n"
                                      "users:\n- name: u\n  user: {tokenFile: token}\n");
    snprintf(paths, sizeof(paths), "%s/nowhere:%s::%s", dir, a, b);
    if (kubeconfig_read(paths, &arena, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    snprintf(expected, sizeof(expected), "%s/token", dir);
    assert_string_equal(config.token_file, expected);
    snprintf(paths, sizeof(paths), "%s/nowhere:%s/neither", dir, dir);
    assert_int_equal(kubeconfig_read(paths, &arena, &config, &err), -ENOENT);
    arena_done(&arena);
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "there is no document"},
        {"- 1\n", "is not a Config"},
        {"a: [\n", "a"},
        {"kind: Pod\n", "is not a Config"},
        {"apiVersion: v2\n", "is not a Config"},
        {"apiVersion: v1\n", "current-context is missing"},
        {"current-context: 7\n", "current-context has to be a string"},
        {HEAD, ": there is no entry named \"c\" in contexts"},
        {HEAD "contexts: 1\n", "contexts has to be a list"},
        {HEAD "contexts: [{name: c}]\n", "contexts[c].context has to be a map"},
        {HEAD "contexts: [{name: c, context: {user: u}}]\n", "contexts[c].context.cluster is missing"},
        {HEAD CONTEXT, "no entry named \"k\" in clusters"},
        {HEAD CONTEXT CLUSTER, "no entry named \"u\" in users"},
        {HEAD CONTEXT "clusters: [{name: k, cluster: {server: [1]}}]\n",
         "clusters[k].cluster.server has to be a string"},
        {HEAD CONTEXT "clusters: [{name: k, cluster: {insecure-skip-tls-verify: 1}}]\n",
         "has to be true or false"},
        {HEAD CONTEXT "clusters: [{name: k, cluster: {certificate-authority-data: \"%%\"}}]\n",
         "certificate-authority-data is not a text in base64"},
        {HEAD CONTEXT "clusters: [{name: k, cluster: {certificate-authority-data: YQBi}}]\n", "base64"},
        {HEAD CONTEXT
         "clusters: [{name: k, cluster: {certificate-authority-data: YQ==, certificate-authority: a}}]\n",
         "are both given"},
        {HEAD CONTEXT
         "clusters: [{name: k, cluster: {certificate-authority: a, insecure-skip-tls-verify: true}}]\n",
         "makes no sense"},
        {HEAD CONTEXT CLUSTER "users: [{name: u, user: {client-certificate: a}}]\n",
         "users[u].user.client-key is missing"},
        {HEAD CONTEXT CLUSTER "users: [{name: u, user: {token: a, username: b}}]\n", "only one way"},
        {HEAD CONTEXT CLUSTER "users: [{name: u, user: {as: admin}}]\n", "as is not supported"},
        {HEAD CONTEXT CLUSTER EXEC "{apiVersion: client.authentication.k8s.io/v1}\n",
         "exec.command is missing"},
        {HEAD CONTEXT CLUSTER EXEC "{apiVersion: v1, command: a}\n", "exec.apiVersion has to be"},
        {HEAD CONTEXT CLUSTER EXEC "{apiVersion: client.authentication.k8s.io/v1, command: a}\n",
         "interactiveMode is missing"},
        {HEAD CONTEXT CLUSTER EXEC
         "{apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Always}\n",
         "nobody to ask"},
        {HEAD CONTEXT CLUSTER EXEC
         "{apiVersion: client.authentication.k8s.io/v1beta1, command: a, args: [1]}\n",
         "args has to be a list of strings"},
        {HEAD CONTEXT CLUSTER EXEC
         "{apiVersion: client.authentication.k8s.io/v1beta1, command: a, env: [{value: a}]}\n",
         "without a usable name"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena = {0};
        struct kubeconfig config;
        struct err err = {""};
        int code = kubeconfig_read(write_config("a", cases[i].text), &arena, &config, &err);
        if (code != -EINVAL || !strstr(err.text, cases[i].part) || !strstr(err.text, dir))
            fail_msg("case %zu: %d, %s", i, code, err.text);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything), cmocka_unit_test(reads_json), cmocka_unit_test(resolves_programs),
        cmocka_unit_test(merges_files),     cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
