/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_flags.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What an operator is shown of the configuration: /configz and /flagz. */

#define HEAD "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
#define WORDS_MAX 24

struct fixture {
    struct arena arena;
    struct proxy_options options;
    struct proxy_config config;
    struct text flags;
};

static void load(struct fixture *fixture, const char *line, const char *file)
{
    char *words[WORDS_MAX], *rest = NULL;
    struct proxy_report report;
    struct err err;
    int count = 0;
    for (char *word = strtok_r(arena_strdup(&fixture->arena, line), " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    assert_int_equal(proxy_options_parse(count, words, &fixture->arena, &fixture->options, &err), 0);
    if (!proxy_options_resolve(&fixture->options, file, file ? strlen(file) : 0, &fixture->arena,
                               &fixture->config, &report))
        fail_msg("%s", report.refusal);
}

static void note_flag(void *context, const char *flag, const char *value)
{
    struct fixture *fixture = context;
    text_printf(&fixture->flags, "|%s=%s|", flag, value);
}

static void expect_flags(struct fixture *fixture, const char *const *wanted)
{
    proxy_flags_visit(&fixture->options, &fixture->config, note_flag, fixture);
    for (; *wanted; wanted++) {
        struct text entry = {0};
        text_printf(&entry, "|%s|", *wanted);
        if (!strstr(text_str(&fixture->flags), text_str(&entry)))
            fail_msg("no %s in %s", *wanted, text_str(&fixture->flags));
        text_done(&entry);
    }
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    text_done(&fixture->flags);
    arena_done(&fixture->arena);
    return 0;
}

static void flags_show_what_was_filled_in(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wanted[] = {
        "bind-address=0.0.0.0",
        "proxy-mode=nftables",
        "detect-local-mode=ClusterCIDR",
        "kube-api-qps=2.5",
        "kube-api-burst=10",
        "iptables-sync-period=1m30s",
        "cluster-cidr=10.2.0.0/16,fd00::/64",
        "ipvs-exclude-cidrs=[10.0.0.0/8,11.0.0.0/8]",
        "feature-gates=ComponentFlagz=true,WatchListClient=false",
        "vmodule=proxy=4,node=2",
        "v=3",
        "log-text-info-buffer-size=0",
        "version=false",
        "help=false",
        "profiling=true",
        "metrics-bind-address=127.0.0.1:10249",
        "healthz-bind-address=1.2.3.4:10256",
        "config=",
        "hostname-override=NODE",
        "oom-score-adj=-999",
        NULL,
    };
    load(fixture,
         "--proxy-mode=nftables --kube-api-qps=2.5 --iptables-sync-period=90s --healthz-bind-address=1.2.3.4 "
         "--cluster-cidr=10.2.0.0/16,fd00::/64 --ipvs-exclude-cidrs=10.0.0.0/8,11.0.0.0/8 -v3 --profiling "
         "--feature-gates=WatchListClient=false,ComponentFlagz=true --vmodule=proxy=4,node=2 "
         "--hostname-override=NODE --udp-timeout=1s --source-vip=x",
         NULL);
    expect_flags(fixture, wanted);
    /* Windows and the userspace mode are no business of kube-proxy on Linux. */
    static const char *const foreign[] = {"|udp-timeout=", "source-vip", "enable-dsr", "windows-service",
                                          "proxy-port-range"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_null(strstr(text_str(&fixture->flags), foreign[i]));
}

static void with_a_file_flags_show_what_they_were_given(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wanted[] = {"config=f",           "v=5", "oom-score-adj=-999", "kube-api-qps=5",
                                         "detect-local-mode=", NULL};
    load(fixture, "--config=f -v5", HEAD "oomScoreAdj: 7\nclientConnection: {qps: 50}\n");
    assert_int_equal(fixture->config.settings->oom_score_adj, 7);
    expect_flags(fixture, wanted);
}

/* The same members and values as the YAML has, types included. */
static void configuration_as_json(void **state)
{
    struct fixture *fixture = *state;
    struct text json = {0};
    load(fixture, "--config=f",
         HEAD "hostnameOverride: \"123\"\nmode: nftables\nfeatureGates: {ComponentFlagz: false}\n"
              "clientConnection: {qps: 2.5, kubeconfig: \"a: \\\"b\\\"\"}\nnodePortAddresses: [\"::/0\"]\n"
              "bindAddress: \"::\"\n");
    config_write_json(&fixture->config, &json);
    json_t *tree = json_loads(text_str(&json), 0, NULL);
    assert_non_null(tree);
    const char *api_version, *kind, *name, *kubeconfig, *sync, *address;
    double qps;
    int bit, gate;
    assert_int_equal(json_unpack(tree, "{s:s, s:s, s:s, s:{s:F, s:s}, s:{s:s, s:i}, s:{s:b}, s:[s]}",
                                 "apiVersion", &api_version, "kind", &kind, "hostnameOverride", &name,
                                 "clientConnection", "qps", &qps, "kubeconfig", &kubeconfig, "nftables",
                                 "syncPeriod", &sync, "masqueradeBit", &bit, "featureGates", "ComponentFlagz",
                                 &gate, "nodePortAddresses", &address),
                     0);
    assert_string_equal(api_version, "kubeproxy.config.k8s.io/v1alpha1");
    assert_string_equal(kind, "KubeProxyConfiguration");
    assert_string_equal(name, "123");
    assert_string_equal(kubeconfig, "a: \"b\"");
    assert_string_equal(sync, "30s");
    assert_string_equal(address, "::/0");
    assert_true(qps == 2.5);
    assert_int_equal(bit, 14);
    assert_false(gate);
    assert_null(strchr(text_str(&json), '\n'));
    json_decref(tree);
    text_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flags_show_what_was_filled_in, setup, teardown),
        cmocka_unit_test_setup_teardown(with_a_file_flags_show_what_they_were_given, setup, teardown),
        cmocka_unit_test_setup_teardown(configuration_as_json, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
