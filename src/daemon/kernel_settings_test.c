/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/kernel_settings.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "config/read.h"
#include "sys/write_file.h"

#include <ftw.h>
#include <inttypes.h>
#include <linux/version.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CONNTRACK "/proc/sys/net/netfilter/nf_conntrack_"
#define HASHSIZE "/sys/module/nf_conntrack/parameters/hashsize"
#define VS "/proc/sys/net/ipv4/vs/"
#define CONF "/proc/sys/net/ipv4/conf/all/"

/* The whole of a configuration with yaml in it. */
static void load(const char *yaml, struct arena *arena, struct proxy_config *ret)
{
    struct proxy_settings settings;
    struct proxy_report report = {0};
    const char *warning = NULL;
    char file[1024];
    snprintf(file, sizeof(file),
             "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n%s", yaml);
    assert_null(settings_read(file, strlen(file), arena, &settings, &warning));
    assert_true(config_resolve(&settings, arena, ret, &report));
}

#define RUNNING KERNEL_VERSION(6, 1, 0)

/* One setting in a line: path, = or >=, value. */
static void assert_wanted_by(unsigned kernel, const char *yaml, enum proxy_mode mode, unsigned cpu_count,
                             const char *want)
{
    struct kernel_setting settings[KERNEL_SETTINGS_MAX];
    struct proxy_config config;
    struct arena arena;
    cleanup_with(text_done) struct text got = {0};
    arena_init(&arena);
    load(yaml, &arena, &config);
    size_t count = kernel_settings_wanted(&config, mode, cpu_count, kernel, settings);
    for (size_t i = 0; i < count; i++)
        text_printf(&got, "%s%s%" PRId64 "\n", settings[i].path,
                    settings[i].need == SYSCTL_AT_LEAST ? ">=" : "=", settings[i].value);
    assert_string_equal(text_str(&got), want);
    arena_done(&arena);
}

static void assert_wanted(const char *yaml, enum proxy_mode mode, unsigned cpu_count, const char *want)
{
    assert_wanted_by(RUNNING, yaml, mode, cpu_count, want);
}

#define TCP_DEFAULTS CONNTRACK "tcp_timeout_established=86400\n" CONNTRACK "tcp_timeout_close_wait=3600\n"
#define NO_CONNTRACK "conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}\n"

static void conntrack_by_cpus(void **state)
{
    assert_wanted("", PROXY_MODE_NFTABLES, 2, CONNTRACK "max=131072\n" HASHSIZE ">=32768\n" TCP_DEFAULTS);
    assert_wanted("", PROXY_MODE_NFTABLES, 5, CONNTRACK "max=163840\n" HASHSIZE ">=40960\n" TCP_DEFAULTS);
    assert_wanted("", PROXY_MODE_NFTABLES, 32, CONNTRACK "max=1048576\n" HASHSIZE ">=262144\n" TCP_DEFAULTS);
    assert_wanted("", PROXY_MODE_NFTABLES, 33, CONNTRACK "max=1048576\n" HASHSIZE ">=262144\n" TCP_DEFAULTS);
    /* The number of CPUs is limited, not the minimum. */
    assert_wanted("conntrack: {maxPerCore: 1, min: 2000000}\n", PROXY_MODE_NFTABLES, 8,
                  CONNTRACK "max=2000000\n" HASHSIZE ">=500000\n" TCP_DEFAULTS);
    assert_wanted("conntrack: {maxPerCore: 2147483647, min: 2000000}\n", PROXY_MODE_NFTABLES, 1024,
                  CONNTRACK "max=1048576\n" HASHSIZE ">=262144\n" TCP_DEFAULTS);
    assert_wanted("conntrack: {maxPerCore: 0, min: 5}\n", PROXY_MODE_NFTABLES, 8, TCP_DEFAULTS);
}

static void conntrack_timeouts(void **state)
{
    assert_wanted(NO_CONNTRACK, PROXY_MODE_NFTABLES, 2, "");
    assert_wanted("conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 1h, tcpCloseWaitTimeout: 90500ms,\n"
                  "  tcpBeLiberal: true, udpTimeout: 45s, udpStreamTimeout: 2m}\n",
                  PROXY_MODE_NFTABLES, 2,
                  CONNTRACK "tcp_timeout_established=3600\n" CONNTRACK "tcp_timeout_close_wait=90\n" CONNTRACK
                            "tcp_be_liberal=1\n" CONNTRACK "udp_timeout=45\n" CONNTRACK
                            "udp_timeout_stream=120\n");
}

static void localhost_of_iptables(void **state)
{
    static const char *const with[] = {
        "",
        "nodePortAddresses: [\"0.0.0.0/0\"]\n",
        "nodePortAddresses: [\"127.0.0.0/8\"]\n",
        "nodePortAddresses: [\"10.0.0.0/8\", \"127.0.0.1/32\"]\n",
        "nodePortAddresses: [\"127.0.0.9/32\"]\n",
        "nodePortAddresses: [\"fd00::/8\"]\n",
    };
    static const char *const without[] = {
        "nodePortAddresses: [\"10.0.0.0/8\"]\n",
        "nodePortAddresses: [primary]\n",
        "iptables: {localhostNodePorts: false}\n",
    };
    char yaml[256];
    for (size_t i = 0; i < ARRAY_LEN(with); i++) {
        snprintf(yaml, sizeof(yaml), NO_CONNTRACK "mode: iptables\n%s", with[i]);
        assert_wanted(yaml, PROXY_MODE_IPTABLES, 2, CONF "route_localnet=1\n");
        assert_wanted(yaml, PROXY_MODE_NFTABLES, 2, "");
        assert_wanted(yaml, PROXY_MODE_USERSPACE, 2, "");
    }
    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        snprintf(yaml, sizeof(yaml), NO_CONNTRACK "mode: iptables\n%s", without[i]);
        assert_wanted(yaml, PROXY_MODE_IPTABLES, 2, "");
    }
}

#define IPVS_ALWAYS                                                                                          \
    VS "conntrack=1\n" VS "expire_nodest_conn=1\n" VS                                                        \
       "expire_quiescent_template=1\n/proc/sys/net/ipv4/ip_forward=1\n"

static void ipvs(void **state)
{
    assert_wanted(NO_CONNTRACK "mode: ipvs\n", PROXY_MODE_IPVS, 2, IPVS_ALWAYS);
    assert_wanted(NO_CONNTRACK "mode: ipvs\nipvs: {strictARP: true}\n", PROXY_MODE_IPVS, 2,
                  IPVS_ALWAYS CONF "arp_ignore=1\n" CONF "arp_announce=2\n");
    assert_wanted(NO_CONNTRACK "mode: ipvs\nipvs: {strictARP: true}\n", PROXY_MODE_NFTABLES, 2, "");
}

#define IPVS_REUSE                                                                                           \
    VS "conntrack=1\n" VS "conn_reuse_mode=0\n" VS "expire_nodest_conn=1\n" VS                               \
       "expire_quiescent_template=1\n/proc/sys/net/ipv4/ip_forward=1\n"

static void ipvs_by_kernel(void **state)
{
    const char *yaml = NO_CONNTRACK "mode: ipvs\n";
    assert_wanted_by(KERNEL_VERSION(4, 0, 0), yaml, PROXY_MODE_IPVS, 2, IPVS_ALWAYS);
    assert_wanted_by(KERNEL_VERSION(4, 1, 0), yaml, PROXY_MODE_IPVS, 2, IPVS_REUSE);
    assert_wanted_by(KERNEL_VERSION(5, 8, 0), yaml, PROXY_MODE_IPVS, 2, IPVS_REUSE);
    assert_wanted_by(KERNEL_VERSION(5, 9, 0), yaml, PROXY_MODE_IPVS, 2, IPVS_ALWAYS);
}

/* --- apply --- */

static void put(const char *root, const char *path, const char *content)
{
    char whole[256];
    struct err err;
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (char *slash = strchr(whole + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    assert_int_equal(write_file_whole(whole, 0644, content, strlen(content), &err), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

static void on_report(void *context, bool is_failure, const char *sentence)
{
    text_printf(context, "%s%s\n", is_failure ? "! " : "", sentence);
}

static void writes_and_tells(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct kernel_setting settings[KERNEL_SETTINGS_MAX];
    struct proxy_config config;
    struct arena arena;
    cleanup_with(text_done) struct text told = {0};
    cleanup_with(text_done) struct text again = {0};
    char root[64];
    snprintf(root, sizeof(root), "%s/fairlead-kernel-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(root));
    arena_init(&arena);
    load("conntrack: {udpTimeout: 45s}\noomScoreAdj: -998\n", &arena, &config);
    put(root, CONNTRACK "max", "65536\n");
    put(root, HASHSIZE, "65536\n");
    put(root, CONNTRACK "tcp_timeout_established", "86400\n");
    put(root, CONNTRACK "udp_timeout", "none\n");
    put(root, "/proc/self/oom_score_adj", "0\n");
    size_t count = kernel_settings_wanted(&config, PROXY_MODE_NFTABLES, 2, RUNNING, settings);
    settings[count++] = kernel_settings_oom(&config);
    assert_int_equal(kernel_settings_apply(root, settings, count, on_report, &told), 2);
    assert_string_equal(text_str(&told),
                        CONNTRACK "max was 65536 and is 131072 now, for conntrack.maxPerCore\n"
                                  "! conntrack.tcpCloseWaitTimeout 3600: " CONNTRACK
                                  "tcp_timeout_close_wait cannot be read: No such file or directory\n"
                                  "! conntrack.udpTimeout 45: " CONNTRACK
                                  "udp_timeout holds something else than a number\n"
                                  "/proc/self/oom_score_adj was 0 and is -998 now, for oomScoreAdj\n");

    /* Again, when what lacked is there. */
    put(root, CONNTRACK "tcp_timeout_close_wait", "60\n");
    put(root, CONNTRACK "udp_timeout", "45\n");
    assert_int_equal(kernel_settings_apply(root, settings, count, on_report, &again), 0);
    assert_string_equal(text_str(&again), CONNTRACK
                        "tcp_timeout_close_wait was 60 and is 3600 now, for conntrack.tcpCloseWaitTimeout\n");

    /* A network namespace that may not set the limit leaves the machine's table alone. */
    text_done(&again);
    put(root, CONNTRACK "max", "refused\n");
    put(root, HASHSIZE, "1024\n");
    assert_int_equal(kernel_settings_apply(root, settings, count, on_report, &again), 1);
    assert_string_equal(text_str(&again), "! conntrack.maxPerCore 131072: " CONNTRACK
                                          "max holds something else than a number\n");
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conntrack_by_cpus),     cmocka_unit_test(conntrack_timeouts),
        cmocka_unit_test(localhost_of_iptables), cmocka_unit_test(ipvs),
        cmocka_unit_test(ipvs_by_kernel),        cmocka_unit_test(writes_and_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
