/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_config.h"

#include "config/duration.h"
#include "config/gates.h"
#include "config/host_port.h"
#include "config/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

/* From a file's text to the outcome: "" or the refusal. */
static const char *load(const char *text, struct arena *arena, struct proxy_config *ret,
                        struct proxy_report *report)
{
    struct proxy_settings settings;
    const char *warning = NULL;
    *report = (struct proxy_report){0};
    const char *refusal = settings_read(text, strlen(text), arena, &settings, &warning);
    if (refusal)
        return refusal;
    if (warning)
        report->warnings[report->warning_count++] = warning;
    return config_resolve(&settings, arena, ret, report) ? "" : report->refusal;
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
        const char *form;
    } good[] = {
        {"0", 0, "0s"},
        {"30s", 30 * DURATION_SECOND, "30s"},
        {"15m", 15 * DURATION_MINUTE, "15m0s"},
        {"24h", 24 * DURATION_HOUR, "24h0m0s"},
        {"-1.5s", -1500 * DURATION_MS, "-1.5s"},
        {"1h30m0.5s", 5400500 * DURATION_MS, "1h30m0.5s"},
        {"250ms", 250 * DURATION_MS, "250ms"},
        {"1.5us", 1500, "1.5\xc2\xb5s"},
        {"7ns", 7, "7ns"},
        {"+.5s", 500 * DURATION_MS, "500ms"},
        {"1.9999999999999999999s", 2 * DURATION_SECOND, "2s"}, /* as Go, in a double */
        {"-9223372036854775808ns", INT64_MIN, "-2562047h47m16.854775808s"},
        {"9223372036854775807ns", INT64_MAX, "2562047h47m16.854775807s"},
    };
    static const char *const bad[][2] = {
        {"", "time: invalid duration \"\""},
        {"1", "time: missing unit in duration \"1\""},
        {"1x", "time: unknown unit \"x\" in duration \"1x\""},
        {"1\xc3\xa9", "time: unknown unit \"\\xc3\\xa9\" in duration \"1\\xc3\\xa9\""},
        {".s", "time: invalid duration \".s\""},
        {"-", "time: invalid duration \"-\""},
        {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
        {"99999999999999999999h", "time: invalid duration \"99999999999999999999h\""},
    };
    struct arena arena = {0};
    struct err err;
    int64_t ns;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(duration_parse(good[i].text, &ns, &err), 0);
        assert_true(ns == good[i].ns);
        assert_string_equal(duration_format(ns, &arena), good[i].form);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(duration_parse(bad[i][0], &ns, &err) < 0);
        assert_string_equal(err.text, bad[i][1]);
    }
    arena_done(&arena);
}

static void gates_are_sorted(void **state)
{
    for (size_t i = 1; i < gate_count; i++)
        assert_true(strcmp(gate_table[i - 1].name, gate_table[i].name) < 0);
    assert_non_null(gate_get("WatchListClient"));
    assert_null(gate_get("Nonsense"));
}

static void an_empty_file_is_the_defaults(void **state)
{
    struct arena arena = {0};
    struct proxy_config config;
    struct proxy_report report;
    struct proxy_settings settings;
    struct text from_file = {0}, from_defaults = {0};
    assert_string_equal(load(HEAD, &arena, &config, &report), "");
    config_write(&config, &from_file);
    assert_int_equal(config.mode, PROXY_MODE_IPTABLES);
    assert_int_equal(config.masquerade_mark, 0x4000);
    assert_int_equal(config.sync_ms, 30000);
    assert_int_equal(config.min_sync_ms, 1000);
    assert_int_equal(config.config_sync_ms, 900000);
    assert_int_equal(config.tcp_established_ms, 86400000);
    assert_true(config.has_healthz && config.has_metrics);
    assert_int_equal(config.healthz.port, 10256);
    assert_int_equal(config.metrics.port, 10249);
    assert_int_equal(config.local_mode, LOCAL_MODE_CLUSTER_CIDR);
    assert_int_equal(report.warning_count, 1); /* of nodePortAddresses */
    settings_default(&settings);
    assert_true(config_resolve(&settings, &arena, &config, &report));
    config_write(&config, &from_defaults);
    assert_string_equal(text_str(&from_file), text_str(&from_defaults));
    text_done(&from_file);
    text_done(&from_defaults);
    arena_done(&arena);
}

/* As kubeadm writes it into the ConfigMap kube-proxy, key config.conf: fields that are gone since 1.26
 * included, null for what has no value. */
static const char kubeadm[] =
    "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nbindAddress: 0.0.0.0\nbindAddressHardFail: false\n"
    "clientConnection:\n  acceptContentTypes: \"\"\n  burst: 0\n  contentType: \"\"\n"
    "  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf\n  qps: 0\n"
    "clusterCIDR: 10.244.0.0/16,fd00:10:244::/56\nconfigSyncPeriod: 0s\n"
    "conntrack:\n  maxPerCore: null\n  min: null\n  tcpBeLiberal: false\n  tcpCloseWaitTimeout: null\n"
    "  tcpEstablishedTimeout: null\n  udpStreamTimeout: 0s\n  udpTimeout: 0s\n"
    "detectLocal:\n  bridgeInterface: \"\"\n  interfaceNamePrefix: \"\"\ndetectLocalMode: \"\"\n"
    "enableProfiling: false\nhealthzBindAddress: \"\"\nhostnameOverride: \"\"\n"
    "iptables:\n  localhostNodePorts: null\n  masqueradeAll: false\n  masqueradeBit: null\n"
    "  minSyncPeriod: 0s\n  syncPeriod: 0s\n"
    "ipvs:\n  excludeCIDRs: null\n  minSyncPeriod: 0s\n  scheduler: \"\"\n  strictARP: false\n"
    "  syncPeriod: 0s\n  tcpFinTimeout: 0s\n  tcpTimeout: 0s\n  udpTimeout: 0s\n"
    "kind: KubeProxyConfiguration\n"
    "logging:\n  flushFrequency: 0\n  options:\n    json:\n      infoBufferSize: \"0\"\n"
    "    text:\n      infoBufferSize: \"0\"\n  verbosity: 0\n"
    "metricsBindAddress: \"\"\nmode: \"\"\n"
    "nftables:\n  masqueradeAll: false\n  masqueradeBit: null\n  minSyncPeriod: 0s\n  syncPeriod: 0s\n"
    "nodePortAddresses: null\noomScoreAdj: null\nportRange: \"\"\nshowHiddenMetricsForVersion: \"\"\n"
    "winkernel:\n  enableDSR: false\n  forwardHealthCheckVip: false\n  networkName: \"\"\n"
    "  rootHnsEndpointName: \"\"\n  sourceVip: \"\"\n";

static void the_file_of_kubeadm_loads(void **state)
{
    struct arena arena = {0};
    struct proxy_config config;
    struct proxy_report report;
    struct text ours = {0}, defaults = {0};
    assert_string_equal(load(kubeadm, &arena, &config, &report), "");
    assert_int_equal(report.warning_count, 1);
    assert_string_equal(config.settings->kubeconfig, "/var/lib/kube-proxy/kubeconfig.conf");
    assert_int_equal(config.cluster_cidrs.count, 2);
    assert_int_equal(config.cluster_cidrs.items[0].len, 16);
    assert_int_equal(address_family(&config.cluster_cidrs.items[1].address), FAMILY_IPV6);
    config_write(&config, &ours);
    assert_string_equal(load(HEAD "clusterCIDR: 10.244.0.0/16,fd00:10:244::/56\n"
                                  "clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}\n",
                             &arena, &config, &report),
                        "");
    config_write(&config, &defaults);
    assert_string_equal(text_str(&ours), text_str(&defaults));
    text_done(&ours);
    text_done(&defaults);
    arena_done(&arena);
}

#define AT "failed validate: KubeProxyConfiguration."
static const struct {
    const char *text, *refusal;
} judged[] = {
    {"", ""},
    {"bindAddress: zz\nhealthzBindAddress: 0.0.0.0\nmetricsBindAddress: 0.0.0.0\n",
     AT "BindAddress: Invalid value: \"zz\": not a valid textual representation of an IP address"},
    {"bindAddress: 010.1.2.3\n", ""},
    {"mode: foo\n",
     AT "Mode.ProxyMode: Invalid value: \"foo\": must be iptables, ipvs, nftables or blank (blank "
        "means the best-available proxy [currently iptables])"},
    {"mode: ipvs\nclusterCIDR: 1.2.3.4/8,1.2.3.4/9\ndetectLocalMode: BridgeInterface\n"
     "ipvs: {minSyncPeriod: 40s, tcpTimeout: -1s, excludeCIDRs: [a]}\nhealthzBindAddress: 1.2.3.4:99999\n",
     "failed validate: [KubeProxyConfiguration.KubeProxyIPVSConfiguration.TCPTimeout: Invalid value: "
     "\"-1s\": must "
     "be greater than or equal to 0, KubeProxyConfiguration.KubeProxyIPVSConfiguration.ExcludeCidrs[0]: "
     "Invalid "
     "value: \"a\": must be a valid CIDR, KubeProxyConfiguration.SyncPeriod: Invalid value: \"40s\": must be "
     "greater than or equal to KubeProxyConfiguration.MinSyncPeriod, "
     "KubeProxyConfiguration.HealthzBindAddress: "
     "Invalid value: \"99999\": must be a valid port, "
     "KubeProxyConfiguration.DetectLocalConfiguration.InterfaceName: Invalid value: \"\": must not be "
     "empty]"},
    {"detectLocalMode: a\n",
     AT "DetectLocalMode: Unsupported value: \"a\": supported values: \"ClusterCIDR\", "
        "\"NodeCIDR\", \"BridgeInterface\", \"InterfaceNamePrefix\", \"\""},
    {"clientConnection: {burst: -1}\n",
     AT "ClientConnection.Burst: Invalid value: -1: must be greater than or equal to 0"},
    {"iptables: {masqueradeBit: 32}\n",
     AT "KubeProxyIPTablesConfiguration.MasqueradeBit: Invalid value: 32: must be within the range [0, 31]"},
    {"nftables: {masqueradeBit: 32}\n", ""},
    {"oomScoreAdj: 1001\n",
     AT "KubeProxyLinuxConfiguration.OOMScoreAdj: Invalid value: 1001: must be within the "
        "range [-1000, 1000]"},
    {"nodePortAddresses: [1.2.3.4/8, primary]\n",
     AT "NodePortAddresses[1]: Invalid value: \"primary\": can't use both 'primary' and CIDRs"},
    {"conntrack: {min: -1}\n", AT "KubeProxyLinuxConfiguration.KubeProxyConntrackConfiguration.Min: Invalid "
                                  "value: -1: must be greater than or equal to 0"},
    {"clientConnection: {qps: a}\n", "json: cannot unmarshal string into Go struct field "
                                     "ClientConnectionConfiguration.clientConnection.qps of type float32"},
    {"conntrack: {min: 99999999999}\n", "json: cannot unmarshal number 99999999999 into Go struct field "
                                        "KubeProxyConntrackConfiguration.conntrack.min of type int32"},
    {"configSyncPeriod: 1x\n", "time: unknown unit \"x\" in duration \"1x\""},
    {"configSyncPeriod: 15\n", "json: cannot unmarshal number into Go struct field "
                               "KubeProxyConfiguration.configSyncPeriod of type string"},
    {"featureGates: {AllAlpha: x}\n",
     "json: cannot unmarshal string into Go struct field KubeProxyConfiguration.featureGates of type bool"},
    {"featureGates: {IPv6DualStack: true}\n", ""},
    {"featureGates: {Foo: true}\n", "failed complete: unrecognized feature gate: Foo"},
    {"featureGates: {NFTablesProxyMode: false}\n",
     "failed complete: cannot set feature gate NFTablesProxyMode to false, feature is locked to true"},
    {"logging: {vmodule: [{filePattern: \"\", verbosity: 1}]}\n",
     "initialize logging: logging.vmodule[0]: Required value: File pattern must not be empty"},
    {"logging: {options: {json: {splitStream: true}}}\n",
     "initialize logging: logging.options.json.splitStream: Forbidden: Feature LoggingAlphaOptions is "
     "disabled"},
    {"logging: {options: {json: {splitStream: true}}}\nfeatureGates: {LoggingAlphaOptions: true}\n", ""},
    {"logging: {verbosity: -1}\n", "json: cannot unmarshal number -1 into Go struct field "
                                   "LoggingConfiguration.logging.verbosity of type v1.VerbosityLevel"},
};

static void words_are_those_of_upstream(void **state)
{
    for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++) {
        struct arena arena = {0};
        struct proxy_config config;
        struct proxy_report report;
        const char *text = arena_printf(&arena, HEAD "%s", judged[i].text);
        assert_string_equal(load(text, &arena, &config, &report), judged[i].refusal);
        arena_done(&arena);
    }
}

static void what_is_unknown_or_double_is_named_and_does_no_harm(void **state)
{
    struct arena arena = {0};
    struct proxy_config config;
    struct proxy_report report;
    assert_string_equal(
        load(HEAD "foo: 1\nmode: ipvs\nmode: nftables\nipvs: {foo: 1}\n", &arena, &config, &report), "");
    assert_int_equal(config.mode, PROXY_MODE_NFTABLES);
    assert_true(config.is_node_port_primary);
    assert_int_equal(report.warning_count, 1);
    assert_string_equal(report.warnings[0], "strict decoding error: line 5: key \"mode\" already set in map, "
                                            "unknown field \"foo\", unknown field \"ipvs.foo\"");
    assert_string_equal(load("kind: Pod\napiVersion: v1\n", &arena, &config, &report),
                        "no kind \"Pod\" is registered for version \"v1\"");
    assert_string_equal(load("{}", &arena, &config, &report), "Object 'Kind' is missing");
    assert_string_equal(load("[]", &arena, &config, &report), "the configuration is not an object");
    assert_string_equal(
        load("{\"kind\": \"KubeProxyConfiguration\",}", &arena, &config, &report),
        "couldn't get version/kind; json parse error: line 1: string or '}' expected near '}'");
    assert_string_equal(
        load("\t{\n\t\"apiVersion\": \"kubeproxy.config.k8s.io/v1alpha1\", \"kind\": "
             "\"KubeProxyConfiguration\",\n\t\"mode\": \"ipvs\",\n\t\"mode\": \"nftables\"}\n",
             &arena, &config, &report),
        "");
    assert_int_equal(config.mode, PROXY_MODE_NFTABLES);
    assert_string_equal(report.warnings[0],
                        "strict decoding error: line 4: duplicate object key near '\"mode\"'");
    assert_string_equal(load("\xef\xbb\xbf" HEAD "winkernel: {b: 1}\na: 1\nudpIdleTimeout: 250ms\n", &arena,
                             &config, &report),
                        "");
    assert_string_equal(report.warnings[0], "strict decoding error: unknown field \"a\", unknown field "
                                            "\"udpIdleTimeout\", unknown field \"winkernel.b\"");
    assert_string_not_equal(load("", &arena, &config, &report), "");
    arena_done(&arena);
}

static void only_the_block_of_the_mode_counts(void **state)
{
    struct arena arena = {0};
    struct proxy_config config;
    struct proxy_report report;
    assert_string_equal(load(HEAD "mode: ipvs\nipvs: {syncPeriod: 7s, tcpTimeout: 900us}\n"
                                  "iptables: {syncPeriod: 1s, masqueradeAll: true, masqueradeBit: 3}\n"
                                  "nftables: {masqueradeBit: 5}\nnodePortAddresses: [10.1.2.3/8]\n",
                             &arena, &config, &report),
                        "");
    assert_int_equal(config.sync_ms, 7000);
    assert_int_equal(config.min_sync_ms, 0);
    assert_int_equal(config.ipvs_tcp_ms, 1);
    assert_true(config.masquerades_all);
    assert_int_equal(config.masquerade_mark, 8);
    assert_int_equal(report.warning_count, 0);
    char text[PREFIX_TEXT_MAX];
    assert_int_equal(config.node_port_addresses.count, 1);
    assert_string_equal(prefix_format(&config.node_port_addresses.items[0], text), "10.0.0.0/8");
    arena_done(&arena);
}

/* Byte for byte what kube-proxy 1.36 writes. */
static const char written[] =
    "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nbindAddress: '::'\nbindAddressHardFail: false\n"
    "clientConnection:\n  acceptContentTypes: \"\"\n  burst: 10\n"
    "  contentType: application/vnd.kubernetes.protobuf\n  kubeconfig: \"\"\n  qps: 5\n"
    "clusterCIDR: \"\"\nconfigSyncPeriod: 15m0s\n"
    "conntrack:\n  maxPerCore: 32768\n  min: 131072\n  tcpBeLiberal: false\n  tcpCloseWaitTimeout: 1h0m0s\n"
    "  tcpEstablishedTimeout: 24h0m0s\n  udpStreamTimeout: 0s\n  udpTimeout: 0s\n"
    "detectLocal:\n  bridgeInterface: \"\"\n  interfaceNamePrefix: \"\"\ndetectLocalMode: ClusterCIDR\n"
    "enableProfiling: false\nfeatureGates:\n  WatchListClient: false\nhealthzBindAddress: '[::]:10256'\n"
    "hostnameOverride: 'a: b'\n"
    "iptables:\n  localhostNodePorts: true\n  masqueradeAll: false\n  masqueradeBit: 14\n"
    "  minSyncPeriod: 0s\n  syncPeriod: 0s\n"
    "ipvs:\n  excludeCIDRs: null\n  minSyncPeriod: 0s\n  scheduler: \"\"\n  strictARP: false\n"
    "  syncPeriod: 0s\n  tcpFinTimeout: 0s\n  tcpTimeout: 0s\n  udpTimeout: 0s\n"
    "kind: KubeProxyConfiguration\n"
    "logging:\n  flushFrequency: 5000000000\n  format: text\n  options:\n    json:\n"
    "      infoBufferSize: \"0\"\n    text:\n      infoBufferSize: \"0\"\n  verbosity: 0\n  vmodule:\n"
    "  - filePattern: a\n    verbosity: 1\n"
    "metricsBindAddress: '[::1]:10249'\nmode: nftables\n"
    "nftables:\n  masqueradeAll: false\n  masqueradeBit: 14\n  minSyncPeriod: 1s\n  syncPeriod: 30s\n"
    "nodePortAddresses:\n- ::/0\noomScoreAdj: -999\nportRange: \"\"\nshowHiddenMetricsForVersion: \"\"\n"
    "winkernel:\n  enableDSR: false\n  forwardHealthCheckVip: false\n  networkName: \"\"\n"
    "  rootHnsEndpointName: \"\"\n  sourceVip: \"\"\n";

static void it_writes_as_upstream_and_reads_that_again(void **state)
{
    struct arena arena = {0};
    struct proxy_config config;
    struct proxy_report report;
    struct text first = {0}, second = {0};
    assert_string_equal(
        load(HEAD "logging: {vmodule: [{filePattern: a, verbosity: 1}], flushFrequency: 5000000000}\n"
                  "featureGates: {WatchListClient: false}\nhostnameOverride: \"a: b\"\n"
                  "bindAddress: \"::\"\nnodePortAddresses: [\"::/0\"]\nmode: nftables\n",
             &arena, &config, &report),
        "");
    config_write(&config, &first);
    assert_string_equal(text_str(&first), written);
    assert_string_equal(load(written, &arena, &config, &report), "");
    config_write(&config, &second);
    assert_string_equal(text_str(&second), written);
    text_done(&first);
    text_done(&second);
    arena_done(&arena);
}

static void texts_come_back_as_they_were(void **state)
{
    static const char *const texts[] = {
        "1:20", "-1:5.5", "a\nb\t", "\xc2\x85", "\xe2\x80\xa8x\xe2\x80\xa9", "\xef\xbb\xbf",
        "\x7f", "\"\\",   "<<",     "12:60",    "\xf0\x9f\x98\x80 \xc3\xa9", "'#"};
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct proxy_settings settings;
        struct proxy_config config;
        struct proxy_report report;
        struct text form = {0};
        settings_default(&settings);
        settings.ipvs.scheduler = texts[i];
        assert_true(config_resolve(&settings, &arena, &config, &report));
        config_write(&config, &form);
        assert_string_equal(load(text_str(&form), &arena, &config, &report), "");
        assert_string_equal(config.settings->ipvs.scheduler, texts[i]);
        text_done(&form);
    }
    arena_done(&arena);
}

static void hosts_and_ports(void **state)
{
    static const char *const cases[][3] = {
        {"1.2.3.4:80", "1.2.3.4", "80"},
        {"[::1]:80", "::1", "80"},
        {":80", "", "80"},
        {"a:", "a", ""},
        {"::1", NULL, NULL},
        {"[::1]", NULL, NULL},
        {"a", NULL, NULL},
        {"[a:b", NULL, NULL},
        {"[a]b:1", NULL, NULL},
        {"a]:1", NULL, NULL},
        {"", NULL, NULL},
    };
    struct arena arena = {0};
    struct prefix prefix;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *host, *port;
        bool is_split = host_port_split(cases[i][0], &arena, &host, &port);
        assert_int_equal(is_split, cases[i][1] != NULL);
        if (!is_split)
            continue;
        assert_string_equal(host, cases[i][1]);
        assert_string_equal(port, cases[i][2]);
    }
    assert_string_equal(settings_with_port("::1", 7, &arena), "[::1]:7");
    assert_string_equal(settings_with_port("1.2.3.4", 7, &arena), "1.2.3.4:7");
    assert_string_equal(settings_with_port("x", 7, &arena), "x");
    assert_true(prefix_parse_loosely("010.0.0.1/008", &arena, &prefix));
    assert_int_equal(prefix.len, 8);
    assert_false(prefix_parse_loosely("10.0.0.0/33", &arena, &prefix));
    assert_false(prefix_parse_loosely("10.0.0.0/", &arena, &prefix));
    assert_false(prefix_parse_loosely("10.0.0.0", &arena, &prefix));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(gates_are_sorted),
        cmocka_unit_test(an_empty_file_is_the_defaults),
        cmocka_unit_test(the_file_of_kubeadm_loads),
        cmocka_unit_test(words_are_those_of_upstream),
        cmocka_unit_test(what_is_unknown_or_double_is_named_and_does_no_harm),
        cmocka_unit_test(only_the_block_of_the_mode_counts),
        cmocka_unit_test(it_writes_as_upstream_and_reads_that_again),
        cmocka_unit_test(texts_come_back_as_they_were),
        cmocka_unit_test(hosts_and_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
