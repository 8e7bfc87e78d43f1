/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/services.h"

#include "api/encode.h"
#include "apiserver/test_objects.h"
#include "base/cleanup.h"

#include <errno.h>

/* Every search begins at the lower end of its upper band, so what is allocated is known:
 * 10.96.1.1, fd00::101 and 30086 come first. */
static uint64_t no_random(void *context)
{
    return 0;
}

static struct allocator *make(const char *first, const char *second)
{
    struct allocator_config config = {
        .range_count = second ? 2 : 1, .node_port_first = 30000, .node_port_last = 32767};
    assert_int_equal(prefix_parse(first, &config.ranges[0], NULL), 0);
    if (second)
        assert_int_equal(prefix_parse(second, &config.ranges[1], NULL), 0);
    return allocator_new(&config);
}

static struct allocator *make_dual(void)
{
    return make("10.96.0.0/16", "fd00::/108");
}

/* Defaulted by the scheme alone. */
static Core__Service *read_service(const char *spec_text, struct arena *arena)
{
    const char *text = arena_printf(arena, "{metadata: {name: web}, spec: {%s}}", spec_text);
    Core__Service *service = (Core__Service *)test_read(API_SERVICE, text, arena);
    test_default_service(service, arena);
    return service;
}

static void add_list(struct text *text, char *const *list, size_t count)
{
    text_add(text, count ? "" : "-");
    for (size_t i = 0; i < count; i++)
        text_printf(text, "%s%s", i ? "," : "", list[i]);
}

/* "10.96.1.1 IPv4 SingleStack" and what else there is. */
static void describe(const Core__Service *service, struct text *ret)
{
    const Core__ServiceSpec *spec = service->spec;
    const char *first = spec->n_clusterips ? spec->clusterips[0] : "";
    if (!text_equal(api_text(spec->clusterip), first))
        text_printf(ret, "clusterIP %s but ", api_text(spec->clusterip));
    add_list(ret, spec->clusterips, spec->n_clusterips);
    text_add(ret, " ");
    add_list(ret, spec->ipfamilies, spec->n_ipfamilies);
    text_printf(ret, " %s", spec->ipfamilypolicy ? spec->ipfamilypolicy : "-");
    for (size_t i = 0; i < spec->n_ports; i++)
        if (spec->ports[i]->nodeport)
            text_printf(ret, " %d:%d", spec->ports[i]->port, spec->ports[i]->nodeport);
    if (spec->healthchecknodeport)
        text_printf(ret, " health:%d", spec->healthchecknodeport);
    if (spec->has_allocateloadbalancernodeports)
        text_printf(ret, " allocate:%d", spec->allocateloadbalancernodeports);
    if (spec->loadbalancerclass)
        text_printf(ret, " class:%s", spec->loadbalancerclass);
    if (spec->externaltrafficpolicy)
        text_printf(ret, " external:%s", spec->externaltrafficpolicy);
}

/* One write from beginning to end; *ret says what came of it. */
static void run(struct allocator *allocator, const Core__Service *before, Core__Service *after,
                bool is_dry_run, struct arena *arena, struct text *ret)
{
    struct faults *faults = arena_new(arena, struct faults);
    struct services_plan plan = {0};
    struct err err = {""};
    faults_init(faults, arena);
    services_prepare(before, after, allocator_config(allocator), arena, faults);
    int code = faults->count ? -EINVAL : 0;
    if (code == 0)
        code =
            services_plan(before, after, allocator, is_dry_run, no_random, NULL, arena, faults, &plan, &err);
    if (code == -EINVAL)
        text_add(ret, faults_format(faults));
    else if (code < 0)
        text_printf(ret, "500 %s", err.text);
    else
        describe(after, ret);
    assert_true((faults->count > 0) == (code == -EINVAL));
    services_commit(&plan);
}

struct expectation {
    const char *before, *after, *wanted;
};

static void check_one(struct allocator *allocator, const struct expectation *expectation)
{
    struct arena arena;
    struct text first = {0}, result = {0};
    arena_init(&arena);
    Core__Service *before = expectation->before ? read_service(expectation->before, &arena) : NULL;
    if (before)
        run(allocator, NULL, before, false, &arena, &first);
    run(allocator, before, read_service(expectation->after, &arena), false, &arena, &result);
    if (strcmp(text_str(&result), expectation->wanted) != 0)
        fail_msg("{%s} after {%s} gave\n%s\nnot\n%s", expectation->after,
                 expectation->before ? text_str(&first) : "nothing", text_str(&result), expectation->wanted);
    text_done(&first);
    text_done(&result);
    arena_done(&arena);
}

/* Each case has a world of its own, in which 10.96.0.99 and 30099 are taken. */
static void check(const char *first, const char *second, const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct allocator *allocator = make(first, second);
        struct address taken;
        assert_int_equal(address_parse("10.96.0.99", &taken, NULL), 0);
        allocator_adopt_address(allocator, &taken, NULL);
        allocator_adopt_port(allocator, 30099, NULL);
        check_one(allocator, &cases[i]);
        allocator_free(allocator);
    }
}

#define PORT "ports: [{port: 80}]"
#define POLICY_TWO "must be 'RequireDualStack' or 'PreferDualStack' when multiple "

static void creates_on_a_dual_stack_cluster(void **state)
{
    static const struct expectation cases[] = {
        {NULL, PORT, "10.96.1.1 IPv4 SingleStack"},
        {NULL, "ipFamilyPolicy: PreferDualStack, " PORT, "10.96.1.1,fd00::101 IPv4,IPv6 PreferDualStack"},
        {NULL, "ipFamilyPolicy: RequireDualStack, " PORT, "10.96.1.1,fd00::101 IPv4,IPv6 RequireDualStack"},
        {NULL, "ipFamilies: [IPv6], " PORT, "fd00::101 IPv6 SingleStack"},
        {NULL, "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6], " PORT,
         "fd00::101,10.96.1.1 IPv6,IPv4 PreferDualStack"},
        {NULL, "clusterIP: 10.96.0.7, " PORT, "10.96.0.7 IPv4 SingleStack"},
        {NULL, "clusterIP: 'fd00::7', " PORT, "fd00::7 IPv6 SingleStack"},
        {NULL, "clusterIP: 'fd00::7', ipFamilyPolicy: RequireDualStack, " PORT,
         "fd00::7,10.96.1.1 IPv6,IPv4 RequireDualStack"},
        {NULL,
         "clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd00::7'], ipFamilyPolicy: PreferDualStack, " PORT,
         "10.96.0.7,fd00::7 IPv4,IPv6 PreferDualStack"},
        {NULL, "clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd00::7'], " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": " POLICY_TWO "cluster IPs are specified"},
        {NULL, "ipFamilies: [IPv4, IPv6], " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": " POLICY_TWO "IP families are specified"},
        {NULL, "clusterIPs: [10.96.0.7], " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.0.7\"]: must be empty when `clusterIP` is not specified"},
        {NULL, "clusterIP: 10.96.0.8, clusterIPs: [10.96.0.7], " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.0.7\"]: first value must match `clusterIP`"},
        {NULL, "clusterIP: 10.96.0.7, ipFamilies: [IPv6], " PORT,
         "spec.clusterIPs[0]: Invalid value: \"10.96.0.7\": expected an IPv6 value as indicated by "
         "`ipFamilies[0]`"},
        {NULL, "clusterIP: None, selector: {app: web}", "None IPv4 SingleStack"},
        {NULL, "clusterIP: None, selector: {app: web}, ipFamilyPolicy: PreferDualStack",
         "None IPv4,IPv6 PreferDualStack"},
        {NULL, "clusterIP: None", "None IPv4,IPv6 RequireDualStack"},
        {NULL, "clusterIP: None, ipFamilyPolicy: SingleStack, ipFamilies: [IPv6]", "None IPv6 SingleStack"},
        {NULL, "type: ExternalName, externalName: a.example", "- - -"},
        {NULL, "clusterIP: 10.96.0.99, " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.0.99\"]: failed to allocate IP 10.96.0.99: provided IP is "
         "already "
         "allocated"},
        {NULL, "clusterIP: 10.97.0.1, " PORT,
         "spec.clusterIPs: Invalid value: [\"10.97.0.1\"]: failed to allocate IP 10.97.0.1: the provided "
         "network does "
         "not match the current range"},
        {NULL, "clusterIP: 10.96.0.99, ipFamilyPolicy: PreferDualStack, " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.0.99\",\"\"]: failed to allocate IP 10.96.0.99: provided "
         "IP is "
         "already allocated"},
    };
    check("10.96.0.0/16", "fd00::/108", cases, ARRAY_LEN(cases));
}

static void creates_on_a_single_stack_cluster(void **state)
{
    static const struct expectation cases[] = {
        {NULL, PORT, "fd00::101 IPv6 SingleStack"},
        {NULL, "ipFamilyPolicy: PreferDualStack, " PORT, "fd00::101 IPv6 PreferDualStack"},
        {NULL, "ipFamilyPolicy: RequireDualStack, " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for "
         "dual-stack "
         "services"},
        {NULL, "ipFamilies: [IPv4], " PORT,
         "spec.ipFamilies[0]: Invalid value: \"IPv4\": not configured on this cluster"},
        {NULL, "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4], " PORT,
         "[spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for "
         "dual-stack "
         "services, spec.ipFamilies[0]: Invalid value: \"IPv4\": not configured on this cluster]"},
        {NULL, "clusterIP: 10.96.0.7, " PORT,
         "spec.clusterIPs[0]: Invalid value: [\"10.96.0.7\"]: IPv4 is not configured on this cluster"},
        {NULL, "clusterIP: None", "None IPv6,IPv4 RequireDualStack"},
        {NULL, "clusterIP: None, ipFamilies: [IPv4]", "None IPv4,IPv6 RequireDualStack"},
        {NULL, "clusterIP: None, selector: {app: web}, ipFamilyPolicy: PreferDualStack",
         "None IPv6 PreferDualStack"},
        {NULL, "clusterIP: None, selector: {app: web}, ipFamilies: [IPv4]",
         "spec.ipFamilies[0]: Invalid value: \"IPv4\": not configured on this cluster"},
    };
    check("fd00::/108", NULL, cases, ARRAY_LEN(cases));
}

static void creates_with_node_ports(void **state)
{
    static const struct expectation cases[] = {
        {NULL, "type: NodePort, " PORT, "10.96.1.1 IPv4 SingleStack 80:30086 external:Cluster"},
        {NULL, "type: NodePort, ports: [{name: a, port: 80}, {name: b, port: 81}]",
         "10.96.1.1 IPv4 SingleStack 80:30086 81:30087 external:Cluster"},
        {NULL, "type: NodePort, ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}]",
         "10.96.1.1 IPv4 SingleStack 53:30086 53:30086 external:Cluster"},
        {NULL,
         "type: NodePort, ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP, nodePort: 30053}]",
         "10.96.1.1 IPv4 SingleStack 53:30053 53:30053 external:Cluster"},
        {NULL,
         "type: NodePort, ports: [{name: a, port: 53, nodePort: 30054}, {name: b, port: 53, protocol: UDP, "
         "nodePort: "
         "30053}]",
         "10.96.1.1 IPv4 SingleStack 53:30054 53:30053 external:Cluster"},
        {NULL,
         "type: NodePort, ports: [{name: a, port: 53, nodePort: 30053}, {name: b, port: 54, protocol: UDP, "
         "nodePort: "
         "30053}]",
         "spec.ports[1].nodePort: Invalid value: 30053: provided port is already allocated"},
        {NULL, "type: NodePort, ports: [{port: 80, nodePort: 30099}]",
         "spec.ports[0].nodePort: Invalid value: 30099: provided port is already allocated"},
        {NULL, "type: NodePort, ports: [{port: 80, nodePort: 80}]",
         "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of "
         "valid ports "
         "is 30000-32767"},
        {NULL, "type: NodePort, ports: [{port: 80, nodePort: 99999}]",
         "spec.ports[0].nodePort: Invalid value: 99999: provided port is not in the valid range. The range "
         "of valid "
         "ports is 30000-32767"},
        {NULL, "type: LoadBalancer, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 allocate:1 external:Cluster"},
        {NULL, "type: LoadBalancer, allocateLoadBalancerNodePorts: false, " PORT,
         "10.96.1.1 IPv4 SingleStack allocate:0 external:Cluster"},
        {NULL,
         "type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{name: a, port: 80}, {name: b, "
         "port: 81, "
         "nodePort: 30001}]",
         "10.96.1.1 IPv4 SingleStack 81:30001 allocate:0 external:Cluster"},
        {NULL, "type: LoadBalancer, externalTrafficPolicy: Local, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 health:30087 allocate:1 external:Local"},
        {NULL, "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30001, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 health:30001 allocate:1 external:Local"},
        {NULL, "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30099, " PORT,
         "500 failed to allocate requested HealthCheck NodePort 30099: provided port is already allocated"},
        {NULL, "type: NodePort, externalTrafficPolicy: Local, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 external:Local"},
    };
    check("10.96.0.0/16", NULL, cases, ARRAY_LEN(cases));
}

#define DUAL "ipFamilyPolicy: PreferDualStack, "
#define REQUIRE "ipFamilyPolicy: RequireDualStack, "
#define SINGLE "ipFamilyPolicy: SingleStack, "

static void updates_of_families(void **state)
{
    static const struct expectation cases[] = {
        /* what is left out stays */
        {PORT, PORT, "10.96.1.1 IPv4 SingleStack"},
        {DUAL PORT, PORT, "10.96.1.1,fd00::101 IPv4,IPv6 PreferDualStack"},
        {REQUIRE PORT, PORT, "10.96.1.1,fd00::101 IPv4,IPv6 RequireDualStack"},
        {DUAL PORT, "clusterIP: 10.96.1.1, " PORT, "10.96.1.1,fd00::101 IPv4,IPv6 PreferDualStack"},
        {"clusterIP: None, selector: {a: b}", "selector: {a: b}", "None IPv4 SingleStack"},
        /* up */
        {PORT, DUAL PORT, "10.96.1.1,fd00::101 IPv4,IPv6 PreferDualStack"},
        {"ipFamilies: [IPv6], " PORT, REQUIRE PORT, "fd00::101,10.96.1.1 IPv6,IPv4 RequireDualStack"},
        {PORT, DUAL "clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1, 'fd00::7'], " PORT,
         "10.96.1.1,fd00::7 IPv4,IPv6 PreferDualStack"},
        {PORT, DUAL "clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1, 'fe80::7'], " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.1.1\",\"fe80::7\"]: failed to allocate IP fe80::7: the "
         "provided "
         "network does not match the current range"},
        {PORT, "ipFamilies: [IPv4, IPv6], " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": " POLICY_TWO "IP families are specified"},
        /* and down */
        {DUAL PORT, SINGLE PORT, "10.96.1.1 IPv4 SingleStack"},
        {DUAL PORT, SINGLE "clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1], ipFamilies: [IPv4], " PORT,
         "10.96.1.1 IPv4 SingleStack"},
        {DUAL PORT,
         SINGLE "clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1, fd00::101], ipFamilies: [IPv4, IPv6], " PORT,
         "10.96.1.1 IPv4 SingleStack"},
        {DUAL PORT, "clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1], " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the "
         "secondary "
         "cluster IP"},
        {DUAL PORT, "ipFamilies: [IPv4], " PORT,
         "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the "
         "secondary IP "
         "family"},
    };
    check("10.96.0.0/16", "fd00::/108", cases, ARRAY_LEN(cases));
}

/* What validation refuses next (`may not change once set`) passes here as it was meant. */
static void updates_of_cluster_ips(void **state)
{
    static const struct expectation cases[] = {
        {PORT, "clusterIP: 10.96.0.8, clusterIPs: [10.96.1.1], " PORT, "10.96.0.8 IPv4 SingleStack"},
        {PORT, "clusterIP: 10.96.0.8, " PORT, "10.96.0.8 IPv4 SingleStack"},
        {PORT, "clusterIPs: [10.96.0.8], " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.0.8\"]: first value must match `clusterIP`"},
        {PORT, "clusterIP: '', clusterIPs: [10.96.1.1], " PORT, "10.96.1.1 IPv4 SingleStack"},
    };
    check("10.96.0.0/16", "fd00::/108", cases, ARRAY_LEN(cases));
}

#define EXTERNAL "type: ExternalName, externalName: a.example"
#define BALANCER "type: LoadBalancer, "
#define LOCAL "externalTrafficPolicy: Local, "

static void updates_of_type(void **state)
{
    static const struct expectation cases[] = {
        {EXTERNAL, PORT, "10.96.1.1 IPv4 SingleStack"},
        {EXTERNAL, "clusterIP: 10.96.0.7, " PORT, "10.96.0.7 IPv4 SingleStack"},
        {EXTERNAL, "clusterIP: 10.96.0.99, " PORT,
         "spec.clusterIPs: Invalid value: [\"10.96.0.99\"]: failed to allocate IP 10.96.0.99: provided IP is "
         "already "
         "allocated"},
        {EXTERNAL, "type: NodePort, " DUAL PORT,
         "10.96.1.1,fd00::101 IPv4,IPv6 PreferDualStack 80:30086 external:Cluster"},
        {EXTERNAL, "clusterIP: None", "None IPv4,IPv6 RequireDualStack"},
        {DUAL PORT, EXTERNAL, "- - -"},
        {PORT, EXTERNAL ", clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1], ipFamilies: [IPv4], " SINGLE PORT,
         "- - -"},
        {PORT, EXTERNAL ", clusterIP: '', clusterIPs: [10.96.1.1], ipFamilies: [IPv4], " SINGLE PORT,
         "- - -"},
        {"clusterIP: None", EXTERNAL ", clusterIP: None, clusterIPs: [None]", "- - -"},
        {"type: NodePort, " PORT,
         EXTERNAL ", clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1], ipFamilies: [IPv4], " SINGLE
                  "externalTrafficPolicy: Cluster, ports: [{port: 80, nodePort: 30086}]",
         "- - -"},
        {PORT, "type: NodePort, " PORT, "10.96.1.1 IPv4 SingleStack 80:30086 external:Cluster"},
        {"type: NodePort, " PORT,
         "type: ClusterIP, externalTrafficPolicy: Cluster, ports: [{port: 80, nodePort: 30086}]",
         "10.96.1.1 IPv4 SingleStack"},
        /* touched, so it is left for validation to refuse */
        {"type: NodePort, " PORT,
         "type: ClusterIP, externalTrafficPolicy: Local, ports: [{port: 80, nodePort: 30087}]",
         "10.96.1.1 IPv4 SingleStack 80:30087 external:Local"},
        {"type: NodePort, " PORT, BALANCER PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 allocate:1 external:Cluster"},
        {"type: NodePort, " PORT, BALANCER LOCAL PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 health:30087 allocate:1 external:Local"},
        {BALANCER LOCAL "loadBalancerClass: a.example/b, " PORT,
         "type: NodePort, allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Local, "
         "healthCheckNodePort: 30087, "
         "loadBalancerClass: a.example/b, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 external:Local"},
        {BALANCER LOCAL "loadBalancerClass: a.example/b, " PORT,
         "allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Local, healthCheckNodePort: 30087, "
         "loadBalancerClass: a.example/b, ports: [{port: 80, nodePort: 30086}]",
         "10.96.1.1 IPv4 SingleStack"},
        {BALANCER LOCAL PORT, BALANCER "externalTrafficPolicy: Cluster, healthCheckNodePort: 30087, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 allocate:1 external:Cluster"},
        {BALANCER PORT, BALANCER "allocateLoadBalancerNodePorts: false, " PORT,
         "10.96.1.1 IPv4 SingleStack allocate:0 external:Cluster"},
        {BALANCER PORT, BALANCER "allocateLoadBalancerNodePorts: false, ports: [{port: 80, nodePort: 30086}]",
         "10.96.1.1 IPv4 SingleStack 80:30086 allocate:0 external:Cluster"},
    };
    check("10.96.0.0/16", "fd00::/108", cases, ARRAY_LEN(cases));
}

static void updates_of_node_ports(void **state)
{
    static const struct expectation cases[] = {
        {"type: NodePort, " PORT, "type: NodePort, " PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 external:Cluster"},
        {"type: NodePort, " PORT, "type: NodePort, ports: [{port: 81}]",
         "10.96.1.1 IPv4 SingleStack 81:30086 external:Cluster"},
        /* matched by name: a keeps its own, b is new */
        {"type: NodePort, ports: [{name: a, port: 80}]",
         "type: NodePort, ports: [{name: b, port: 80}, {name: a, port: 81}]",
         "10.96.1.1 IPv4 SingleStack 80:30087 81:30086 external:Cluster"},
        /* a's old number was moved to b */
        {"type: NodePort, ports: [{name: a, port: 80}]",
         "type: NodePort, ports: [{name: a, port: 80}, {name: b, port: 81, nodePort: 30086}]",
         "10.96.1.1 IPv4 SingleStack 80:30087 81:30086 external:Cluster"},
        /* unlike at a create, one number with two protocols gets two */
        {PORT, "type: NodePort, ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}]",
         "10.96.1.1 IPv4 SingleStack 53:30086 53:30087 external:Cluster"},
        {PORT,
         "type: NodePort, ports: [{name: a, port: 53, nodePort: 30053}, {name: b, port: 54, protocol: UDP, "
         "nodePort: "
         "30053}]",
         "10.96.1.1 IPv4 SingleStack 53:30053 54:30053 external:Cluster"},
        {PORT,
         "type: NodePort, ports: [{name: a, port: 53, nodePort: 30053}, {name: b, port: 54, nodePort: "
         "30053}]",
         "500 duplicate nodePort: {TCP 30053}"},
        {"type: NodePort, " PORT, "type: NodePort, ports: [{port: 80, nodePort: 30099}]",
         "spec.ports[0].nodePort: Invalid value: 30099: provided port is already allocated"},
        {"type: NodePort, " PORT, "type: NodePort, ports: [{port: 80, nodePort: 1}]",
         "spec.ports[0].nodePort: Invalid value: 1: provided port is not in the valid range. The range of "
         "valid ports is "
         "30000-32767"},
        {BALANCER LOCAL PORT, BALANCER LOCAL PORT,
         "10.96.1.1 IPv4 SingleStack 80:30086 health:30087 allocate:1 external:Local"},
    };
    check("10.96.0.0/16", "fd00::/108", cases, ARRAY_LEN(cases));
}

/* KEP-563: a PreferDualStack follows a change of the ranges only when somebody asks for it. */
static void preferences_outlive_a_change_of_ranges(void **state)
{
    static const struct {
        const char *second_before, *second_after, *after, *wanted;
    } cases[] = {
        {NULL, "fd00::/108", DUAL "sessionAffinity: ClientIP, " PORT, "10.96.1.1 IPv4 PreferDualStack"},
        {NULL, "fd00::/108", REQUIRE PORT, "10.96.1.1,fd00::101 IPv4,IPv6 RequireDualStack"},
        {"fd00::/108", NULL, DUAL PORT, "10.96.1.1,fd00::101 IPv4,IPv6 PreferDualStack"},
        {"fd00::/108", NULL, SINGLE PORT, "10.96.1.1 IPv4 SingleStack"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct text first = {0}, result = {0};
        arena_init(&arena);
        struct allocator *old = make("10.96.0.0/16", cases[i].second_before);
        struct allocator *now = make("10.96.0.0/16", cases[i].second_after);
        Core__Service *before = read_service(DUAL PORT, &arena),
                      *after = read_service(cases[i].after, &arena);
        run(old, NULL, before, false, &arena, &first);
        /* As it comes from a client that read it. */
        after->spec->clusterip = before->spec->clusterip;
        after->spec->clusterips = before->spec->clusterips;
        after->spec->n_clusterips = before->spec->n_clusterips;
        after->spec->ipfamilies = before->spec->ipfamilies;
        after->spec->n_ipfamilies = before->spec->n_ipfamilies;
        run(now, before, after, false, &arena, &result);
        assert_string_equal(text_str(&result), cases[i].wanted);
        text_done(&first);
        text_done(&result);
        allocator_free(old);
        allocator_free(now);
        arena_done(&arena);
    }
}

static void full_ranges_are_internal_errors(void **state)
{
    struct arena arena;
    struct allocator_config config = {.range_count = 1, .node_port_first = 30000, .node_port_last = 30000};
    struct text result = {0};
    arena_init(&arena);
    assert_int_equal(prefix_parse("10.0.0.0/29", &config.ranges[0], NULL), 0);
    struct allocator *allocator = allocator_new(&config);
    run(allocator, NULL, read_service("type: NodePort, " PORT, &arena), false, &arena, &result);
    text_add(&result, "\n");
    run(allocator, NULL, read_service("type: NodePort, " PORT, &arena), false, &arena, &result);
    text_add(&result, "\n");
    /* What the refused one had taken already is free again: four more, and the first address is kept. */
    for (int i = 0; i < 5; i++) {
        run(allocator, NULL, read_service(PORT, &arena), false, &arena, &result);
        text_add(&result, "\n");
    }
    assert_string_equal(text_str(&result),
                        "10.0.0.2 IPv4 SingleStack 80:30000 external:Cluster\n"
                        "500 failed to allocate a nodePort: range is full\n"
                        "10.0.0.3 IPv4 SingleStack\n10.0.0.4 IPv4 SingleStack\n"
                        "10.0.0.5 IPv4 SingleStack\n10.0.0.6 IPv4 SingleStack\n"
                        "500 failed to allocate a serviceIP for Service \"web\": range is full\n");
    text_done(&result);
    allocator_free(allocator);
    arena_done(&arena);
}

static void a_dry_run_takes_nothing(void **state)
{
    static const struct expectation cases[] = {
        {NULL, DUAL "type: NodePort, ports: [{name: a, port: 80}, {name: b, port: 81}]",
         "10.96.0.0,fd00:: IPv4,IPv6 PreferDualStack 80:32769 81:32770 external:Cluster"},
        {NULL, BALANCER LOCAL "ports: [{port: 80, nodePort: 30001}]",
         "10.96.0.0 IPv4 SingleStack 80:30001 health:30002 allocate:1 external:Local"},
        {NULL, "clusterIP: 10.97.0.1, " PORT,
         "spec.clusterIPs: Invalid value: [\"10.97.0.1\"]: failed to allocate IP 10.97.0.1: the provided IP "
         "(10.97.0.1) "
         "is not in the valid range. The range of valid IPs is 10.96.0.0/16"},
        {NULL, "type: NodePort, ports: [{port: 80, nodePort: 30099}]",
         "spec.ports[0].nodePort: Invalid value: 30099: provided port is already allocated"},
        {DUAL "type: NodePort, " PORT, SINGLE PORT, "10.96.1.1 IPv4 SingleStack"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct text result = {0};
        struct allocator *allocator = make_dual();
        arena_init(&arena);
        allocator_adopt_port(allocator, 30099, NULL);
        Core__Service *before = cases[i].before ? read_service(cases[i].before, &arena) : NULL;
        if (before)
            run(allocator, NULL, before, false, &arena, &result);
        size_t addresses = allocator_address_count(allocator), ports = allocator_port_count(allocator);
        text_done(&result);
        result = (struct text){0};
        run(allocator, before, read_service(cases[i].after, &arena), true, &arena, &result);
        assert_string_equal(text_str(&result), cases[i].wanted);
        assert_int_equal(allocator_address_count(allocator), addresses);
        assert_int_equal(allocator_port_count(allocator), ports);
        text_done(&result);
        allocator_free(allocator);
        arena_done(&arena);
    }
}

static void commit_frees_what_was_left_and_rollback_what_was_taken(void **state)
{
    struct arena arena;
    struct faults *faults;
    struct services_plan plan;
    struct err err;
    struct text first = {0};
    struct allocator *allocator = make_dual();
    arena_init(&arena);
    faults = arena_new(&arena, struct faults);
    faults_init(faults, &arena);
    Core__Service *before = read_service(DUAL BALANCER LOCAL PORT, &arena);
    run(allocator, NULL, before, false, &arena, &first);
    assert_int_equal(allocator_address_count(allocator), 2);
    assert_int_equal(allocator_port_count(allocator), 2);
    /* Until the commit both the old and the new are taken. */
    Core__Service *after =
        read_service(SINGLE "type: NodePort, ports: [{port: 80, nodePort: 30001}]", &arena);
    services_prepare(before, after, allocator_config(allocator), &arena, faults);
    assert_int_equal(
        services_plan(before, after, allocator, false, no_random, NULL, &arena, faults, &plan, &err), 0);
    assert_int_equal(allocator_address_count(allocator), 2);
    assert_int_equal(allocator_port_count(allocator), 3);
    services_rollback(&plan);
    services_rollback(&plan);
    assert_int_equal(allocator_port_count(allocator), 2);
    assert_false(allocator_has_port(allocator, 30001));
    assert_int_equal(
        services_plan(before, after, allocator, false, no_random, NULL, &arena, faults, &plan, &err), 0);
    services_commit(&plan);
    services_commit(&plan);
    assert_int_equal(allocator_address_count(allocator), 1);
    assert_int_equal(allocator_port_count(allocator), 1);
    assert_true(allocator_has_port(allocator, 30001));
    services_release(after, allocator);
    assert_int_equal(allocator_address_count(allocator), 0);
    assert_int_equal(allocator_port_count(allocator), 0);
    text_done(&first);
    allocator_free(allocator);
    arena_done(&arena);
}

static void adoption_names_the_first_collision(void **state)
{
    struct arena arena;
    struct err err;
    struct allocator *allocator = make_dual();
    arena_init(&arena);
    const char *spec =
        "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30002, clusterIP: 10.96.0.9, "
        "clusterIPs: [10.96.0.9], ports: [{port: 53, nodePort: 30001}, {port: 53, protocol: UDP, nodePort: "
        "30001}]";
    Core__Service *service = read_service(spec, &arena);
    assert_int_equal(services_adopt(service, allocator, &err), 0);
    assert_int_equal(allocator_port_count(allocator), 2);
    assert_int_equal(services_adopt(service, allocator, &err), -EEXIST);
    assert_string_equal(err.text,
                        "Service default/web, cluster IP 10.96.0.9: provided IP is already allocated");
    Core__Service *outside =
        read_service("type: NodePort, clusterIP: None, ports: [{port: 53, nodePort: 53}]", &arena);
    assert_int_equal(services_adopt(outside, allocator, &err), -ERANGE);
    assert_string_equal(
        err.text, "Service default/web, node port 53: provided port is not in the valid range. The range "
                  "of valid ports is 30000-32767");
    services_release(outside, allocator);
    services_release(service, allocator);
    assert_int_equal(allocator_port_count(allocator), 2);
    services_release(service, allocator);
    assert_int_equal(allocator_port_count(allocator) + allocator_address_count(allocator), 0);
    allocator_free(allocator);
    arena_done(&arena);
}

static void the_status_of_a_balancer_goes_with_it(void **state)
{
    static const char balancer[] = "{metadata: {name: web}, spec: {type: LoadBalancer, ports: [{port: 80}]}, "
                                   "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}";
    struct arena arena;
    struct text first = {0};
    struct allocator *allocator = make_dual();
    arena_init(&arena);
    Core__Service *before = (Core__Service *)test_read(API_SERVICE, balancer, &arena);
    Core__Service *after = read_service(PORT, &arena);
    run(allocator, NULL, before, false, &arena, &first);
    after->status = before->status;
    run(allocator, before, after, false, &arena, &first);
    assert_null(after->status->loadbalancer);
    assert_non_null(before->status->loadbalancer);
    text_done(&first);
    allocator_free(allocator);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates_on_a_dual_stack_cluster),
        cmocka_unit_test(creates_on_a_single_stack_cluster),
        cmocka_unit_test(creates_with_node_ports),
        cmocka_unit_test(updates_of_families),
        cmocka_unit_test(updates_of_cluster_ips),
        cmocka_unit_test(updates_of_type),
        cmocka_unit_test(updates_of_node_ports),
        cmocka_unit_test(preferences_outlive_a_change_of_ranges),
        cmocka_unit_test(full_ranges_are_internal_errors),
        cmocka_unit_test(a_dry_run_takes_nothing),
        cmocka_unit_test(commit_frees_what_was_left_and_rollback_what_was_taken),
        cmocka_unit_test(adoption_names_the_first_collision),
        cmocka_unit_test(the_status_of_a_balancer_goes_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
