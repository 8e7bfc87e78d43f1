/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/names.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The hashes are Python's:
 * base64.b32encode(hashlib.sha256(b"ns1/svc1:p80" b"tcp").digest())[:16]
 * The first is the one that kube-proxy's own tests have. */

static void services_have_kube_proxys_names(void **state)
{
    static const struct {
        enum service_chain chain;
        const char *port_name;
        enum protocol protocol;
        const char *name;
    } cases[] = {
        {SERVICE_CHAIN_CLUSTER, "ns1/svc1:p80", PROTOCOL_TCP, "KUBE-SVC-XPGD46QRK7WJZT7O"},
        {SERVICE_CHAIN_LOCAL, "ns1/svc1:p80", PROTOCOL_TCP, "KUBE-SVL-XPGD46QRK7WJZT7O"},
        {SERVICE_CHAIN_EXTERNAL, "ns1/svc1:p80", PROTOCOL_TCP, "KUBE-EXT-XPGD46QRK7WJZT7O"},
        {SERVICE_CHAIN_FIREWALL, "ns1/svc1:p80", PROTOCOL_TCP, "KUBE-FW-XPGD46QRK7WJZT7O"},
        {SERVICE_CHAIN_CLUSTER, "default/kubernetes:https", PROTOCOL_TCP, "KUBE-SVC-NPX46M4PTMTKRN6Y"},
        {SERVICE_CHAIN_CLUSTER, "kube-system/kube-dns:dns", PROTOCOL_UDP, "KUBE-SVC-TCOU7JCQXEZGVUNU"},
        {SERVICE_CHAIN_CLUSTER, "ns/web", PROTOCOL_TCP, "KUBE-SVC-2E3CGTP4Q4OVWDQZ"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char buffer[CHAIN_NAME_MAX];
        assert_ptr_equal(chain_name_service(cases[i].chain, cases[i].port_name, cases[i].protocol, buffer),
                         buffer);
        assert_string_equal(buffer, cases[i].name);
        assert_true(chain_name_is_of_service(buffer));
    }
}

static void endpoints_have_kube_proxys_names(void **state)
{
    char buffer[CHAIN_NAME_MAX];
    assert_string_equal(chain_name_endpoint("ns/web", PROTOCOL_TCP, "10.0.0.1:80", buffer),
                        "KUBE-SEP-BGBVCNXYM44SQVYQ");
    assert_string_equal(chain_name_endpoint("ns/web:http", PROTOCOL_SCTP, "[fd00::1]:8080", buffer),
                        "KUBE-SEP-AOK22SSP7LI7PPZI");
    assert_true(chain_name_is_of_service(buffer));
}

static void other_chains_are_not_of_a_service(void **state)
{
    static const char *const names[] = {"KUBE-SERVICES", "KUBE-NODEPORTS",       "KUBE-MARK-MASQ",
                                        "KUBE-FIREWALL", "KUBE-PROXY-FIREWALL",  "KUBE-EXTERNAL-SERVICES",
                                        "KUBE-FORWARD",  "FAIRLEAD-CLUSTER-IPS", "KUBE-KUBELET-CANARY",
                                        "PREROUTING",    "MY-KUBE-SVC-AAAA",     ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(chain_name_is_of_service(names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_have_kube_proxys_names),
        cmocka_unit_test(endpoints_have_kube_proxys_names),
        cmocka_unit_test(other_chains_are_not_of_a_service),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
