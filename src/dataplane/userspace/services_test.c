/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/services.h"

#include "base/cleanup.h"
#include "dataplane/test_entry.h"
#include "dataplane/userspace/test_sockets.h"

/* Sockets are real, iptables is a layout that the inputs are applied to. */
struct world {
    uv_loop_t loop;
    struct relay relay;
    struct services services;
    struct node_view view;
    struct dataplane_node node;
    struct prefix range;
    struct layout kernel[FAMILY_COUNT];
};

static void want(const struct world *world, enum family family, struct layout *ret)
{
    portals_layout_begin(ret);
    services_layout(&world->services, family, ret);
    portals_layout_end(ret, family, &world->node);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    uv_loop_init(&world->loop);
    relay_init(&world->relay, &world->loop);
    world->services.relay = &world->relay;
    world->view.local_detect = LOCAL_DETECT_NONE;
    assert_int_equal(prefix_parse("10.96.0.0/16", &world->range, NULL), 0);
    world->node = (struct dataplane_node){.view = &world->view,
                                          .are_node_ports_everywhere = {true, true},
                                          .service_cidrs = &world->range,
                                          .service_cidr_count = 1};
    for (int family = 0; family < FAMILY_COUNT; family++)
        want(world, (enum family)family, &world->kernel[family]);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (int family = 0; family < FAMILY_COUNT; family++)
        layout_done(&world->kernel[family]);
    services_done(&world->services);
    relay_done(&world->relay);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

/* --- what iptables-restore does --- */

static void delete_rule(struct layout_chain *chain, const char *rule)
{
    uint32_t at = 0;
    while (at < chain->count && strcmp(chain->rules[at], rule) != 0)
        at++;
    if (at == chain->count)
        fail_msg("\"%s\" is not in %s", rule, chain->name);
    memmove(chain->rules + at, chain->rules + at + 1, (--chain->count - at) * sizeof(*chain->rules));
}

static void insert_rule(struct layout *layout, struct layout_chain *chain, const char *rule)
{
    layout_add_rule(layout, chain, rule);
    const char *added = chain->rules[chain->count - 1];
    memmove(chain->rules + 1, chain->rules, (chain->count - 1) * sizeof(*chain->rules));
    chain->rules[0] = added;
}

static void apply(struct layout *kernel, const char *input)
{
    char *copy = strdup(input), *rest = copy;
    int table = -1;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *rule = *line == '-' ? strchr(line + 3, ' ') : NULL;
        if (*line == '*')
            table = layout_table_of(line + 1);
        if (!rule)
            continue;
        *rule++ = '\0';
        struct layout_chain *chain = layout_chain(kernel, (enum layout_table)table, line + 3);
        if (line[1] == 'D')
            delete_rule(chain, rule);
        else
            insert_rule(kernel, chain, rule);
    }
    free(copy);
}

static void expect_in_force(struct world *world, struct portals_change *change)
{
    struct writer_change written = {0};
    portals_change_write(change, &written);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct layout wanted;
        struct text difference = {0};
        apply(&world->kernel[family], text_str(&written.input[family]));
        want(world, (enum family)family, &wanted);
        layout_difference(&world->kernel[family], &wanted, &portals_own_rules, &difference);
        assert_string_equal(text_str(&difference), "");
        text_done(&difference);
        text_done(&written.input[family]);
        layout_done(&wanted);
    }
    portals_change_done(change);
    *change = (struct portals_change){0};
    services_retire(&world->services);
}

/* --- services --- */

/* @ is the Service's number: no two have an address or a node port in common. */
#define TWO_FAMILIES                                                                                         \
    "clusterIPs: [10.96.0.@, \"fd00::@\"], clusterIP: 10.96.0.@, ipFamilies: [IPv4, IPv6], "                 \
    "ipFamilyPolicy: RequireDualStack, "
#define PORT "ports: [{port: 80, targetPort: 8080, nodePort: 3008@}]"
#define PLAIN 1
#define RANGED 3
#define NOBODY 5
#define FORMS 6

static char *numbered(const char *text, int number)
{
    char *copy = strdup(text);
    for (char *at = copy; (at = strchr(at, '@'));)
        *at = (char)('0' + number);
    return copy;
}

/* The Service default/web in one of its forms, NULL for form 0. */
static struct entry *make(struct world *world, unsigned form, int number)
{
    static const char *const specs[FORMS] = {
        NULL,
        TWO_FAMILIES "ports: [{port: 80, targetPort: 8080}]",
        TWO_FAMILIES "ports: [{port: 80, targetPort: 8080}], sessionAffinity: ClientIP",
        TWO_FAMILIES "type: LoadBalancer, externalIPs: [198.51.100.@], loadBalancerSourceRanges: "
                     "[192.0.2.0/24], " PORT,
        TWO_FAMILIES "type: LoadBalancer, externalTrafficPolicy: Local, " PORT,
        TWO_FAMILIES "ports: [{port: 80, targetPort: 8080}], externalIPs: [198.51.100.@]",
    };
    if (!specs[form])
        return NULL;
    cleanup_free char *spec = numbered(specs[form], number);
    cleanup_free char *ingress = numbered(strstr(spec, "LoadBalancer") ? "{ip: 203.0.113.@}" : "", number);
    bool has_nobody = form == NOBODY;
    const struct test_objects objects = {spec, ingress,
                                         has_nobody ? "" : TEST_HERE("10.0.1.5") ", " TEST_THERE("10.0.2.5"),
                                         has_nobody ? "" : TEST_HERE("fd00:1::5")};
    return test_entry(&objects, &world->view);
}

static void change_one(struct world *world, int number, unsigned form, struct portals_change *change)
{
    static const char *const names[] = {"default/web", "default/two", "default/three", "default/four"};
    struct entry *entry = make(world, form, number + 1);
    if (!entry) {
        services_remove(&world->services, names[number], change);
        return;
    }
    entry->name = (char *)names[number];
    assert_int_equal(services_put(&world->services, &world->node, entry, change, NULL), 0);
    slab_free(entry);
}

/* What services are changes at random, and the chains stay as they would be written from nothing, order
 * included. */
static void changes_come_to_what_a_load_would_write(void **state)
{
    struct world *world = *state;
    struct portals_change change = {0};
    srand(20261122);
    for (int turn = 0; turn < 300; turn++) {
        int first = rand() % 4, count = 1 + rand() % 3;
        for (int i = 0; i < count; i++)
            change_one(world, (first + i) % 4, (unsigned)rand() % FORMS, &change);
        expect_in_force(world, &change);
    }
}

/* What a packet meets between two tables of one input. */
static bool refuses(const struct layout *kernel, const char *to)
{
    const struct layout_chain *chain =
        layout_chain((struct layout *)kernel, TABLE_FILTER, "FAIRLEAD-PORTALS");
    for (uint32_t i = 0; i < chain->count; i++)
        if (strncmp(chain->rules[i], to, strlen(to)) == 0)
            return true;
    return false;
}

static bool leads(const struct layout *kernel, const char *to)
{
    const struct layout_chain *chain =
        layout_chain((struct layout *)kernel, TABLE_NAT, "KUBE-PORTALS-CONTAINER");
    for (uint32_t i = 0; i < chain->count; i++)
        if (strncmp(chain->rules[i], to, strlen(to)) == 0)
            return true;
    return false;
}

/* The external address is led or refused behind each of them. */
static void no_packet_gets_through_between_two_tables(void **state)
{
    static const unsigned forms[] = {NOBODY, RANGED, NOBODY, RANGED};
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct portals_change change = {0};
        struct writer_change written = {0};
        struct entry *entry = make(world, forms[i], 1);
        assert_int_equal(services_put(&world->services, &world->node, entry, &change, NULL), 0);
        slab_free(entry);
        portals_change_write(&change, &written);
        unsigned tables = 0;
        for (char *at = written.input[FAMILY_IPV4].data, *end; i > 0 && (end = strstr(at, "COMMIT\n"));
             at = end + strlen("COMMIT\n"), tables++) {
            *end = '\0';
            apply(&world->kernel[FAMILY_IPV4], at);
            *end = 'C';
            assert_true(leads(&world->kernel[FAMILY_IPV4], "-d 198.51.100.1/32 ") ||
                        refuses(&world->kernel[FAMILY_IPV4], "-d 198.51.100.1/32 "));
        }
        if (i == 0)
            apply(&world->kernel[FAMILY_IPV4], text_str(&written.input[FAMILY_IPV4]));
        else
            assert_int_equal(tables, 3);
        for (int family = 0; family < FAMILY_COUNT; family++)
            text_done(&written.input[family]);
        portals_change_done(&change);
        services_retire(&world->services);
    }
}

/* Endpoints come and go behind the same socket: nothing is written. */
static void endpoints_are_no_rules(void **state)
{
    struct world *world = *state;
    struct portals_change change = {0};
    struct entry *entry = make(world, PLAIN, 1);
    assert_int_equal(services_put(&world->services, &world->node, entry, &change, NULL), 0);
    slab_free(entry);
    expect_in_force(world, &change);
    static const struct test_objects objects = {
        "clusterIPs: [10.96.0.1, \"fd00::1\"], clusterIP: 10.96.0.1, ipFamilies: [IPv4, IPv6], "
        "ipFamilyPolicy: RequireDualStack, ports: [{port: 80, targetPort: 8080}]",
        "", TEST_THERE("10.0.2.7"), TEST_HERE("fd00:1::5")};
    entry = test_entry(&objects, &world->view);
    assert_int_equal(services_put(&world->services, &world->node, entry, &change, NULL), 0);
    slab_free(entry);
    assert_true(portals_change_is_empty(&change));
    assert_int_equal(world->relay.server_count, 2);
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_WORLD(changes_come_to_what_a_load_would_write),
        IN_WORLD(no_packet_gets_through_between_two_tables),
        IN_WORLD(endpoints_are_no_rules),
    };
    return cmocka_run_group_tests_name("services", tests, NULL, NULL);
}
