/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/explain.h"

#include "base/cleanup.h"
#include "store/test_objects.h"

#include <errno.h>
#include <stdlib.h>

static void questions_are_parsed(void **state)
{
    static const struct {
        const char *text;
        uint16_t port;
        enum protocol protocol;
    } good[] = {
        {"10.96.0.10:53", 53, PROTOCOL_TCP},
        {"10.96.0.10:53/udp", 53, PROTOCOL_UDP},
        {"[fd00::1]:80/SCTP", 80, PROTOCOL_SCTP},
    };
    static const char *const bad[] = {"",          "10.96.0.10", "10.96.0.10:0",     "10.96.0.10:80/icmp",
                                      "name:80",   "fd00::1:80", "10.96.0.10:80/",   "10.96.0.10/tcp",
                                      "[fd00::1]", "[fd00::1",   "10.96.0.10:99999", "10.96.0.10:80/tcp/udp"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct explain_question question = {0};
        struct err err = {0};
        if (explain_parse(good[i].text, &question, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.text);
        assert_int_equal(question.port, good[i].port);
        assert_int_equal(question.protocol, good[i].protocol);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct explain_question question = {.port = 7};
        struct err err = {0};
        assert_int_equal(explain_parse(bad[i], &question, &err), -EINVAL);
        assert_int_equal(question.port, 7);
        assert_string_not_equal(err.text, "");
    }
    char endless[400];
    memset(endless, '1', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    struct explain_question question;
    assert_int_equal(explain_parse(endless, &question, NULL), -EINVAL);
}

#define WEB_SLICE(service, endpoints) TEST_SLICE("s-" service, service, "IPv4", "{port: 8080}", endpoints)
#define HERE "{addresses: [10.0.0.1], nodeName: here, zone: a, targetRef: {kind: Pod, name: pod-1}},"
#define THERE "{addresses: [10.0.0.2], nodeName: there, zone: b},"
#define UNREADY "{addresses: [10.0.0.3], nodeName: here, conditions: {ready: false}},"
#define DRAINING                                                                                             \
    "{addresses: [10.0.0.4], nodeName: there, conditions: {ready: false, serving: true, terminating: "       \
    "true}},"
#define HINTED(n, zone) "{addresses: [10.0.0." #n "], hints: {forZones: [{name: " zone "}]}},"

#define ZONED(n, zone) "{addresses: [10.0.0." n "], zone: " zone "},"
#define KEYED(name, n, keys)                                                                                 \
    TEST_SERVICE(name, "clusterIP: 10.96.0." n ", ports: [{port: 80}], topologyKeys: [" keys "]")

#define RANGED                                                                                               \
    "apiVersion: v1\nkind: Service\nmetadata: {name: ranged}\n"                                              \
    "spec: {type: LoadBalancer, clusterIP: 10.96.0.7, ports: [{port: 80}], "                                 \
    "loadBalancerSourceRanges: [198.51.100.0/24, '2001:db8::/32']}\n"                                        \
    "status: {loadBalancer: {ingress: [{ip: 203.0.113.9}]}}\n"
#define FOREIGN                                                                                              \
    "apiVersion: v1\nkind: Service\nmetadata: {name: foreign, labels: "                                      \
    "{service.kubernetes.io/service-proxy-name: x}}\nspec: {clusterIP: 10.96.0.8, ports: [{port: 80}]}\n"

static const char *const objects[] = {
    TEST_SERVICE("web", "clusterIP: 10.96.0.1, ports: [{port: 80}]"),
    WEB_SLICE("web", HERE THERE UNREADY DRAINING),
    TEST_SERVICE("none", "clusterIP: 10.96.0.2, ports: [{name: x, port: 80}]"),
    TEST_SERVICE("empty", "clusterIP: 10.96.0.3, ports: [{port: 80}]"),
    WEB_SLICE("empty", UNREADY),
    TEST_SERVICE("inner", "clusterIP: 10.96.0.4, internalTrafficPolicy: Local, ports: [{port: 80}]"),
    WEB_SLICE("inner", THERE),
    TEST_SERVICE("outer", "type: NodePort, clusterIP: 10.96.0.5, externalTrafficPolicy: Local, "
                          "sessionAffinity: ClientIP, ports: [{port: 80, nodePort: 30080}]"),
    WEB_SLICE("outer", HERE THERE),
    TEST_SERVICE("zoned", "clusterIP: 10.96.0.6, trafficDistribution: PreferClose, ports: [{port: 80}]"),
    WEB_SLICE("zoned", HINTED(1, "a") HINTED(2, "b")),
    (RANGED),
    WEB_SLICE("ranged", HERE),
    TEST_SERVICE("address", "clusterIP: 10.96.0.9, externalIPs: [192.0.2.1], ports: [{port: 30081}]"),
    TEST_SERVICE("port", "type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30081}]"),
    TEST_SERVICE("head", "clusterIP: None, ports: [{port: 80}]"),
    TEST_NODE("here", "kubernetes.io/hostname: here, topology.kubernetes.io/zone: a, rack: r1", "", ""),
    TEST_NODE("there", "rack: r2", "", ""),
    KEYED("keyed", "11", "row, rack, topology.kubernetes.io/zone, '*'"),
    WEB_SLICE("keyed", THERE ZONED("5", "a") DRAINING),
    KEYED("refused", "12", "kubernetes.io/hostname, rack"),
    WEB_SLICE("refused", THERE UNREADY),
    KEYED("open", "13", "kubernetes.io/hostname, '*'"),
    WEB_SLICE("open", THERE HINTED(6, "b")),
    KEYED("racked", "14", "rack"),
    WEB_SLICE("racked", "{addresses: [10.0.0.7], nodeName: here}," THERE ZONED("8", "a")),
    FOREIGN,
};

struct world {
    struct explain_world world;
    struct store *store;
    struct claims claims;
    struct node_view node;
    struct address own;
    struct prefix service_cidr;
};

static void ignore_moved(void *context, const char *owner)
{
}

static void ignore_lost(void *context, const struct frontend *frontend, const char *owner, const char *winner)
{
}

static int setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    struct arena scratch;
    arena_init(&scratch);
    world->store = store_new();
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        test_put(world->store, objects[i]);
    world->node = (struct node_view){.name = intern_id(world->store->names, "here"),
                                     .zone = intern_id(world->store->names, "a"),
                                     .store = world->store,
                                     .has_family = {true, true},
                                     .local_detect = LOCAL_DETECT_CIDR,
                                     .has_cluster_cidr = {true, false}};
    prefix_parse("10.0.0.0/16", &world->node.cluster_cidr[FAMILY_IPV4], NULL);
    prefix_parse("10.96.0.0/16", &world->service_cidr, NULL);
    address_parse("192.0.2.1", &world->own, NULL);
    for (struct service_record *record = world->store->services; record; record = record->hh.next) {
        record->entry =
            entry_build(record->service, record->slices, record->slice_count, &world->node, &scratch);
        claims_update(&world->claims, record->key, NULL, record->entry, ignore_moved, ignore_lost, NULL);
    }
    world->world = (struct explain_world){.store = world->store,
                                          .claims = &world->claims,
                                          .node = &world->node,
                                          .node_name = "here",
                                          .node_port_addresses = &world->own,
                                          .node_port_address_count = 1,
                                          .service_cidrs = &world->service_cidr,
                                          .service_cidr_count = 1};
    arena_done(&scratch);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    claims_done(&world->claims);
    store_free(world->store);
    free(world);
    return 0;
}

struct asking {
    const char *question, *from;
    const char *service;  /* who serves it; NULL: nobody */
    const char *parts[6]; /* each has to stand in the answer */
    const char *absent;   /* and this must not */
};

static void check(const struct world *world, const struct asking *asking)
{
    struct explain_question question;
    struct explain_answer answer;
    struct text got = {0};
    assert_int_equal(explain_parse(asking->question, &question, NULL), 0);
    question.has_from = asking->from && address_parse(asking->from, &question.from, NULL) == 0;
    explain_write(&world->world, &question, &got, &answer);
    assert_int_equal(answer.frontend != NULL, asking->service != NULL);
    if (asking->service)
        assert_string_equal(answer.record->key + strlen("default/"), asking->service);
    for (size_t i = 0; i < ARRAY_LEN(asking->parts) && asking->parts[i]; i++)
        if (!strstr(got.data, asking->parts[i]))
            fail_msg("%s from %s: \"%s\" does not stand in\n%s", asking->question,
                     asking->from ? asking->from : "?", asking->parts[i], got.data);
    if (asking->absent && strstr(got.data, asking->absent))
        fail_msg("%s: \"%s\" must not stand in\n%s", asking->question, asking->absent, got.data);
    text_done(&got);
}

static void answers_say_why(void **state)
{
    static const struct asking cases[] = {
        {"10.96.0.1:80",
         NULL,
         "web",
         {"Service default/web, port 80/TCP", "internalTrafficPolicy Cluster", "endpoints: 2 of 4 are in",
          "10.0.0.1:8080 (pod pod-1) on here in a: in  [s-web]", "10.0.0.3:8080 on here: out: not ready",
          "10.0.0.4:8080 on there: out: terminating, and there are ready ones"},
         NULL},
        {"10.96.0.1:80", "10.0.3.3", "web", {"kept: it is a pod's", "FORWARDED to one of 2 endpoints"}, NULL},
        {"10.96.0.1:80", "8.8.8.8", "web", {"replaced by the node's: it is not in --cluster-cidr"}, NULL},
        {"10.96.0.2:80",
         NULL,
         "none",
         {"no EndpointSlice names this Service", "REJECTED", "port x 80/TCP"},
         "DROPPED"},
        {"10.96.0.3:80", NULL, "empty", {"0 of 1 are in", "REJECTED"}, NULL},
        {"10.96.0.4:80",
         NULL,
         "inner",
         {"internalTrafficPolicy Local", "out: not local, it is on there", "DROPPED, there are endpoints"},
         "REJECTED"},
        {"10.96.0.6:80",
         NULL,
         "zoned",
         {"asked for: PreferClose", "every ready endpoint carries zone hints",
          "10.0.0.2:8080: out: other zone, its hints name b", "FORWARDED to the one endpoint"},
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(*state, &cases[i]);
}

static void topology_keys_are_told_up_to_the_one_that_decides(void **state)
{
    static const struct asking cases[] = {
        {"10.96.0.11:80",
         NULL,
         "keyed",
         {"topology keys, in their order:\n  row: this node has no such label\n  rack: no usable endpoint "
          "has this "
          "node's value \"r1\"\n  topology.kubernetes.io/zone: endpoints with this node's value \"a\" are "
          "used\n"
          "hints: not followed",
          "1 of 3 are in",
          "10.0.0.2:8080 on there in b: out: other topology, its topology.kubernetes.io/zone is \"b\"",
          "10.0.0.5:8080 in a: in", "10.0.0.4:8080 on there: out: terminating",
          "FORWARDED to the one endpoint"},
         "*:"},
        {"10.96.0.12:80",
         NULL,
         "refused",
         {"hostname: no usable endpoint has", "rack: no usable endpoint has", "none leads to an endpoint",
          "0 of 2 are in", "10.0.0.2:8080 on there in b: out: other topology, no topology key leads to it",
          "REJECTED, there are endpoints but the topology keys lead to none"},
         "DROPPED"},
        {"10.96.0.13:80",
         NULL,
         "open",
         {"hostname: no usable endpoint has", "  *: every endpoint is used", "2 of 2 are in",
          "one of 2 endpoints"},
         "out:"},
        {"10.96.0.14:80",
         NULL,
         "racked",
         {"rack: endpoints with this node's value \"r1\" are used", "10.0.0.7:8080 on here: in",
          "10.0.0.2:8080 on there in b: out: other topology, its rack is \"r2\"",
          "10.0.0.8:8080 in a: out: other topology, nothing tells its rack"},
         "no Node object"},
        {"10.96.0.1:80", NULL, "web", {"hints: no hints"}, "topology keys"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(*state, &cases[i]);
    struct world *world = *state;
    store_node_remove(world->store, "here");
    const struct asking unknown = {
        "10.96.0.13:80",
        NULL,
        "open",
        {"(this node has no Node object, so nothing", "hostname: this node has no"},
        NULL};
    check(world, &unknown);
}

static void external_frontends_tell_the_short_cut(void **state)
{
    static const struct asking cases[] = {
        {"192.0.2.1:30080",
         "8.8.8.8",
         "outer",
         {"a node port", "externalTrafficPolicy Local", "10.0.0.2:8080 on there in b: out: not local",
          "source address: kept", "FORWARDED to the one endpoint", "ClientIP, 10800 s"},
         "policy is passed over"},
        {"192.0.2.1:30080",
         "10.0.3.3",
         "outer",
         {"the policy is passed over", "before if it is still in, else to one of 2,"},
         NULL},
        {"192.0.2.1:30080",
         "192.0.2.1",
         "outer",
         {"the policy is passed over", "it is the node's own", "else to one of 2,"},
         NULL},
        {"192.0.2.1:30081", NULL, "address", {"an external IP"}, NULL}, /* before another's node port */
        {"192.0.2.9:30080", NULL, NULL, {"No Service has this address"}, NULL},
        {"192.0.2.1:30080/udp", NULL, NULL, {"no Service has this node port"}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(*state, &cases[i]);
}

static void source_ranges_are_told_for_the_family_asked_about(void **state)
{
    static const struct asking cases[] = {
        {"203.0.113.9:80",
         "198.51.100.7",
         "ranged",
         {"198.51.100.0/24: the source is inside", "FORWARDED"},
         "2001:db8::/32"},
        {"203.0.113.9:80",
         "8.8.8.8",
         "ranged",
         {"the source is outside, the packet is DROPPED"},
         "FORWARDED"},
        {"203.0.113.9:80", NULL, "ranged", {"all other sources are dropped"}, NULL},
        {"10.96.0.7:80", "8.8.8.8", "ranged", {"FORWARDED"}, "loadBalancerSourceRanges"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(*state, &cases[i]);
}

static void nobody_has_reasons_too(void **state)
{
    static const struct asking cases[] = {
        {"10.96.0.1:81",
         NULL,
         NULL,
         {"cluster IP of Service default/web, which has only these ports: 80/TCP", "are rejected"},
         NULL},
        {"10.96.0.8:80",
         NULL,
         NULL,
         {"not served: its label service.kubernetes.io/service-proxy-name", "It lies in the ServiceCIDR"},
         "No Service has"},
        {"10.96.7.7:80",
         NULL,
         NULL,
         {"lies in the ServiceCIDR 10.96.0.0/16: packets to it are dropped"},
         NULL},
        {"172.16.0.1:80", NULL, NULL, {"No Service has this address: the packet is not touched"}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(*state, &cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_parsed),
        cmocka_unit_test_setup_teardown(answers_say_why, setup, teardown),
        cmocka_unit_test_setup_teardown(topology_keys_are_told_up_to_the_one_that_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(external_frontends_tell_the_short_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(source_ranges_are_told_for_the_family_asked_about, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_has_reasons_too, setup, teardown),
    };
    return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
