/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/difference.h"

#include "config/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void read_config(const char *fields, struct arena *arena, struct proxy_config *ret)
{
    struct proxy_settings settings;
    struct proxy_report report = {0};
    struct text file = {0};
    const char *warning;
    text_printf(&file, "apiVersion: " PROXY_CONFIG_GROUP "\nkind: " PROXY_CONFIG_KIND "\n%s", fields);
    assert_null(settings_read(text_str(&file), file.len, arena, &settings, &warning));
    assert_null(warning);
    assert_true(config_resolve(&settings, arena, ret, &report));
    text_done(&file);
}

static void on_field(void *context, const char *field)
{
    text_printf(context, "%s ", field);
}

static void what_differs_is_named(void **state)
{
    static const struct {
        const char *before, *after, *fields;
    } cases[] = {
        {"", "", ""},
        {"mode: nftables", "mode: nftables", ""},
        {"mode: iptables", "mode: \"\"", ""},
        {"mode: nftables\nclusterCIDR: 10.0.0.0/8", "mode: nftables\nclusterCIDR: 10.1.0.0/16",
         "clusterCIDR "},
        {"mode: nftables", "mode: nftables\nnodePortAddresses: [10.0.0.0/8, 'fd00::/8']",
         "nodePortAddresses "},
        {"mode: nftables\nnodePortAddresses: [10.0.0.0/8, 'fd00::/8']",
         "mode: nftables\nnodePortAddresses: [10.0.0.0/8]", "nodePortAddresses "},
        {"featureGates: {AllAlpha: true}", "", "featureGates "},
        {"", "featureGates: {AllAlpha: true}", "featureGates "},
        {"clientConnection: {qps: 7}\nconntrack: {min: 1}",
         "clientConnection: {burst: 7}\nconntrack: {min: 2}\noomScoreAdj: 3",
         "clientConnection conntrack oomScoreAdj "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        struct proxy_config before, after;
        struct text fields = {0};
        arena_init(&arena);
        read_config(cases[i].before, &arena, &before);
        read_config(cases[i].after, &arena, &after);
        config_difference(&before, &after, on_field, &fields);
        assert_string_equal(text_str(&fields), cases[i].fields);
        text_done(&fields);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_differs_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
