/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/metrics.h"

#include "config/settings.h"
#include "daemon/exposition.h"
#include "source/rest_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct metrics metrics;

static char *lines_of(const char *name)
{
    struct text text = {0}, kept = {0};
    metrics_format(&metrics, &text);
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, name, strlen(name)) == 0)
            text_printf(&kept, "%s\n", line);
    text_done(&text);
    text_add(&kept, "");
    return kept.data;
}

/* Every sample whose line starts with name, byte for byte. */
static void expect(const char *name, const char *want)
{
    char *got = lines_of(name);
    assert_string_equal(got, want);
    free(got);
}

static int setup(void **state)
{
    metrics_init(&metrics);
    return 0;
}

static void counters_and_gauges(void **state)
{
    metrics.healthz_total[METRICS_CODE_200] = 7;
    metrics.no_local_endpoints[FAMILY_IPV6][METRICS_POLICY_EXTERNAL] = 3;
    metrics.service_changes_total = 123456789012ull;
    metrics.nftables_sync_failures_total[FAMILY_IPV6] = 1;
    expect("kubeproxy_proxy_healthz_total", "kubeproxy_proxy_healthz_total{code=\"200\"} 7\n"
                                            "kubeproxy_proxy_healthz_total{code=\"503\"} 0\n");
    expect(
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv4\",traffic_policy=\"internal\"} "
        "0\n"
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv4\",traffic_policy=\"external\"} "
        "0\n"
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv6\",traffic_policy=\"internal\"} "
        "0\n"
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv6\",traffic_policy=\"external\"} "
        "3\n");
    expect("kubeproxy_sync_proxy_rules_service_changes_total",
           "kubeproxy_sync_proxy_rules_service_changes_total 1.23456789012e+11\n");
    expect("# TYPE kubeproxy_sync_proxy_rules_no_local_endpoints_total",
           "# TYPE kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge\n");
    expect("kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family=\"IPv6\"}",
           "kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family=\"IPv6\"} 1\n");
}

static void what_is_of_one_mode(void **state)
{
    static const char iptables[] = "kubeproxy_sync_proxy_rules_iptables_",
                      nftables[] = "kubeproxy_sync_proxy_rules_nftables_";
    char *lines = lines_of(nftables);
    expect(iptables, "");
    assert_string_not_equal(lines, "");
    free(lines);
    metrics.mode = METRICS_MODE_IPTABLES;
    metrics.iptables.rules[FAMILY_IPV4][DATAPLANE_TABLE_NAT] = 12;
    metrics.iptables.last_rules[FAMILY_IPV6][DATAPLANE_TABLE_FILTER] = 3;
    metrics.iptables.failures[FAMILY_IPV4] = 2;
    metrics.iptables.partial_failures[FAMILY_IPV4] = 1;
    expect(nftables, "");
    expect("kubeproxy_sync_proxy_rules_iptables_total",
           "kubeproxy_sync_proxy_rules_iptables_total{ip_family=\"IPv4\",table=\"filter\"} 0\n"
           "kubeproxy_sync_proxy_rules_iptables_total{ip_family=\"IPv4\",table=\"nat\"} 12\n"
           "kubeproxy_sync_proxy_rules_iptables_total{ip_family=\"IPv6\",table=\"filter\"} 0\n"
           "kubeproxy_sync_proxy_rules_iptables_total{ip_family=\"IPv6\",table=\"nat\"} 0\n");
    expect("kubeproxy_sync_proxy_rules_iptables_last{ip_family=\"IPv6\",table=\"filter\"}",
           "kubeproxy_sync_proxy_rules_iptables_last{ip_family=\"IPv6\",table=\"filter\"} 3\n");
    expect("kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family=\"IPv4\"}",
           "kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family=\"IPv4\"} 2\n");
    expect("kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{ip_family=\"IPv4\"}",
           "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{ip_family=\"IPv4\"} 1\n");
}

static void a_family_that_is_not_served_has_no_samples(void **state)
{
    metrics.has_family[FAMILY_IPV6] = false;
    metrics.sync_last_timestamp_s[FAMILY_IPV4] = 1732215000.125;
    expect("kubeproxy_sync_proxy_rules_last_timestamp_seconds",
           "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 1.732215000125e+09\n");
    /* Never queued: an alert on its age must not fire. */
    expect("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "");
    struct text text = {0};
    metrics_format(&metrics, &text);
    assert_null(strstr(text.data, "IPv6"));
    text_done(&text);
}

static void histograms(void **state)
{
    static const double values[] = {0.0005, 0.001, 0.0011, 3, 16.384, 17};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        histogram_observe(&metrics.sync_duration[FAMILY_IPV4], values[i]);
#define BUCKET "kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\",le="
    expect("kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\"", BUCKET
           "\"0.001\"} 2\n" BUCKET "\"0.002\"} 3\n" BUCKET "\"0.004\"} 3\n" BUCKET "\"0.008\"} 3\n" BUCKET
           "\"0.016\"} 3\n" BUCKET "\"0.032\"} 3\n" BUCKET "\"0.064\"} 3\n" BUCKET "\"0.128\"} 3\n" BUCKET
           "\"0.256\"} 3\n" BUCKET "\"0.512\"} 3\n" BUCKET "\"1.024\"} 3\n" BUCKET "\"2.048\"} 3\n" BUCKET
           "\"4.096\"} 4\n" BUCKET "\"8.192\"} 4\n" BUCKET "\"16.384\"} 5\n" BUCKET "\"+Inf\"} 6\n");
    expect("kubeproxy_sync_proxy_rules_duration_seconds_sum{ip_family=\"IPv4\"}",
           "kubeproxy_sync_proxy_rules_duration_seconds_sum{ip_family=\"IPv4\"} 36.3866\n");
    expect("kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}",
           "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} 6\n");
    expect("kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv6\"}",
           "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv6\"} 0\n");
    histogram_observe(&metrics.turn_duration, 0.00012);
    expect("fairlead_turn_duration_seconds_bucket{le=\"0.0002\"}",
           "fairlead_turn_duration_seconds_bucket{le=\"0.0002\"} 1\n");
    expect("fairlead_turn_duration_seconds_bucket{le=\"5e-05\"}",
           "fairlead_turn_duration_seconds_bucket{le=\"5e-05\"} 0\n");
}

/* 0; .25, .5; 1..59 by 1; 60..115 by 5; 120..300 by 30. */
static void network_programming_bounds(void **state)
{
    struct text want = {0};
    static const char name[] = "kubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv4\"";
    text_printf(&want, "%s,le=\"0\"} 0\n%s,le=\"0.25\"} 0\n%s,le=\"0.5\"} 0\n", name, name, name);
    for (int bound = 1; bound <= 300; bound += bound < 60 ? 1 : bound < 115 ? 5 : bound < 120 ? 5 : 30)
        text_printf(&want, "%s,le=\"%d\"} 0\n", name, bound);
    text_printf(&want, "%s,le=\"+Inf\"} 0\n", name);
    expect(name, want.data);
    text_done(&want);
}

static void named_gauges(void **state)
{
    metrics_set_named(&metrics.store_objects, "Service", 5);
    metrics_set_named(&metrics.store_objects, "EndpointSlice", 9);
    metrics_set_named(&metrics.store_objects, "Service", 6);
    metrics_set_named(&metrics.kernel_elements, "odd\\name\"\n", 0.5);
    expect("fairlead_store_objects", "fairlead_store_objects{kind=\"Service\"} 6\n"
                                     "fairlead_store_objects{kind=\"EndpointSlice\"} 9\n");
    expect("fairlead_kernel_elements", "fairlead_kernel_elements{map=\"odd\\\\name\\\"\\n\"} 0.5\n");
}

static void the_process_itself(void **state)
{
    struct err err;
    expect("process_", "");
    assert_int_equal(metrics_read_process(&metrics, &err), 0);
    assert_true(metrics.process.resident_bytes > 100000);
    assert_true(metrics.process.virtual_bytes >= metrics.process.resident_bytes);
    assert_in_range(time(NULL) - (time_t)metrics.process.start_time_s, 0, 60);
    uint64_t fds = metrics.process.open_fds;
    int fd = dup(0);
    assert_int_equal(metrics_read_process(&metrics, &err), 0);
    assert_int_equal(metrics.process.open_fds, fds + 1);
    assert_true(metrics.process.max_fds >= fds);
    close(fd);
    assert_true(metrics.process.max_virtual_bytes >= metrics.process.virtual_bytes);
    metrics.process.max_virtual_bytes = UINT64_MAX;
    expect("process_virtual_memory_max_bytes", "process_virtual_memory_max_bytes 1.8446744073709552e+19\n");
    metrics.process.sent_bytes = 1048576;
    expect("process_network_transmit_bytes_total", "process_network_transmit_bytes_total 1.048576e+06\n");
    metrics.process.cpu_seconds = 1.25;
    expect("process_cpu_seconds_total", "process_cpu_seconds_total 1.25\n");
}

/* strconv.FormatFloat(x, 'g', -1, 64), since label values are compared as text. */
static void numbers_are_gos(void **state)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},           {1, "1"},
        {100000, "100000"}, {999999, "999999"},
        {1000000, "1e+06"}, {262144, "262144"},
        {0.0001, "0.0001"}, {0.00005, "5e-05"},
        {0.1, "0.1"},       {123456.5, "123456.5"},
        {-2.5, "-2.5"},     {100, "100"},
        {1e300, "1e+300"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = {0}, want = {0}, labels = {0};
        exposition_sample(&text, "a", &labels, cases[i].number);
        text_printf(&want, "a %s\n", cases[i].text);
        assert_string_equal(text.data, want.data);
        text_done(&text);
        text_done(&want);
    }
}

static void calls_to_the_apiserver(void **state)
{
    struct rest_metrics rest = {0};
    expect("rest_client", "");
    expect("# TYPE rest_client", "");
    metrics.rest = &rest;
    expect("rest_client", "");
    struct rest_series *series = rest_metrics_series(&rest, "GET", "10.0.0.1:6443");
    series->calls[200] = 3;
    series->calls[0] = 1;
    rest_metrics_series(&rest, "POST", "10.0.0.1:6443")->calls[201] = 2;
    assert_ptr_equal(rest_metrics_series(&rest, "GET", "10.0.0.1:6443"), series);
    expect("rest_client_requests_total",
           "rest_client_requests_total{code=\"<error>\",host=\"10.0.0.1:6443\",method=\"GET\"} 1\n"
           "rest_client_requests_total{code=\"200\",host=\"10.0.0.1:6443\",method=\"GET\"} 3\n"
           "rest_client_requests_total{code=\"201\",host=\"10.0.0.1:6443\",method=\"POST\"} 2\n");
    /* What was never observed has no samples. */
    expect("rest_client_request_duration_seconds", "");
    histogram_observe(&series->response_size, 1048577);
#define SIZE "rest_client_response_size_bytes_bucket{host=\"10.0.0.1:6443\",verb=\"GET\",le="
    expect("rest_client_response_size_bytes_bucket",
           SIZE "\"64\"} 0\n" SIZE "\"256\"} 0\n" SIZE "\"512\"} 0\n" SIZE "\"1024\"} 0\n" SIZE
                "\"4096\"} 0\n" SIZE "\"16384\"} 0\n" SIZE "\"65536\"} 0\n" SIZE "\"262144\"} 0\n" SIZE
                "\"1.048576e+06\"} 0\n" SIZE "\"4.194304e+06\"} 1\n" SIZE "\"1.6777216e+07\"} 1\n" SIZE
                "\"+Inf\"} 1\n");
    histogram_observe(&series->duration, 0.02);
    expect("rest_client_request_duration_seconds_bucket{host=\"10.0.0.1:6443\",verb=\"GET\",le=\"0.025\"}",
           "rest_client_request_duration_seconds_bucket{host=\"10.0.0.1:6443\",verb=\"GET\",le=\"0.025\"} "
           "1\n");
    rest.exec_calls[REST_EXEC_NOT_FOUND] = 4;
    expect("rest_client_exec",
           "rest_client_exec_plugin_call_total{call_status=\"plugin_not_found_error\",code=\"1\"} 4\n");
    rest_metrics_done(&rest);
}

static void feature_gates(void **state)
{
    struct arena arena;
    struct proxy_settings settings;
    arena_init(&arena);
    settings_default(&settings);
    expect("kubernetes_feature_enabled", "");
    metrics.settings = &settings;
    expect("kubernetes_feature_enabled{name=\"ComponentStatusz\"",
           "kubernetes_feature_enabled{name=\"ComponentStatusz\",stage=\"BETA\"} 1\n");
    expect("kubernetes_feature_enabled{name=\"AllAlpha\"",
           "kubernetes_feature_enabled{name=\"AllAlpha\",stage=\"ALPHA\"} 0\n");
    settings_set_gate(&settings, "ComponentStatusz", false, &arena);
    expect("kubernetes_feature_enabled{name=\"ComponentStatusz\"",
           "kubernetes_feature_enabled{name=\"ComponentStatusz\",stage=\"BETA\"} 0\n");
    arena_done(&arena);
}

static void service_level_indicators(void **state)
{
    struct text text = {0};
    metrics_format_slis(&metrics, &text);
    assert_string_equal(text_str(&text), "");
    metrics.pings_total = 2;
    metrics_format_slis(&metrics, &text);
    assert_non_null(strstr(text.data, "\nkubernetes_healthcheck{name=\"ping\",type=\"healthz\"} 1\n"));
    assert_non_null(strstr(text.data, "\nkubernetes_healthchecks_total{name=\"ping\",status=\"success\","
                                      "type=\"healthz\"} 2\n"));
    text_done(&text);
}

/* The shape of the whole: HELP, TYPE, then samples of that name alone; no name twice. */
static void the_whole_is_well_formed(void **state)
{
    struct text text = {0}, seen = {0};
    char name[128] = "";
    int families = 0;
    metrics_format(&metrics, &text);
    assert_true(text.data[text.len - 1] == '\n');
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "# HELP %127s", name) == 1) {
            struct text mark = {0};
            text_printf(&mark, "|%s|", name);
            assert_null(strstr(text_str(&seen), mark.data));
            text_add(&seen, mark.data);
            text_done(&mark);
            assert_true(line[strlen(line) - 1] == '.');
            families++;
        } else if (line[0] == '#') {
            assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
            assert_int_equal(strncmp(line + 7, name, strlen(name)), 0);
        } else {
            assert_int_equal(strncmp(line, name, strlen(name)), 0);
            char *end;
            strtod(strrchr(line, ' ') + 1, &end);
            assert_true(*end == '\0');
        }
    }
    assert_int_equal(families, 25);
    text_done(&text);
    text_done(&seen);
    char *build = lines_of("fairlead_build_info{");
    assert_non_null(strstr(build, "version=\"" FAIRLEAD_VERSION "\"} 1\n"));
    free(build);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counters_and_gauges, setup),
        cmocka_unit_test_setup(what_is_of_one_mode, setup),
        cmocka_unit_test_setup(a_family_that_is_not_served_has_no_samples, setup),
        cmocka_unit_test_setup(histograms, setup),
        cmocka_unit_test_setup(network_programming_bounds, setup),
        cmocka_unit_test_setup(named_gauges, setup),
        cmocka_unit_test_setup(the_process_itself, setup),
        cmocka_unit_test_setup(numbers_are_gos, setup),
        cmocka_unit_test_setup(calls_to_the_apiserver, setup),
        cmocka_unit_test_setup(feature_gates, setup),
        cmocka_unit_test_setup(service_level_indicators, setup),
        cmocka_unit_test_setup(the_whole_is_well_formed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
