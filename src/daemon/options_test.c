/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/options.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 8

static int parse(const char *const args[ARGS_MAX], struct arena *arena, struct options *ret, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {"--manifests", "/m"};
    int argc = 2;
    while (argc < ARGS_MAX + 2 && args[argc - 2]) {
        argv[argc] = (char *)args[argc - 2];
        argc++;
    }
    return options_parse(argc, argv, arena, ret, err);
}

static struct options parse_good(const char *const args[ARGS_MAX], struct arena *arena)
{
    struct options options;
    struct err err = {0};
    if (parse(args, arena, &options, &err) < 0)
        fail_msg("%s: %s", args[0] ? args[0] : "no flag", err.text);
    return options;
}

#define GOOD(...) parse_good((const char *const[ARGS_MAX]){__VA_ARGS__}, &arena)

static void defaults_are_kube_proxys(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct options options = GOOD(NULL);
    char text[SOCKET_ADDRESS_TEXT_MAX];
    assert_string_equal(options.manifests, "/m");
    assert_string_equal(options.proxy_mode, "nftables");
    assert_string_equal(socket_address_format(&options.healthz, text), "0.0.0.0:10256");
    assert_string_equal(socket_address_format(&options.metrics, text), "127.0.0.1:10249");
    assert_int_equal(options.sync_period_ms, 30000);
    assert_int_equal(options.local_detect, LOCAL_DETECT_NONE); /* ClusterCIDR without a CIDR (A9) */
    assert_true(options.node_ports_on_primary);                /* the nftables mode's default (A2) */
    assert_false(options.masquerade_all || options.has_bind_address || options.dry_run);
    assert_true(*options.node_name);
    assert_true(options.is_confined);
    assert_false(GOOD("--confine=false").is_confined);
    arena_done(&arena);
}

static void values_stand_behind_or_after_the_flag(void **state)
{
    struct arena arena;
    arena_init(&arena);
    assert_string_equal(GOOD("--hostname-override", "n1").node_name, "n1");
    assert_string_equal(GOOD("--hostname-override=n1").node_name, "n1");
    assert_string_equal(GOOD("--hostname-override= Node-One ").node_name, "node-one"); /* A1 */
    assert_string_equal(GOOD("--hostname-override=a", "--hostname-override=b").node_name, "b");
    assert_true(GOOD("--masquerade-all").masquerade_all);
    assert_true(GOOD("--masquerade-all=true").masquerade_all);
    assert_false(GOOD("--masquerade-all=false").masquerade_all);
    assert_int_equal(GOOD("-v=4").verbosity, 4);
    assert_int_equal(GOOD("-v", "2").verbosity, 2);
    assert_int_equal(GOOD("--v=0").verbosity, 0);
    assert_int_equal(GOOD("--dry-run", "-v=1").dry_run, DRY_RUN_RULES);
    assert_int_equal(GOOD("--dry-run=nftables").dry_run, DRY_RUN_RULES);
    assert_string_equal(GOOD("--dry-run=userspace", "--proxy-mode=iptables").proxy_mode, "userspace");
    assert_int_equal(GOOD("--dry-run=forwarding").dry_run, DRY_RUN_FORWARDING);
    assert_true(GOOD("--proxy-mode=auto").proxy_mode[0] == 'a');
    assert_int_equal(GOOD(NULL).masquerade_mark, 0x4000);
    assert_int_equal(GOOD("--iptables-masquerade-bit=0").masquerade_mark, 1);
    assert_int_equal(GOOD("--iptables-masquerade-bit", "31").masquerade_mark, 0x80000000);
    /* Of no use where node ports do not answer on 127.0.0.1. */
    assert_false(GOOD("--proxy-mode=iptables").has_localhost_node_ports);
    assert_true(GOOD("--proxy-mode=iptables", "--iptables-localhost-nodeports").has_localhost_node_ports);
    assert_false(
        GOOD("--proxy-mode=iptables", "--iptables-localhost-nodeports", "--nodeport-addresses=10.0.0.0/8")
            .has_localhost_node_ports);
    arena_done(&arena);
}

static void addresses_and_lists(void **state)
{
    struct arena arena;
    arena_init(&arena);
    char text[SOCKET_ADDRESS_TEXT_MAX];
    struct options options = GOOD("--cluster-cidr=fd00::/48, 10.0.0.0/16");
    assert_int_equal(options.local_detect, LOCAL_DETECT_CIDR);
    assert_string_equal(prefix_format(&options.cluster_cidr[FAMILY_IPV4], text), "10.0.0.0/16");
    assert_string_equal(prefix_format(&options.cluster_cidr[FAMILY_IPV6], text), "fd00::/48");
    options = GOOD("--healthz-bind-address=192.0.2.1", "--metrics-bind-address=[::1]:1");
    assert_string_equal(socket_address_format(&options.healthz, text), "192.0.2.1:10256");
    assert_string_equal(socket_address_format(&options.metrics, text), "[::1]:1");
    options = GOOD("--healthz-bind-address=", "--bind-address", "2001:db8::1");
    assert_int_equal(options.healthz.port, 0);
    assert_true(options.has_bind_address);
    options = GOOD("--nodeport-addresses=192.0.2.0/24,fd00::/8");
    assert_false(options.node_ports_on_primary);
    assert_int_equal(options.node_port_cidr_count, 2);
    assert_string_equal(prefix_format(&options.node_port_cidrs[1], text), "fd00::/8");
    assert_true(GOOD("--nodeport-addresses=primary").node_ports_on_primary);
    arena_done(&arena);
}

static void durations_are_gos(void **state)
{
    static const struct {
        const char *text;
        unsigned ms;
    } cases[] = {{"30s", 30000}, {"500ms", 500},  {"1m30s", 90000},
                 {"1.5s", 1500}, {"1h", 3600000}, {"24h", 86400000}};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(GOOD("--iptables-sync-period", cases[i].text).sync_period_ms, cases[i].ms);
    arena_done(&arena);
}

static void local_detection_has_four_modes(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct options options = GOOD("--detect-local-mode=NodeCIDR");
    assert_int_equal(options.local_detect, LOCAL_DETECT_CIDR);
    assert_true(options.is_node_cidr);
    options = GOOD("--detect-local-mode=BridgeInterface", "--pod-bridge-interface=cni0");
    assert_int_equal(options.local_detect, LOCAL_DETECT_BRIDGE);
    assert_string_equal(options.interface, "cni0");
    options = GOOD("--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=veth");
    assert_int_equal(options.local_detect, LOCAL_DETECT_INTERFACE_PREFIX);
    assert_string_equal(options.interface, "veth");
    assert_int_equal(GOOD("--detect-local-mode=ClusterCIDR").local_detect, LOCAL_DETECT_NONE);
    arena_done(&arena);
}

/* Each sentence names its flag. */
static void mistakes_are_told(void **state)
{
    static const struct {
        const char *args[3], *part;
    } cases[] = {
        {{"--hostname-override", NULL}, "--hostname-override needs a value"},
        {{"--hostname-override=  "}, "--hostname-override: a node's name cannot be empty"},
        {{"--nonsense"}, "unknown flag --nonsense"},
        {{"--manifest=/m"}, "unknown flag --manifest=/m"},
        {{"word"}, "unknown argument \"word\""},
        {{"--masquerade-all=maybe"}, "--masquerade-all: \"maybe\" is neither true nor false"},
        {{"--cluster-cidr=10.0.0.0"}, "--cluster-cidr: "},
        {{"--cluster-cidr=10.0.0.0/16,10.1.0.0/16"}, "only one CIDR of each family"},
        {{"--bind-address=node"}, "--bind-address: "},
        {{"--healthz-bind-address=1.2.3.4:x"}, "--healthz-bind-address: "},
        {{"--nodeport-addresses=192.0.2.0/24,primary"}, "--nodeport-addresses: primary stands alone"},
        {{"--nodeport-addresses=192.0.2.1"}, "--nodeport-addresses: "},
        {{"--iptables-sync-period=30"}, "--iptables-sync-period: "},
        {{"--iptables-sync-period=0s"}, "--iptables-sync-period: "},
        {{"--iptables-sync-period=25h"}, "--iptables-sync-period: "},
        {{"--dry-run=ebpf"}, "--dry-run: \"ebpf\" is neither a mode nor forwarding"},
        {{"--v=many"}, "--v: "},
        {{"--proxy-mode=ebpf"}, "--proxy-mode: ebpf is not in this version"},
        {{"--ipvs-exclude-cidrs=10.0.0.0"}, "--ipvs-exclude-cidrs: "},
        {{"--proxy-mode=magic"}, "--proxy-mode: \"magic\" is not one of"},
        {{"--detect-local-mode=Guess"}, "--detect-local-mode: \"Guess\" is not one of"},
        {{"--detect-local-mode=BridgeInterface"}, "BridgeInterface needs --pod-bridge-interface"},
        {{"--detect-local-mode=InterfaceNamePrefix"}, "needs --pod-interface-name-prefix"},
        {{"--detect-local-mode=BridgeInterface", "--pod-bridge-interface=averyverylongname"},
         "is longer than"},
        {{"--api="}, "--api: "},
        {{"--api=0"}, "--api: "},
        {{"--api=65536"}, "--api: "},
        {{"--api=node:6443"}, "--api: "},
        {{"--api=192.0.2.1:x"}, "--api: "},
        {{"--api=6443,"}, "--api: "},
        {{"--api=1,2,3,4,5,6,7,8,9"}, "--api: more than 8 addresses"},
        {{"--api-tls=perhaps"}, "--api-tls: \"perhaps\" is neither true nor false"},
        {{"--api=6443", "--dry-run"}, "--dry-run is for a folder alone"},
        {{"--data-dir=/d", "--dry-run"}, "--dry-run is for a folder alone"},
        {{"--service-cluster-ip-range=10.96.0.0"}, "--service-cluster-ip-range: "},
        {{"--service-cluster-ip-range=10.96.0.0/30"},
         "\"10.96.0.0/30\" is too small for a range of cluster IPs"},
        {{"--service-cluster-ip-range=fd00::/126"}, "\"fd00::/126\" is too small for a range of cluster IPs"},
        {{"--service-cluster-ip-range=fd00::/63"}, "\"fd00::/63\" is too large for a range of cluster IPs"},
        {{"--service-cluster-ip-range=10.0.0.0/16,10.1.0.0/16"}, "only one CIDR of each family"},
        {{"--service-cluster-ip-range=10.0.0.0/16,fd00::/108,10.1.0.0/16"},
         "at most one CIDR of each family"},
        {{"--service-node-port-range=30000"}, "--service-node-port-range: \"30000\" is not FIRST-LAST"},
        {{"--service-node-port-range=-1"}, "--service-node-port-range: "},
        {{"--service-node-port-range=0-10"}, "--service-node-port-range: "},
        {{"--service-node-port-range=1-70000"}, "--service-node-port-range: "},
        {{"--service-node-port-range=10-9"}, "\"10-9\" ends before it begins"},
        {{"--service-node-port-range=123456789-9"}, "is not FIRST-LAST"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *args[ARGS_MAX] = {cases[i].args[0], cases[i].args[1]};
        struct options options = {.verbosity = 77};
        struct err err = {0};
        struct arena arena;
        arena_init(&arena);
        assert_int_equal(parse(args, &arena, &options, &err), -EINVAL);
        if (!strstr(err.text, cases[i].part))
            fail_msg("%s: \"%s\" does not stand in \"%s\"", cases[i].args[0], cases[i].part, err.text);
        assert_int_equal(options.verbosity, 77); /* untouched */
        arena_done(&arena);
    }
}

/* --- the embedded API server --- */

/* Without --manifests. */
static int parse_alone(const char *const *args, struct arena *arena, struct options *ret, struct err *err)
{
    int count = 0;
    while (args[count])
        count++;
    return options_parse(count, (char *const *)args, arena, ret, err);
}

static void without_api_there_is_no_registry(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct options options = GOOD(NULL);
    char text[SOCKET_ADDRESS_TEXT_MAX];
    assert_null(options.data_dir);
    assert_int_equal(options.api_address_count, 0);
    assert_int_equal(options.service_range_count, 1);
    assert_string_equal(prefix_format(&options.service_ranges[0], text), "10.96.0.0/12");
    assert_int_equal(options.node_port_first, 30000);
    assert_int_equal(options.node_port_last, 32767);
    assert_false(options.is_api_plain);
    options = GOOD("--data-dir=/d");
    assert_string_equal(options.data_dir, "/d");
    assert_int_equal(options.api_address_count, 0);
    arena_done(&arena);
}

static void api_addresses_may_be_short(void **state)
{
    static const struct {
        const char *value, *wanted;
    } cases[] = {
        {"6443", "127.0.0.1:6443"},           {":7443", "127.0.0.1:7443"}, {"192.0.2.1", "192.0.2.1:6443"},
        {"192.0.2.1:7443", "192.0.2.1:7443"}, {"::1", "[::1]:6443"},       {"[::1]:7443", "[::1]:7443"},
        {"0.0.0.0:6443", "0.0.0.0:6443"},
    };
    struct arena arena;
    char text[SOCKET_ADDRESS_TEXT_MAX];
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options options = GOOD("--api", cases[i].value);
        assert_int_equal(options.api_address_count, 1);
        assert_string_equal(socket_address_format(&options.api[0], text), cases[i].wanted);
        assert_string_equal(options.data_dir, DATA_DIR_DEFAULT);
    }
    struct options options = GOOD("--api=6443, [::1]:6443", "--data-dir=/d", "--api-tls=false");
    assert_int_equal(options.api_address_count, 2);
    assert_string_equal(socket_address_format(&options.api[1], text), "[::1]:6443");
    assert_string_equal(options.data_dir, "/d");
    assert_true(options.is_api_plain);
    assert_false(GOOD("--api=6443", "--api-tls").is_api_plain);
    arena_done(&arena);
}

static void ranges_are_for_services(void **state)
{
    struct arena arena;
    arena_init(&arena);
    char text[PREFIX_TEXT_MAX];
    struct options options =
        GOOD("--service-cluster-ip-range=fd00::/108,10.0.0.0/24", "--service-node-port-range=40000-40000");
    assert_int_equal(options.service_range_count, 2);
    assert_string_equal(prefix_format(&options.service_ranges[0], text), "fd00::/108");
    assert_string_equal(prefix_format(&options.service_ranges[1], text), "10.0.0.0/24");
    assert_int_equal(options.node_port_first, 40000);
    assert_int_equal(options.node_port_last, 40000);
    assert_int_equal(GOOD("--service-cluster-ip-range=10.0.0.0/29").service_ranges[0].len, 29);
    assert_int_equal(GOOD("--service-cluster-ip-range=fd00::/64").service_ranges[0].len, 64);
    arena_done(&arena);
}

static void the_api_needs_no_folder(void **state)
{
    static const char *const alone[] = {"--api=6443", NULL}, *const kept[] = {"--data-dir=/d", NULL};
    struct arena arena;
    struct options options;
    struct err err = {0};
    arena_init(&arena);
    assert_int_equal(parse_alone(alone, &arena, &options, &err), 0);
    assert_null(options.manifests);
    assert_int_equal(parse_alone(kept, &arena, &options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--manifests DIR is missing"));
    arena_done(&arena);
}

static void help_needs_nothing_else(void **state)
{
    struct options options;
    struct err err;
    struct arena arena;
    char *const help[] = {"--help"}, *const dry[] = {"--dry-run"};
    arena_init(&arena);
    assert_int_equal(options_parse(1, help, &arena, &options, &err), 0);
    assert_true(options.shows_help);
    assert_int_equal(options_parse(1, dry, &arena, &options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--manifests DIR is missing"));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_kube_proxys),
        cmocka_unit_test(values_stand_behind_or_after_the_flag),
        cmocka_unit_test(addresses_and_lists),
        cmocka_unit_test(durations_are_gos),
        cmocka_unit_test(local_detection_has_four_modes),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(without_api_there_is_no_registry),
        cmocka_unit_test(api_addresses_may_be_short),
        cmocka_unit_test(ranges_are_for_services),
        cmocka_unit_test(the_api_needs_no_folder),
        cmocka_unit_test(help_needs_nothing_else),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
