/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/plan.h"

#include "base/cleanup.h"
#include "dataplane/test_entry.h"

#include <stdlib.h>

#define PORTS "ports: [{port: 80, targetPort: 8080}]"
#define NODE_PORTS "ports: [{port: 80, targetPort: 8080, nodePort: 30080}]"
#define FOUR "clusterIP: 10.96.0.1, "
#define BOTH                                                                                                 \
    "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, \"fd00::1\"], ipFamilies: [IPv4, IPv6], ipFamilyPolicy: " \
    "RequireDualStack, "
#define BALANCED "type: LoadBalancer, " FOUR
#define LOCAL "externalTrafficPolicy: Local, "
#define STICKY "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 7}}, "
#define VIP "{ip: 203.0.113.9}"
#define HERE TEST_HERE("10.0.1.5")
#define THERE TEST_THERE("10.0.2.5")

struct fixture {
    struct node_view view;
    struct dataplane_node node;
    struct address addresses[3]; /* where node ports answer: 192.0.2.1, ::1, 127.0.0.1 */
    struct numbers numbers;
    struct arena arena;
};

static struct address parsed(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address, NULL), 0);
    return address;
}

static void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.view = {.local_detect = LOCAL_DETECT_NONE}};
    fixture->addresses[0] = parsed("192.0.2.1");
    fixture->addresses[1] = parsed("2001:db8::1");
    fixture->addresses[2] = parsed("127.0.0.1");
    fixture->node = (struct dataplane_node){.view = &fixture->view,
                                            .masquerade_mark = 0x4000,
                                            .node_port_addresses = fixture->addresses,
                                            .node_port_address_count = 3};
    arena_init(&fixture->arena);
}

static void fixture_done(struct fixture *fixture)
{
    arena_done(&fixture->arena);
    numbers_done(&fixture->numbers);
}

/* Marks by their order: MARK1 and so on, because the numbers themselves mean nothing. */
static void add_mark(struct text *ret, uint32_t mark, uint32_t seen[8])
{
    uint32_t i = 0;
    while (i < 8 && seen[i] && seen[i] != mark)
        i++;
    assert_true(i < 8);
    seen[i] = mark;
    text_printf(ret, " MARK%u", i + 1);
}

static void format_member(const struct planned_member *planned, uint32_t seen[8], struct text *ret)
{
    struct ipset set = catalog_set((enum set_name)planned->set, (enum family)planned->family);
    struct ipset_member member = planned->member;
    char text[IPSET_MEMBER_TEXT_MAX];
    uint32_t mark = member.mark;
    member.mark = 0;
    text_printf(ret, "%s %s", set.name, ipset_member_format(&set, &member, text));
    if (set.has_marks) {
        ret->data[ret->len -= strlen(strstr(text, " skbmark"))] = '\0';
        add_mark(ret, mark, seen);
    }
    text_add(ret, "\n");
}

/* One line for each virtual server with its real ones, one for each member. */
static void format(const struct plan *plan, struct text *ret)
{
    uint32_t seen[8] = {0};
    for (uint32_t i = 0; i < plan->server_count; i++) {
        const struct planned_server *server = &plan->servers[i];
        char text[SOCKET_ADDRESS_TEXT_MAX];
        struct socket_address socket = {.address = server->id.address, .port = server->id.port};
        if (server->id.mark)
            add_mark(ret, server->id.mark, seen);
        else
            text_printf(ret, "%s %s", protocol_name(server->protocol), socket_address_format(&socket, text));
        if (server->persistence_s)
            text_printf(ret, " for %u s", server->persistence_s);
        if (server->scheduler)
            text_printf(ret, " by %s", server->scheduler);
        for (uint32_t b = 0; server->backends && b < server->backends->count; b++) {
            socket = (struct socket_address){.address = server->backends->list[b].address,
                                             .port = server->backends->list[b].port};
            text_printf(ret, " -> %s", socket_address_format(&socket, text));
        }
        text_add(ret, "\n");
    }
    for (uint32_t i = 0; i < plan->member_count; i++)
        format_member(&plan->members[i], seen, ret);
}

static int line_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines, sorted: the order of a plan is that of bytes, which nobody reads. */
static char *sorted(const char *text)
{
    cleanup_free char *copy = xstrdup(text);
    char *lines[64], *rest = copy;
    size_t count = 0;
    struct text ret = {0};
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line) {
            assert_true(count < 64);
            lines[count++] = line;
        }
    qsort(lines, count, sizeof(*lines), line_order);
    for (size_t i = 0; i < count; i++)
        text_printf(&ret, "%s\n", lines[i]);
    return ret.data ? ret.data : xstrdup("");
}

static void expect_on(struct fixture *fixture, const struct test_objects *objects, const char *wanted)
{
    struct plan plan;
    struct text text = {0};
    struct entry *entry = test_entry(objects, &fixture->view);
    plan_build(entry, &fixture->node, &fixture->numbers, &fixture->arena, &plan);
    format(&plan, &text);
    cleanup_free char *have = sorted(text_str(&text)), *want = sorted(wanted);
    assert_string_equal(have, want);
    text_done(&text);
    slab_free(entry);
}

static void expect(const struct test_objects *objects, const char *wanted)
{
    struct fixture fixture;
    fixture_init(&fixture);
    expect_on(&fixture, objects, wanted);
    fixture_done(&fixture);
}

static void a_cluster_ip_is_one_virtual_server(void **state)
{
    (void)state;
    expect(&(struct test_objects){FOUR PORTS, "", HERE ", " THERE, ""},
           "TCP 10.96.0.1:80 -> 10.0.1.5:8080 -> 10.0.2.5:8080\n"
           "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\n"
           "KUBE-LOOP-BACK 10.0.1.5,tcp:8080,10.0.1.5\n");
}

static void both_families_have_their_own(void **state)
{
    (void)state;
    expect(&(struct test_objects){BOTH PORTS, "", THERE, TEST_THERE("fd01::5")},
           "TCP 10.96.0.1:80 -> 10.0.2.5:8080\nTCP [fd00::1]:80 -> [fd01::5]:8080\n"
           "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-6-CLUSTER-IP fd00::1,tcp:80\n"
           "KUBE-IPVS-IPS 10.96.0.1\nKUBE-6-IPVS-IPS fd00::1\n");
}

/* The kernel refuses what comes to a virtual server without real ones. */
static void nobody_is_a_virtual_server_without_real_ones(void **state)
{
    (void)state;
    expect(&(struct test_objects){FOUR PORTS, "", "", ""},
           "TCP 10.96.0.1:80\nKUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\n");
}

static void nobody_here_drops(void **state)
{
    (void)state;
    expect(&(struct test_objects){FOUR "internalTrafficPolicy: Local, " PORTS, "", THERE, ""},
           "TCP 10.96.0.1:80\nKUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\n"
           "FAIRLEAD-DROP 10.96.0.1,tcp:80\n");
}

static void pods_and_the_node_have_the_whole_cluster_by_a_mark(void **state)
{
    (void)state;
    expect(&(struct test_objects){BALANCED LOCAL PORTS, VIP, THERE, ""},
           "TCP 10.96.0.1:80 -> 10.0.2.5:8080\nTCP 203.0.113.9:80\n MARK1 -> 10.0.2.5:8080\n"
           "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\nKUBE-IPVS-IPS 203.0.113.9\n"
           "KUBE-LOAD-BALANCER 203.0.113.9,tcp:80\nKUBE-LOAD-BALANCER-LOCAL 203.0.113.9,tcp:80\n"
           "FAIRLEAD-INSIDE 203.0.113.9,tcp:80 MARK1\nFAIRLEAD-DROP 203.0.113.9,tcp:80\n");
}

static void affinity_at_one_address_needs_no_mark(void **state)
{
    (void)state;
    expect(&(struct test_objects){FOUR STICKY PORTS, "", THERE, ""},
           "TCP 10.96.0.1:80 for 7 s -> 10.0.2.5:8080\nKUBE-CLUSTER-IP 10.96.0.1,tcp:80\n"
           "KUBE-IPVS-IPS 10.96.0.1\n");
}

/* A hash leads a client to the same one by each of them. The node, which is somebody else at each, has one
 * chosen. */
static void affinity_at_two_addresses_is_a_hash(void **state)
{
    (void)state;
    expect(&(struct test_objects){FOUR STICKY "externalIPs: [198.51.100.9], " PORTS, "", THERE, ""},
           "TCP 10.96.0.1:80 for 7 s by mh -> 10.0.2.5:8080\nTCP 198.51.100.9:80 for 7 s by mh -> "
           "10.0.2.5:8080\n"
           " MARK1 by mh -> 10.0.2.5:8080\n MARK2 by mh -> 10.0.2.5:8080\n"
           "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-EXTERNAL-IP 198.51.100.9,tcp:80\n"
           "KUBE-IPVS-IPS 10.96.0.1\nKUBE-IPVS-IPS 198.51.100.9\n"
           "FAIRLEAD-SELF 10.96.0.1,tcp:80 MARK2\nFAIRLEAD-SELF 198.51.100.9,tcp:80 MARK1\n");
}

/* Who comes from outside has the local endpoints, pods have all, and the node one of all: the same
 * everywhere. */
static void affinity_and_a_policy_are_three_virtual_servers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct plan plan;
    char first[SOCKET_ADDRESS_TEXT_MAX] = "";
    uint32_t count = 0;
    fixture_init(&fixture);
    struct entry *entry =
        test_entry(&(struct test_objects){BALANCED LOCAL STICKY "externalIPs: [198.51.100.9], " PORTS, VIP,
                                          HERE ", " THERE, ""},
                   &fixture.view);
    plan_build(entry, &fixture.node, &fixture.numbers, &fixture.arena, &plan);
    for (uint32_t i = 0; i < plan.member_count; i++) {
        const struct planned_member *member = &plan.members[i];
        for (uint32_t s = 0; s < plan.server_count && member->member.mark; s++) {
            const struct backend_set *backends = plan.servers[s].backends;
            struct socket_address socket = {backends->list[0].address, backends->list[0].port};
            char text[SOCKET_ADDRESS_TEXT_MAX];
            if (plan.servers[s].id.mark != member->member.mark)
                continue;
            assert_int_equal(backends->count, member->set == SET_SELF ? 1 : 2);
            assert_string_equal(plan.servers[s].scheduler, "mh");
            if (member->set == SET_SELF) {
                socket_address_format(&socket, text);
                assert_true(!*first || strcmp(first, text) == 0);
                strcpy(first, text);
            }
            count++;
        }
    }
    assert_int_equal(count, 5); /* three addresses for the node, two of outside for pods */
    slab_free(entry);
    fixture_done(&fixture);
}

/* The two sets of single addresses and of ranges: its own address is what the node itself asks from. */
static void source_ranges_are_members(void **state)
{
    (void)state;
    expect(&(struct test_objects){BALANCED "loadBalancerSourceRanges: [192.0.2.0/24, 203.0.113.9/32, "
                                           "203.0.113.8/32, 0.0.0.0/1, \"2001:db8::/32\"], " PORTS,
                                  VIP, THERE, ""},
           "TCP 10.96.0.1:80 -> 10.0.2.5:8080\nTCP 203.0.113.9:80 -> 10.0.2.5:8080\n"
           "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\nKUBE-IPVS-IPS 203.0.113.9\n"
           "KUBE-LOAD-BALANCER 203.0.113.9,tcp:80\nKUBE-LOAD-BALANCER-FW 203.0.113.9,tcp:80\n"
           "KUBE-LOAD-BALANCER-SOURCE-IP 203.0.113.9,tcp:80,203.0.113.9\n"
           "KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.9,tcp:80,192.0.2.0/24\n"
           "KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.9,tcp:80,203.0.113.8\n"
           "KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.9,tcp:80,0.0.0.0/1\n");
}

/* At every address but those of loopback; SCTP is known by its address as well, and nothing is bound. */
static void node_ports_are_at_the_nodes_addresses(void **state)
{
    (void)state;
    expect(&(struct test_objects){"type: NodePort, " FOUR NODE_PORTS, "", THERE, ""},
           "TCP 10.96.0.1:80 -> 10.0.2.5:8080\nTCP 192.0.2.1:30080 -> 10.0.2.5:8080\n"
           "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\nKUBE-NODE-PORT-TCP 30080\n");
    expect(&(struct test_objects){"type: NodePort, " LOCAL FOUR "ports: [{protocol: SCTP, port: 80, "
                                  "nodePort: 30080}]",
                                  "", "", ""},
           "SCTP 10.96.0.1:80\nSCTP 192.0.2.1:30080\nKUBE-CLUSTER-IP 10.96.0.1,sctp:80\n"
           "KUBE-IPVS-IPS 10.96.0.1\nKUBE-NODE-PORT-SCTP-HASH 192.0.2.1,sctp:30080\n"
           "KUBE-NODE-PORT-LOCAL-SCTP-HASH 192.0.2.1,sctp:30080\n");
}

static void the_health_check_is_of_both_families(void **state)
{
    (void)state;
    expect(&(struct test_objects){BALANCED LOCAL "healthCheckNodePort: 32000, " PORTS, VIP, "", ""},
           "TCP 10.96.0.1:80\nTCP 203.0.113.9:80\nKUBE-CLUSTER-IP 10.96.0.1,tcp:80\n"
           "KUBE-LOAD-BALANCER 203.0.113.9,tcp:80\nKUBE-LOAD-BALANCER-LOCAL 203.0.113.9,tcp:80\n"
           "KUBE-IPVS-IPS 10.96.0.1\nKUBE-IPVS-IPS 203.0.113.9\n"
           "KUBE-HEALTH-CHECK-NODE-PORT 32000\nKUBE-6-HEALTH-CHECK-NODE-PORT 32000\n");
}

/* It would take the address away from the node that it belongs to. */
static void addresses_of_nodes_are_not_bound(void **state)
{
    (void)state;
    struct fixture fixture;
    struct address other_node = parsed("198.51.100.9");
    fixture_init(&fixture);
    fixture.node.node_addresses = &other_node;
    fixture.node.node_address_count = 1;
    expect_on(&fixture, &(struct test_objects){FOUR "externalIPs: [198.51.100.9], " PORTS, "", "", ""},
              "TCP 10.96.0.1:80\nTCP 198.51.100.9:80\nKUBE-CLUSTER-IP 10.96.0.1,tcp:80\n"
              "KUBE-EXTERNAL-IP 198.51.100.9,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\n");
    fixture_done(&fixture);
}

static void nothing_is_wanted_for_no_entry(void **state)
{
    (void)state;
    struct fixture fixture;
    struct plan plan;
    fixture_init(&fixture);
    plan_build(NULL, &fixture.node, &fixture.numbers, &fixture.arena, &plan);
    assert_int_equal(plan.server_count + plan.member_count, 0);
    fixture_done(&fixture);
}

static void what_another_service_serves_is_left_out(void **state)
{
    (void)state;
    struct fixture fixture;
    struct plan plan;
    struct text text = {0};
    fixture_init(&fixture);
    struct entry *entry =
        test_entry(&(struct test_objects){FOUR STICKY "externalIPs: [198.51.100.9], " PORTS, "", THERE, ""},
                   &fixture.view);
    for (uint32_t i = 0; i < entry->frontend_count; i++)
        entry->frontends[i].is_shadowed = entry->frontends[i].kind == FRONTEND_EXTERNAL_IP;
    plan_build(entry, &fixture.node, &fixture.numbers, &fixture.arena, &plan);
    format(&plan, &text);
    cleanup_free char *have = sorted(text_str(&text));
    assert_string_equal(have, "KUBE-CLUSTER-IP 10.96.0.1,tcp:80\nKUBE-IPVS-IPS 10.96.0.1\n"
                              "TCP 10.96.0.1:80 for 7 s -> 10.0.2.5:8080\n");
    text_done(&text);
    slab_free(entry);
    fixture_done(&fixture);
}

/* --- marks --- */

static uint32_t mark_of(struct fixture *fixture, const struct entry *entry)
{
    struct plan plan;
    plan_build(entry, &fixture->node, &fixture->numbers, &fixture->arena, &plan);
    for (uint32_t i = 0; i < plan.server_count; i++)
        if (plan.servers[i].id.mark)
            return plan.servers[i].id.mark;
    return 0;
}

/* Of 8,000 addresses some 15 pairs have the same hash. */
static void every_address_has_a_mark_of_its_own(void **state)
{
    (void)state;
    enum { COUNT = 8000 };
    struct fixture fixture;
    cleanup_free uint32_t *marks = xcalloc(COUNT, sizeof(*marks));
    cleanup_free uint8_t *seen = xcalloc(1 << 22, 1);
    uint32_t moved = 0;
    fixture_init(&fixture);
    struct entry *entry =
        test_entry(&(struct test_objects){BALANCED LOCAL PORTS, VIP, THERE, ""}, &fixture.view);
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < COUNT; i++) {
            char text[64];
            uint32_t wire = htonl(0x0b000000u + i * 977);
            for (uint32_t f = 0; f < entry->frontend_count; f++)
                if (entry->frontends[f].kind == FRONTEND_LOAD_BALANCER)
                    entry->frontends[f].address = address_from_wire(FAMILY_IPV4, &wire);
            uint32_t mark = mark_of(&fixture, entry);
            assert_int_equal(mark & mark_tag_mask(0x4000), mark_tag(0x4000));
            if (pass == 1) {
                assert_int_equal(mark, marks[i]);
                continue;
            }
            uint32_t number = (mark >> 15 << 14 | (mark & 0x3fff)) & 0x1fffff;
            struct address address = address_from_wire(FAMILY_IPV4, &wire);
            char where[ADDRESS_TEXT_MAX];
            snprintf(text, sizeof(text), "FAIRLEAD-INSIDE TCP %s:80", address_format(&address, where));
            moved += (hash_bytes(0, text, strlen(text)) & 0x1fffff) != number;
            assert_int_equal(seen[number], 0);
            seen[number] = 1;
            marks[i] = mark;
            arena_reset(&fixture.arena);
        }
    assert_in_range(moved, 1, 100);
    slab_free(entry);
    fixture_done(&fixture);
}

static void marks_leave_the_bit_of_masquerading_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct entry *entry =
        test_entry(&(struct test_objects){BALANCED LOCAL PORTS, VIP, THERE, ""}, &fixture.view);
    for (unsigned bit = 0; bit < 32; bit++) {
        fixture.node.masquerade_mark = 1u << bit;
        uint32_t mark = mark_of(&fixture, entry), mask = mark_tag_mask(1u << bit);
        assert_int_equal(mark & 1u << bit, 0);
        assert_int_equal(mask & 1u << bit, 0);
        assert_int_equal(__builtin_popcount(mask), 10);
        assert_int_equal(mark & mask, mark_tag(1u << bit));
    }
    slab_free(entry);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_ip_is_one_virtual_server),
        cmocka_unit_test(both_families_have_their_own),
        cmocka_unit_test(nobody_is_a_virtual_server_without_real_ones),
        cmocka_unit_test(nobody_here_drops),
        cmocka_unit_test(pods_and_the_node_have_the_whole_cluster_by_a_mark),
        cmocka_unit_test(affinity_at_one_address_needs_no_mark),
        cmocka_unit_test(affinity_at_two_addresses_is_a_hash),
        cmocka_unit_test(affinity_and_a_policy_are_three_virtual_servers),
        cmocka_unit_test(source_ranges_are_members),
        cmocka_unit_test(node_ports_are_at_the_nodes_addresses),
        cmocka_unit_test(the_health_check_is_of_both_families),
        cmocka_unit_test(addresses_of_nodes_are_not_bound),
        cmocka_unit_test(nothing_is_wanted_for_no_entry),
        cmocka_unit_test(what_another_service_serves_is_left_out),
        cmocka_unit_test(every_address_has_a_mark_of_its_own),
        cmocka_unit_test(marks_leave_the_bit_of_masquerading_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
