/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/modes.h"

#include "dataplane/iptables/iptables.h"
#include "dataplane/ipvs/ipvs.h"
#include "dataplane/userspace/userspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_a_configuration_asks_for(void **state)
{
    static const struct {
        enum proxy_mode mode;
        bool is_open;
        const char *want;
    } cases[] = {
        {PROXY_MODE_NFTABLES, false, "nftables"},
        {PROXY_MODE_IPTABLES, false, "iptables"},
        {PROXY_MODE_IPVS, false, "ipvs"},
        {PROXY_MODE_USERSPACE, false, "userspace"},
        {PROXY_MODE_IPTABLES, true, MODE_KUBE_PROXY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct proxy_config config = {.mode = cases[i].mode, .is_mode_open = cases[i].is_open};
        assert_string_equal(modes_of_config(&config), cases[i].want);
    }
}

static void names(void **state)
{
    assert_true(modes_has("nftables") && modes_has("iptables") && modes_has("ipvs") && modes_has("auto"));
    assert_false(modes_has("") || modes_has(MODE_KUBE_PROXY)); /* a word among ourselves */
}

/* Both ways: what the kernel is asked for goes by the number of the mode that serves. */
static void numbers(void **state)
{
    static const enum proxy_mode numbers[] = {PROXY_MODE_NFTABLES, PROXY_MODE_IPTABLES, PROXY_MODE_IPVS,
                                              PROXY_MODE_USERSPACE};
    const struct dataplane_ops *const modes[] = {&nftables_dataplane, &iptables_dataplane, &ipvs_dataplane,
                                                 &userspace_dataplane};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        const struct proxy_config config = {.mode = numbers[i]};
        assert_int_equal(modes_number(modes[i]), numbers[i]);
        assert_string_equal(modes_of_config(&config), modes[i]->name);
    }
}

/* A folder without programs: a mode that was named is refused with its reason, a mode that nobody named is
 * not.
 */
static void without_programs(void **state)
{
    struct mode_finding finding;
    struct err err;
    setenv("PATH", "/nonexistent", 1);
    assert_true(modes_choose("iptables", &finding, &err) < 0);
    assert_non_null(strstr(err.text, "iptables-restore"));
    assert_true(modes_choose("ebpf", &finding, &err) < 0);
    assert_non_null(strstr(err.text, "\"ebpf\""));
    if (modes_choose("nftables", &finding, &err) < 0)
        skip(); /* without the right to ask the kernel */
    assert_string_equal(finding.reason.text, "");
    static const char *const others[] = {MODE_KUBE_PROXY, "ipvs"};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        assert_int_equal(modes_choose(others[i], &finding, &err), 0);
        assert_string_equal(finding.serves->name, "nftables");
    }
    assert_non_null(strstr(finding.reason.text, "iptables-restore"));
    assert_int_equal(modes_choose("auto", &finding, &err), 0);
    assert_string_equal(finding.serves->name, "nftables");
    assert_string_equal(finding.reason.text, "");
}

struct findings {
    char text[1024];
};

static void note(void *context, const struct mode_finding *finding)
{
    struct findings *findings = context;
    size_t len = strlen(findings->text);
    snprintf(findings->text + len, sizeof(findings->text) - len, "%s=%s%s ", finding->mode,
             finding->serves ? finding->serves->name : "", *finding->reason.text ? "!" : "");
}

/* Every name of the list has its line, and what is wrong with one is not said of another. */
static void probing(void **state)
{
    struct findings findings = {""};
    struct err err;
    setenv("PATH", "/nonexistent", 1);
    if (nftables_dataplane.probe(&err) < 0)
        skip(); /* without the right to ask the kernel */
    modes_probe(note, &findings);
    assert_non_null(strstr(findings.text, "nftables=nftables "));
    assert_non_null(strstr(findings.text, "iptables=! "));
    assert_non_null(strstr(findings.text, "userspace=! "));
    assert_non_null(strstr(findings.text, "ipvs=nftables! "));
    assert_non_null(strstr(findings.text, "auto=nftables "));
    assert_non_null(strstr(findings.text, MODE_KUBE_PROXY "=nftables! "));
    assert_string_equal(modes_list(), "nftables, iptables, ipvs, userspace, auto");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_configuration_asks_for),
        cmocka_unit_test(names),
        cmocka_unit_test(numbers),
        cmocka_unit_test(without_programs),
        cmocka_unit_test(probing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
