/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_options.h"

#include "config/proxy_flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
#define WORDS_MAX 16

/* Words between spaces. */
static int parse(const char *line, struct arena *arena, struct proxy_options *ret, struct err *err)
{
    char *words[WORDS_MAX], *rest = NULL;
    int count = 0;
    err->text[0] = '\0';
    for (char *word = strtok_r(arena_strdup(arena, line), " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return proxy_options_parse(count, words, arena, ret, err);
}

static void no_flag_is_an_empty_file(void **state)
{
    struct arena arena = {0};
    struct proxy_options options;
    struct proxy_config of_flags, of_file;
    struct proxy_report report;
    struct text first = {0}, second = {0};
    struct err err;
    assert_int_equal(parse("", &arena, &options, &err), 0);
    assert_true(proxy_options_resolve(&options, NULL, 0, &arena, &of_flags, &report));
    assert_true(proxy_options_resolve(&options, HEAD, strlen(HEAD), &arena, &of_file, &report));
    config_write(&of_flags, &first);
    config_write(&of_file, &second);
    assert_string_equal(text_str(&first), text_str(&second));
    text_done(&first);
    text_done(&second);
    arena_done(&arena);
}

static void flags_reach_the_configuration(void **state)
{
    struct arena arena = {0};
    struct proxy_options options;
    struct proxy_config config;
    struct proxy_report report;
    struct err err;
    assert_int_equal(
        parse("--proxy_mode=nftables --iptables-sync-period 7s --ipvs-sync-period=9s --masquerade-all "
              "--nodeport-addresses=10.0.0.0/8 --nodeport-addresses 11.0.0.0/8,fd00::/8 "
              "--cluster-cidr=10.2.0.0/16 --healthz-bind-address=1.2.3.4 --healthz-port=5 "
              "--metrics-port=0 --hostname-override=NODE",
              &arena, &options, &err),
        0);
    assert_true(proxy_options_resolve(&options, NULL, 0, &arena, &config, &report));
    assert_int_equal(config.mode, PROXY_MODE_NFTABLES);
    assert_int_equal(config.sync_ms, 7000);
    assert_true(config.masquerades_all);
    assert_int_equal(config.node_port_addresses.count, 3);
    assert_int_equal(config.cluster_cidrs.count, 1);
    assert_string_equal(config.settings->healthz_bind_address, "1.2.3.4:5");
    assert_false(config.has_metrics);
    assert_string_equal(config.settings->hostname_override, "node");
    assert_int_equal(report.warning_count, 2); /* of the two ports */
    arena_done(&arena);
}

static void a_file_leaves_few_flags(void **state)
{
    static const char file[] =
        HEAD "mode: ipvs\nlogging: {verbosity: 1, vmodule: [{filePattern: b, verbosity: 2}]}\n";
    struct arena arena = {0};
    struct proxy_options options;
    struct proxy_config config;
    struct proxy_report report;
    struct err err;
    assert_int_equal(parse("--config=x --proxy-mode=nftables --oom-score-adj=5 -v5 --vmodule=a=1 "
                           "--hostname-override=n --master=http://m",
                           &arena, &options, &err),
                     0);
    assert_true(proxy_options_resolve(&options, file, strlen(file), &arena, &config, &report));
    assert_int_equal(config.mode, PROXY_MODE_IPVS);
    assert_int_equal(config.settings->oom_score_adj, -999);
    assert_int_equal(config.settings->logging.verbosity, 5);
    assert_int_equal(config.settings->logging.vmodule_count, 2);
    assert_string_equal(config.settings->logging.vmodule[0].pattern, "a");
    assert_string_equal(config.settings->hostname_override, "n");
    assert_string_equal(options.master, "http://m");
    assert_false(proxy_options_resolve(&options, "a: b", 4, &arena, &config, &report));
    assert_string_equal(report.refusal, "failed complete: failed to decode: Object 'Kind' is missing");
    arena_done(&arena);
}

static void words_are_those_of_pflag(void **state)
{
    static const char *const cases[][2] = {
        {"--foo", "unknown flag: --foo"},
        {"-x", "unknown shorthand flag: 'x' in -x"},
        {"-hx", "unknown shorthand flag: 'x' in -x"},
        {"-h=x", "invalid argument \"x\" for \"-h, --help\" flag: strconv.ParseBool: parsing \"x\": invalid "
                 "syntax"},
        {"-v", "flag needs an argument: 'v' in -v"},
        {"-v=",
         "invalid argument \"=\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"=\": invalid syntax"},
        {"--v=0x5",
         "invalid argument \"0x5\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"0x5\": invalid "
         "syntax"},
        {"--=x", "bad flag syntax: --=x"},
        {"---v=1", "bad flag syntax: ---v=1"},
        {"pos", "\"kube-proxy\" does not take any arguments, got [\"pos\"]"},
        {"-- pos --more", "\"kube-proxy\" does not take any arguments, got [\"pos\" \"--more\"]"},
        {"--kube-api-burst=0x_1__0", "invalid argument \"0x_1__0\" for \"--kube-api-burst\" flag: "
                                     "strconv.ParseInt: parsing \"0x_1__0\": invalid syntax"},
        {"--kube-api-qps=0x10", "invalid argument \"0x10\" for \"--kube-api-qps\" flag: strconv.ParseFloat: "
                                "parsing \"0x10\": invalid syntax"},
        {"--kube-api-qps=nan", "invalid argument \"nan\" for \"--kube-api-qps\" flag: strconv.ParseFloat: "
                               "parsing \"nan\": value out of range"},
        {"--vmodule=a=", "invalid argument \"a=\" for \"--vmodule\" flag: \"a=\" does not have the pattern=N "
                         "format"},
        {"--healthz-bind-address=[::1]", "invalid argument \"[::1]\" for \"--healthz-bind-address\" flag: "
                                         "\"[::1]\" is not in a valid format (ip or ip:port): address [::1]: "
                                         "missing port in address"},
        {"--nodeport-addresses=\"a\"b", "invalid argument \"\\\"a\\\"b\" for \"--nodeport-addresses\" flag: "
                                        "parse error on line 1, column 3: extraneous or missing \" in "
                                        "quoted-field"},
        {"--nodeport-addresses=a\"b", "invalid argument \"a\\\"b\" for \"--nodeport-addresses\" flag: parse "
                                      "error on line 1, column 2: bare \" in non-quoted-field"},
        {"--v=x",
         "invalid argument \"x\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"x\": invalid syntax"},
        {"--bind-address=x",
         "invalid argument \"x\" for \"--bind-address\" flag: \"x\" is not a valid IP address"},
        {"--iptables-sync-period=1",
         "invalid argument \"1\" for \"--iptables-sync-period\" flag: time: missing unit in duration \"1\""},
        {"--kube-api-burst=x", "invalid argument \"x\" for \"--kube-api-burst\" flag: strconv.ParseInt: "
                               "parsing \"x\": invalid syntax"},
        {"--kube-api-burst=2147483648", "invalid argument \"2147483648\" for \"--kube-api-burst\" flag: "
                                        "strconv.ParseInt: parsing \"2147483648\": value out of range"},
        {"--feature-gates=Foo",
         "invalid argument \"Foo\" for \"--feature-gates\" flag: malformed pair, expect "
         "string=bool"},
        {"--profiling=zz", "invalid argument \"zz\" for \"--profiling\" flag: strconv.ParseBool: parsing "
                           "\"zz\": invalid syntax"},
        {"--healthz-port", "flag needs an argument: --healthz-port"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena = {0};
        struct proxy_options options;
        struct err err;
        assert_true(parse(cases[i][0], &arena, &options, &err) < 0);
        assert_string_equal(err.text, cases[i][1]);
        arena_done(&arena);
    }
}

static void values_are_read_as_in_go(void **state)
{
    struct arena arena = {0};
    struct proxy_options options;
    struct err err;
    assert_int_equal(parse("--kube-api-burst=0b1_01 --oom-score-adj=-0x_1F --conntrack-min=017 --v=010 "
                           "--kube-api-qps=1_0.5 --vmodule=a=1 --vmodule=b=2, -hv3",
                           &arena, &options, &err),
                     0);
    assert_int_equal(options.settings.burst, 5);
    assert_int_equal(options.settings.oom_score_adj, -31);
    assert_int_equal(options.settings.conntrack.min, 15);
    assert_int_equal(options.settings.logging.verbosity, 3);
    assert_true(options.settings.qps == 10.5f);
    assert_int_equal(options.settings.logging.vmodule_count, 2);
    assert_string_equal(options.settings.logging.vmodule[0].pattern, "a");
    assert_true(options.is_help);
    assert_int_equal(
        parse("--nodeport-addresses=\"a,\"\"b\",c --nodeport-addresses=d\r\ne", &arena, &options, &err), 0);
    assert_int_equal(options.settings.node_port_addresses.count, 3);
    assert_string_equal(options.settings.node_port_addresses.items[0], "a,\"b");
    assert_string_equal(options.settings.node_port_addresses.items[1], "c");
    assert_string_equal(options.settings.node_port_addresses.items[2], "d");
    arena_done(&arena);
}

static void a_deprecated_port_stands_behind_an_address_alone(void **state)
{
    struct arena arena = {0};
    struct proxy_options options;
    struct proxy_config config;
    struct proxy_report report;
    struct err err;
    assert_int_equal(parse("--healthz-bind-address=1.2.3.4 --healthz-port=7", &arena, &options, &err), 0);
    assert_true(proxy_options_resolve(&options, NULL, 0, &arena, &config, &report));
    assert_int_equal(config.healthz.port, 7);
    assert_int_equal(parse("--healthz-bind-address=1.2.3.4 --healthz-port=70000", &arena, &options, &err), 0);
    assert_false(proxy_options_resolve(&options, NULL, 0, &arena, &config, &report));
    assert_string_equal(report.refusal, "failed validate: KubeProxyConfiguration.HealthzBindAddress: Invalid "
                                        "value: \"70000\": must be a valid port");
    arena_done(&arena);
}

static void help_has_every_flag_with_its_default(void **state)
{
    static const char *const pieces[] = {
        "\nThe apiserver:\n",
        "\n  -v, --v Level\n",
        "\n      --cleanup\n", /* a switch has no type */
        "\n      --proxy-mode ProxyMode\n",
        "(default \"text\")\n",
        "0 to 31; of iptables and ipvs.\n          (default 14)\n", /* wrapped */
        "0: as the kernel has it. (default 24h0m0s)\n",
        "IPv4 alone. (default true)\n",
    };
    struct text text = {0};
    proxy_options_help(&text);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        if (!strstr(text_str(&text), pieces[i]))
            fail_msg("no %s in %s", pieces[i], text_str(&text));
    for (size_t i = 0; i < proxy_flag_count; i++) {
        char name[64];
        snprintf(name, sizeof(name), "--%s%s", proxy_flags[i].name,
                 proxy_flags[i].type == FLAG_BOOL ? "\n" : " ");
        if (!strstr(text_str(&text), name) || strlen(proxy_flags[i].help) < 5)
            fail_msg("no %s", name);
    }
    for (const char *line = text_str(&text); *line; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 0, 100);
    text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flag_is_an_empty_file),
        cmocka_unit_test(flags_reach_the_configuration),
        cmocka_unit_test(a_file_leaves_few_flags),
        cmocka_unit_test(words_are_those_of_pflag),
        cmocka_unit_test(values_are_read_as_in_go),
        cmocka_unit_test(help_has_every_flag_with_its_default),
        cmocka_unit_test(a_deprecated_port_stands_behind_an_address_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
