/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void note_refusal(void *context, const struct document *document)
{
    text_add(context, document->refusal ? document->refusal : "");
}

/* The refusal of the one document in text must be "HEAD is invalid: EXPECTED"; NULL when it is accepted. */
static void check(const char *text, const char *head, const char *expected)
{
    struct text refusal = {0}, wanted = {0};
    assert_int_equal(documents_read("f", text, strlen(text), note_refusal, &refusal, NULL), 0);
    if (expected)
        text_printf(&wanted, "%s is invalid: %s", head, expected);
    if (strcmp(text_str(&refusal), text_str(&wanted)) != 0)
        fail_msg("%s\nis refused as\n%s\nnot\n%s", text, text_str(&refusal), text_str(&wanted));
    text_done(&refusal);
    text_done(&wanted);
}

struct expectation {
    const char *text, *refusal;
};

static void check_services(const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text document = {0};
        text_printf(&document, "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {%s}\n",
                    cases[i].text);
        check(text_str(&document), "Service \"s\"", cases[i].refusal);
        text_done(&document);
    }
}

#define IP "clusterIP: 10.0.0.1, "
#define PORT "ports: [{port: 80}]"
#define ONLY_BALANCER "Forbidden: may only be used when `type` is 'LoadBalancer'"

static void test_service_types(void **state)
{
    static const struct expectation cases[] = {
        {IP PORT, NULL},
        {"clusterIP: None", NULL},
        {"type: ExternalName, externalName: a.example.", NULL},
        {IP, "spec.ports: Required value"},
        {PORT, "spec.clusterIP: Required value: there is no allocator yet: a Service in a manifest names its "
               "clusterIP (or \"None\")"},
        {"clusterIP: \"\", " PORT,
         "spec.clusterIP: Required value: there is no allocator yet: a Service in a "
         "manifest names its clusterIP (or \"None\")"},
        {"type: NodePort, " IP "ports: [{name: a, port: 80, nodePort: 30000}, {name: b, port: 81}]",
         "spec.ports[1].nodePort: Required value: there is no allocator yet: a Service in a manifest names "
         "its node "
         "ports"},
        {"type: NodePort, " IP "ports: [{port: 80, nodePort: 30000}]", NULL},
        {"type: LoadBalancer, " IP PORT, NULL},
        {"type: Bad, " IP PORT, "spec.type: Unsupported value: \"Bad\": supported values: \"ClusterIP\", "
                                "\"ExternalName\", \"LoadBalancer\", \"NodePort\""},
        {"type: LoadBalancer, clusterIP: None, " PORT,
         "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"},
        {"type: NodePort, clusterIP: None, " PORT,
         "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"},
        {"type: ExternalName", "spec.externalName: Required value"},
        {"type: ExternalName, externalName: a.b, " IP "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack",
         "[spec.clusterIPs: Forbidden: may not be set for ExternalName services, spec.ipFamilies: Forbidden: "
         "may not "
         "be set for ExternalName services, spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName "
         "services]"},
        {"type: ExternalName, externalName: A_b",
         "spec.externalName: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of lower "
         "case "
         "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
         "'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
    };
    check_services(cases, ARRAY_LEN(cases));
}

static void test_service_ports(void **state)
{
    static const struct expectation cases[] = {
        {IP "ports: [{port: 0}]",
         "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, "
         "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, "
         "inclusive]"},
        {IP "ports: [{port: 80}, {port: 81}]",
         "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]"},
        {IP "ports: [{port: 80, name: a}, {port: 81, name: a}]",
         "spec.ports[1].name: Duplicate value: \"a\""},
        {IP "ports: [{port: 80, name: a}, {port: 80, name: b, protocol: UDP}]", NULL},
        {IP "ports: [{port: 80, name: a}, {port: 80, name: b}]",
         "spec.ports[1]: Duplicate value: "
         "{\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,"
         "\"TargetPort\":0,\"NodePort\":0}"},
        {IP "ports: [{port: 80, name: A}]",
         "spec.ports[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case "
         "alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. "
         "'my-name',  or "
         "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"},
        {IP "ports: [{port: 80, name: a.b}]",
         "spec.ports[0].name: Invalid value: \"a.b\": must not contain dots"},
        {IP "ports: [{port: 80, protocol: tcp}]",
         "spec.ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\""},
        {IP "ports: [{port: 80, targetPort: 70000}]",
         "spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
        {IP "ports: [{port: 80, targetPort: a--1}]",
         "spec.ports[0].targetPort: Invalid value: \"a--1\": must not contain consecutive hyphens"},
        {IP "ports: [{port: 80, targetPort: \"80\"}]",
         "spec.ports[0].targetPort: Invalid value: \"80\": must contain at least one letter (a-z)"},
        {IP "ports: [{port: 80, targetPort: \"\"}]", NULL},
        {IP "ports: [{port: 80, appProtocol: kubernetes.io/h2c}]", NULL},
        {IP "ports: [{port: 80, appProtocol: /h2c}]",
         "spec.ports[0].appProtocol: Invalid value: \"/h2c\": prefix part must be non-empty"},
        {IP "ports: [{port: 80, nodePort: 30000}]",
         "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
        {"type: NodePort, " IP
         "ports: [{port: 80, name: a, nodePort: 30000}, {port: 81, name: b, nodePort: 30000}]",
         "spec.ports[1].nodePort: Duplicate value: 30000"},
        {"type: NodePort, " IP
         "ports: [{port: 80, name: a, nodePort: 30000}, {port: 81, name: b, nodePort: 30000, "
         "protocol: UDP}]",
         NULL},
    };
    check_services(cases, ARRAY_LEN(cases));
}

static void test_service_addresses(void **state)
{
    static const struct expectation cases[] = {
        {"clusterIP: 10.0.0.1, clusterIPs: [10.0.0.2], " PORT,
         "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`"},
        {"clusterIPs: [10.0.0.2], " PORT,
         "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: must be empty when `clusterIP` is not specified"},
        {IP "clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilyPolicy: PreferDualStack, " PORT, NULL},
        {IP "clusterIPs: [10.0.0.1, 'fd00::1'], " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or "
         "'PreferDualStack' when "
         "multiple cluster IPs are specified"},
        {IP "ipFamilies: [IPv4, IPv6], " PORT, "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be "
                                               "'RequireDualStack' or 'PreferDualStack' when "
                                               "multiple IP families are specified"},
        {IP "clusterIPs: [10.0.0.1, 10.0.0.2], ipFamilies: [IPv4], ipFamilyPolicy: PreferDualStack, " PORT,
         "[spec.ipFamilies[1]: Duplicate value: \"IPv4\", spec.clusterIPs: Invalid value: "
         "[\"10.0.0.1\",\"10.0.0.2\"]: may specify no more than one IP for each IP family]"},
        {IP "clusterIPs: [10.0.0.1, 'fd00::1', 10.0.0.3], ipFamilyPolicy: PreferDualStack, " PORT,
         "spec.clusterIPs: Invalid value: [\"10.0.0.1\",\"fd00::1\",\"10.0.0.3\"]: may only hold up to 2 "
         "values"},
        {"clusterIP: None, clusterIPs: [None, 10.0.0.1], ipFamilyPolicy: PreferDualStack",
         "[spec.ports: Required value, spec.clusterIPs: Invalid value: [\"None\",\"10.0.0.1\"]: 'None' must "
         "be the "
         "first and only value]"},
        {IP "ipFamilies: [IPv6], " PORT, "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 "
                                         "value as indicated by `ipFamilies[0]`"},
        {IP "ipFamilyPolicy: RequireDualStack, " PORT,
         "spec.clusterIPs: Required value: there is no allocator yet: a Service in a manifest names one "
         "clusterIP for "
         "each of its families"},
        {IP "ipFamilyPolicy: PreferDualStack, " PORT, NULL},
        {"clusterIP: 010.0.0.1, " PORT,
         "spec.clusterIPs[0]: Invalid value: \"010.0.0.1\": must not have leading 0s"},
        {"clusterIP: '::ffff:10.0.0.1', " PORT,
         "spec.clusterIPs[0]: Invalid value: \"::ffff:10.0.0.1\": must not be an IPv4-mapped IPv6 address"},
        {"clusterIP: 10.0.0, " PORT,
         "spec.clusterIPs[0]: Invalid value: \"10.0.0\": must be a valid IP address, (e.g. "
         "10.9.8.7 or 2001:db8::ffff)"},
        {IP "ipFamilies: [IPv5], ipFamilyPolicy: Some, " PORT,
         "[spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\", "
         "spec.ipFamilyPolicy: Unsupported value: \"Some\": supported values: \"PreferDualStack\", "
         "\"RequireDualStack\", \"SingleStack\"]"},
        {IP "externalIPs: [192.0.2.1, 0.0.0.0, 127.0.0.1, 169.254.1.1, 224.0.0.1, 'fe80::1', x], " PORT,
         "[spec.externalIPs[1]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0), "
         "spec.externalIPs[2]: "
         "Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128), "
         "spec.externalIPs[3]: Invalid value: \"169.254.1.1\": may not be in the link-local range "
         "(169.254.0.0/16, "
         "fe80::/10), spec.externalIPs[4]: Invalid value: \"224.0.0.1\": may not be in the link-local "
         "multicast range "
         "(224.0.0.0/24, ff02::/10), spec.externalIPs[5]: Invalid value: \"fe80::1\": may not be in the "
         "link-local "
         "range (169.254.0.0/16, fe80::/10), spec.externalIPs[6]: Invalid value: \"x\": must be a valid IP "
         "address, "
         "(e.g. 10.9.8.7 or 2001:db8::ffff)]"},
    };
    check_services(cases, ARRAY_LEN(cases));
}

static void test_service_policies(void **state)
{
    static const struct expectation cases[] = {
        {IP "externalTrafficPolicy: Cluster, " PORT,
         "spec.externalTrafficPolicy: Invalid value: \"Cluster\": may only be set for externally-accessible "
         "services"},
        {IP "externalTrafficPolicy: Local, externalIPs: [192.0.2.1], " PORT, NULL},
        {"type: LoadBalancer, externalTrafficPolicy: No one, " IP PORT,
         "spec.externalTrafficPolicy: Unsupported value: \"No one\": supported values: \"Cluster\", "
         "\"Local\""},
        {"type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30000, " IP PORT, NULL},
        {"type: LoadBalancer, externalTrafficPolicy: Local, " IP PORT, NULL},
        {"type: LoadBalancer, healthCheckNodePort: 30000, " IP PORT,
         "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and "
         "`externalTrafficPolicy` is 'Local'"},
        {IP "internalTrafficPolicy: Here, " PORT,
         "spec.internalTrafficPolicy: Unsupported value: \"Here\": supported values: \"Cluster\", \"Local\""},
        {IP "trafficDistribution: PreferSameNode, " PORT, NULL},
        {IP "trafficDistribution: Prefer, " PORT,
         "spec.trafficDistribution: Unsupported value: \"Prefer\": supported values: \"PreferClose\", "
         "\"PreferSameZone\", \"PreferSameNode\""},
        {IP "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}, " PORT,
         "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 "
         "and less "
         "than 86400"},
        {IP "sessionAffinity: Client, " PORT,
         "spec.sessionAffinity: Unsupported value: \"Client\": supported values: \"ClientIP\", \"None\""},
        /* Defaulting drops the configuration of an affinity that is off. */
        {IP "sessionAffinityConfig: {clientIP: {timeoutSeconds: 99999999}}, " PORT, NULL},
        {IP "topologyKeys: [a, '*'], " PORT, NULL},
        {IP "topologyKeys: ['*', a, a], " PORT, "[spec.topologyKeys[0]: Invalid value: \"*\": \"*\" must be "
                                                "the last value specified, spec.topologyKeys[2]: "
                                                "Duplicate value: \"a\"]"},
    };
    check_services(cases, ARRAY_LEN(cases));
}

static void test_service_balancer(void **state)
{
    static const struct expectation cases[] = {
        {IP "loadBalancerSourceRanges: [10.0.0.0/8], " PORT, "spec.LoadBalancerSourceRanges: " ONLY_BALANCER},
        {"type: LoadBalancer, loadBalancerSourceRanges: [' 10.0.0.0/8 '], " IP PORT, NULL},
        {"type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1/8, 10.0.0.0/33, 010.0.0.0/8], " IP PORT,
         "[spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond "
         "the prefix "
         "length, spec.LoadBalancerSourceRanges[1]: Invalid value: \"10.0.0.0/33\": must be a valid CIDR "
         "value, (e.g. "
         "10.9.8.0/24 or 2001:db8::/64), spec.LoadBalancerSourceRanges[2]: Invalid value: \"010.0.0.0/8\": "
         "must not "
         "have leading 0s in IP or prefix length]"},
        {IP "allocateLoadBalancerNodePorts: false, " PORT,
         "spec.allocateLoadBalancerNodePorts: " ONLY_BALANCER},
        {IP "loadBalancerClass: a/b, " PORT, "spec.loadBalancerClass: " ONLY_BALANCER},
        {"type: LoadBalancer, loadBalancerClass: a/b, " IP PORT
         "}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}",
         NULL},
        {IP PORT "}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}",
         "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"},
        {"type: LoadBalancer, " IP PORT "}\nstatus: {loadBalancer: {ingress: [{hostname: 192.0.2.1, ipMode: "
         "VIP}, {ip: 192.0.2.1, ipMode: vip}]}",
         "[status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set, "
         "status.loadBalancer.ingress[0].hostname: Invalid value: \"192.0.2.1\": must be a DNS name, not an "
         "IP "
         "address, status.loadBalancer.ingress[1].ipMode: Unsupported value: \"vip\": supported values: "
         "\"Proxy\", "
         "\"VIP\"]"},
    };
    check_services(cases, ARRAY_LEN(cases));
}

#define META(meta) "apiVersion: v1\nkind: Service\nmetadata: {" meta "}\nspec: {clusterIP: None}\n"

static void test_metadata(void **state)
{
    static const struct {
        const char *text, *head, *refusal;
    } cases[] = {
        {META(""), "Service \"\"", "metadata.name: Required value: name or generateName is required"},
        {META("generateName: a-"), "Service \"\"",
         "metadata.name: Required value: name or generateName is required"},
        /* Since 1.36 (gate RelaxedServiceNameValidation) a Service's name may begin with a digit. */
        {META("name: 1a"), NULL, NULL},
        {META("name: a.b"), "Service \"a.b\"",
         "metadata.name: Invalid value: \"a.b\": must not contain dots"},
        {META("name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
         "Service \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
         "metadata.name: Invalid value: "
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": must be "
         "no more than 63 characters"},
        {META("name: a, namespace: b.c"), "Service \"a\"",
         "metadata.namespace: Invalid value: \"b.c\": must not contain dots"},
        {META("name: a, labels: {a/b/c: d}"), "Service \"a\"",
         "metadata.labels: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric "
         "characters, '-', "
         "'_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  "
         "or "
         "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an "
         "optional DNS "
         "subdomain prefix and '/' (e.g. 'example.com/MyName')"},
        {META("name: a, labels: {a: -b}"), "Service \"a\"",
         "metadata.labels: Invalid value: \"-b\": a valid label must be an empty string or consist of "
         "alphanumeric "
         "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
         "'MyValue',  or "
         "'my_value',  or '12345', regex used for validation is "
         "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        {META("name: a, labels: {a: b_, c: b_}"), "Service \"a\"",
         "metadata.labels: Invalid value: \"b_\": a valid label must be an empty string or consist of "
         "alphanumeric "
         "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
         "'MyValue',  or "
         "'my_value',  or '12345', regex used for validation is "
         "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        {META("name: a, annotations: {Example.COM/a: 'anything goes'}"), NULL, NULL},
        {META("name: a, annotations: {service.kubernetes.io/topology-mode: Auto, "
              "service.kubernetes.io/topology-aware-hints: Disabled}"),
         "Service \"a\"",
         "metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"Auto\": must match "
         "annotations[service.kubernetes.io/topology-aware-hints] when both are specified"},
        {META("name: a, ownerReferences: [{apiVersion: v1}]"), "Service \"a\"",
         "[metadata.ownerReferences.kind: Invalid value: \"\": must not be empty, "
         "metadata.ownerReferences.name: Invalid value: \"\": must not be empty, "
         "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty]"},
        {META("name: a, generation: -1"), "Service \"a\"",
         "metadata.generation: Invalid value: -1: must be greater than or equal to 0"},
        {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n", "Namespace \"a\"",
         "metadata.namespace: Forbidden: not allowed on this type"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(cases[i].text, cases[i].head, cases[i].refusal);
}

static void test_slices(void **state)
{
    static const struct expectation cases[] = {
        {"addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]", NULL},
        {"addressType: IPv4, endpoints: null, ports: null", NULL},
        {"addressType: FQDN, endpoints: [{addresses: [a.b.]}]", NULL},
        {"endpoints: [{addresses: [10.0.0.1]}]", "addressType: Required value"},
        {"addressType: IP",
         "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""},
        {"addressType: IPv4, endpoints: [{addresses: []}]",
         "endpoints[0].addresses: Required value: must contain at least 1 address"},
        {"addressType: IPv4, endpoints: [{addresses: ['fd00::1']}]",
         "endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address"},
        {"addressType: IPv6, endpoints: [{addresses: ['::1', '::']}]",
         "[endpoints[0].addresses[0]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, "
         "::1/128), "
         "endpoints[0].addresses[1]: Invalid value: \"::\": may not be unspecified (::)]"},
        {"addressType: FQDN, endpoints: [{addresses: [a]}]",
         "endpoints[0].addresses[0]: Invalid value: \"a\": should be a domain with at least two segments "
         "separated by "
         "dots"},
        {"addressType: IPv4, ports: [{port: 1}, {port: 2}]", "ports[1].name: Duplicate value: \"\""},
        {"addressType: IPv4, ports: [{port: 70000, protocol: X, appProtocol: a/}]",
         "[ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\", "
         "ports[0].appProtocol: Invalid value: "
         "\"a/\": "
         "name part must be non-empty, ports[0].appProtocol: Invalid value: \"a/\": name part must consist "
         "of "
         "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
         "(e.g. "
         "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')]"},
        {"addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{name: a}, {name: a}]}}]",
         "endpoints[0].hints.forZones[1].name: Duplicate value: \"a\""},
        {"addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{name: a}, {name: b}, "
         "{name: c}, "
         "{name: d}, {name: e}, {name: f}, {name: g}, {name: h}, {name: i}]}}]",
         "endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"},
        {"addressType: IPv4, endpoints: [{addresses: [10.0.0.1], nodeName: a_b, hostname: a.b}]",
         "[endpoints[0].nodeName: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of "
         "lower case "
         "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
         "'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), endpoints[0].hostname: "
         "Invalid value: "
         "\"a.b\": must not contain dots]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text document = {0};
        text_printf(&document,
                    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s}, %s}",
                    cases[i].text);
        check(text_str(&document), "EndpointSlice.discovery.k8s.io \"s\"", cases[i].refusal);
        text_done(&document);
    }
}

static void test_many_endpoints(void **state)
{
    struct text document = {0};
    text_add(&document,
             "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\naddressType: "
             "IPv4\nendpoints:\n");
    for (int i = 0; i < 1001; i++)
        text_printf(&document, "- addresses: [10.0.%d.%d]\n", i / 250, i % 250 + 1);
    check(text_str(&document), "EndpointSlice.discovery.k8s.io \"s\"",
          "endpoints: Too many: 1001: must have at most 1000 items");
    text_done(&document);
}

static void test_others(void **state)
{
    static const struct {
        const char *text, *head, *refusal;
    } cases[] = {
        {"{apiVersion: v1, kind: Endpoints, metadata: {name: e}, subsets: [{ports: [{port: 0, protocol: "
         "x}]}]}",
         "Endpoints \"e\"",
         "[subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`, "
         "subsets[0].ports[0].port: "
         "Invalid value: 0: must be between 1 and 65535, inclusive, subsets[0].ports[0].protocol: "
         "Unsupported value: "
         "\"x\": supported values: \"SCTP\", \"TCP\", \"UDP\"]"},
        {"{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.0.0.0/24, 10.0.1.0/24]}}",
         "Node \"n1\"",
         "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one CIDR "
         "for each IP "
         "family"},
        {"{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: r}}",
         "ServiceCIDR.networking.k8s.io \"r\"", "spec.cidrs: Required value: at least one CIDR required"},
        {"{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: r}, spec: {cidrs: "
         "['FD00::/64']}}",
         "ServiceCIDR.networking.k8s.io \"r\"",
         "spec.cidrs[0]: Invalid value: \"FD00::/64\": must be in canonical form (\"fd00::/64\")"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(cases[i].text, cases[i].head, cases[i].refusal);
}

static void test_long_names(void **state)
{
    struct text name = {0}, document = {0}, refusal = {0};
    for (int i = 0; i < 126; i++)
        text_add(&name, "a.");
    text_add(&name, "a");
    text_printf(&document, "{apiVersion: v1, kind: Endpoints, metadata: {name: %s}}", text_str(&name));
    check(text_str(&document), NULL, NULL);
    text_done(&document);
    text_printf(&document, "{apiVersion: v1, kind: Endpoints, metadata: {name: %sa}}", text_str(&name));
    text_printf(&refusal, "metadata.name: Invalid value: \"%sa\": must be no more than 253 characters",
                text_str(&name));
    struct text head = {0};
    text_printf(&head, "Endpoints \"%sa\"", text_str(&name));
    check(text_str(&document), text_str(&head), text_str(&refusal));
    text_done(&name);
    text_done(&document);
    text_done(&refusal);
    text_done(&head);
}

/* The place of a fault is that of the field at fault, where the document has it. */
static void note_place(void *context, const struct document *document)
{
    assert_non_null(document->refusal);
    text_printf(context, "%d:%d", document->line, document->column);
}

static void test_places(void **state)
{
    static const struct expectation cases[] = {
        {"apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  clusterIP: 10.0.0.1\n  ports:\n"
         "  - port: 80\n    protocol: tcp\n",
         "9:15"},
        {"apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports:\n  - port: 80\n", "6:3"},
        {"apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  labels:\n    -a: b\n", "6:5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text place = {0};
        documents_read("f", cases[i].text, strlen(cases[i].text), note_place, &place, NULL);
        assert_string_equal(text_str(&place), cases[i].refusal);
        text_done(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_types),
        cmocka_unit_test(test_service_ports),
        cmocka_unit_test(test_service_addresses),
        cmocka_unit_test(test_service_policies),
        cmocka_unit_test(test_service_balancer),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_many_endpoints),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
