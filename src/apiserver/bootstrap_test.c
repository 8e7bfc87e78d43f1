/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/bootstrap.h"

#include "api/encode.h"
#include "api/validate.h"
#include "apiserver/services.h"
#include "apiserver/test_objects.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

struct world {
    struct registry *registry;
    struct allocator *allocator;
    struct allocator_config ranges;
    struct bootstrap_config config;
    struct arena arena;
    struct text reports;
    uint64_t random;
};

static uint64_t count_up(void *context)
{
    return ++((struct world *)context)->random;
}

static void note_report(void *context, const char *sentence)
{
    text_printf(&((struct world *)context)->reports, "%s\n", sentence);
}

static void set_address(struct world *world, const char *address)
{
    assert_int_equal(address_parse(address, &world->config.api_address, NULL), 0);
}

static void open_world(struct world *world, const char *first, const char *second)
{
    const struct registry_options options = {0};
    *world = (struct world){.ranges = {.node_port_first = 30000, .node_port_last = 32767}};
    assert_int_equal(prefix_parse(first, &world->ranges.ranges[world->ranges.range_count++], NULL), 0);
    if (second)
        assert_int_equal(prefix_parse(second, &world->ranges.ranges[world->ranges.range_count++], NULL), 0);
    arena_init(&world->arena);
    assert_int_equal(registry_open(&world->registry, &options, NULL), 0);
    world->allocator = allocator_new(&world->ranges);
    world->config = (struct bootstrap_config){
        .allocator = &world->ranges,
        .api_port = 6443,
        .now = 1700000000,
        .random = count_up,
        .context = world,
        .report = note_report,
    };
    set_address(world, "192.0.2.1");
}

static void close_world(struct world *world)
{
    registry_close(world->registry);
    allocator_free(world->allocator);
    text_done(&world->reports);
    arena_done(&world->arena);
}

static void write_all(struct world *world)
{
    assert_int_equal(bootstrap_write(world->registry, world->allocator, &world->config, &world->arena, NULL),
                     0);
}

static ProtobufCMessage *find(struct world *world, enum api_kind kind, const char *namespace_,
                              const char *name)
{
    const struct registry_object *object = registry_get(world->registry, kind, namespace_, name);
    return object ? registry_decode(object, &world->arena) : NULL;
}

static void expect(struct world *world, enum api_kind kind, const char *namespace_, const char *name,
                   const char *wanted)
{
    struct text text = {0};
    ProtobufCMessage *message = find(world, kind, namespace_, name);
    assert_non_null(message);
    Meta__ObjectMeta *metadata = api_metadata(message);
    assert_true(*api_text(metadata->uid) && metadata->creationtimestamp->seconds == 1700000000);
    metadata->uid = metadata->resourceversion = NULL;
    metadata->creationtimestamp = NULL;
    encode_json(&(struct api_object){kind, namespace_, name, message}, &text);
    assert_string_equal(text_str(&text), wanted);
    text_done(&text);
}

static void a_new_cluster_has_upstreams_objects(void **state)
{
    struct world world;
    open_world(&world, "10.96.0.0/16", "fd00::/108");
    write_all(&world);
    assert_int_equal(registry_count(world.registry, API_NAMESPACE), 4);
    expect(&world, API_NAMESPACE, "", "kube-node-lease",
           "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"kube-node-lease\","
           "\"labels\":{"
           "\"kubernetes.io/"
           "metadata.name\":\"kube-node-lease\"}},\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{"
           "\"phase\":\"Active\"}}");
    expect(&world, API_SERVICE, "default", "kubernetes",
           "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\",\"namespace\":"
           "\"default\","
           "\"labels\":{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":{\"ports\":[{"
           "\"name\":\"https\","
           "\"protocol\":\"TCP\",\"port\":443,\"targetPort\":6443}],\"clusterIP\":\"10.96.0.1\",\"type\":"
           "\"ClusterIP\","
           "\"sessionAffinity\":\"None\",\"ipFamilyPolicy\":\"SingleStack\",\"clusterIPs\":[\"10.96.0.1\"],"
           "\"ipFamilies\":["
           "\"IPv4\"],\"internalTrafficPolicy\":\"Cluster\"}}");
    expect(&world, API_ENDPOINTS, "default", "kubernetes",
           "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"kubernetes\","
           "\"namespace\":\"default\","
           "\"labels\":{\"endpointslice.kubernetes.io/"
           "skip-mirror\":\"true\"}},\"subsets\":[{\"addresses\":[{\"ip\":"
           "\"192.0.2.1\"}],\"ports\":[{\"name\":\"https\",\"port\":6443,\"protocol\":\"TCP\"}]}]}");
    expect(&world, API_ENDPOINT_SLICE, "default", "kubernetes",
           "{\"apiVersion\":\"discovery.k8s.io/"
           "v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"kubernetes\","
           "\"namespace\":\"default\",\"generation\":1,\"labels\":{\"kubernetes.io/"
           "service-name\":\"kubernetes\"}},"
           "\"endpoints\":[{\"addresses\":[\"192.0.2.1\"],\"conditions\":{\"ready\":true}}],\"ports\":[{"
           "\"name\":\"https\","
           "\"protocol\":\"TCP\",\"port\":6443}],\"addressType\":\"IPv4\"}");
    expect(&world, API_SERVICE_CIDR, "", "kubernetes",
           "{\"apiVersion\":\"networking.k8s.io/"
           "v1\",\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":\"kubernetes\"},"
           "\"spec\":{\"cidrs\":[\"10.96.0.0/16\",\"fd00::/"
           "108\"]},\"status\":{\"conditions\":[{\"type\":\"Ready\","
           "\"status\":\"True\",\"lastTransitionTime\":\"2023-11-14T22:13:20Z\",\"message\":\"Kubernetes "
           "default Service "
           "CIDR is ready\"}]}}");
    assert_int_equal(allocator_address_count(world.allocator), 1);
    assert_string_equal(text_str(&world.reports), "");
    close_world(&world);
}

static void what_is_written_would_pass_validation(void **state)
{
    static const char *const addresses[] = {"192.0.2.1", "2001:db8::1", "127.0.0.1", "::", "0.0.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct world world;
        struct api_object objects[BOOTSTRAP_OBJECTS];
        struct faults faults;
        open_world(&world, "fd00::/108", NULL);
        set_address(&world, addresses[i]);
        bootstrap_objects(&world.config, &world.arena, objects);
        for (size_t j = 0; j < BOOTSTRAP_OBJECTS; j++) {
            faults_init(&faults, &world.arena);
            validate_create(&faults, objects[j].kind, objects[j].message);
            if (faults.count)
                fail_msg("%s: %s", objects[j].name, faults_format(&faults));
        }
        close_world(&world);
    }
}

static void settled_objects_are_left_alone(void **state)
{
    struct world world;
    open_world(&world, "10.96.0.0/16", NULL);
    write_all(&world);
    uint64_t revision = registry_revision(world.registry);
    write_all(&world);
    assert_int_equal(registry_revision(world.registry), revision);
    /* A new port and a new address: three objects, each as it was but for that. */
    world.config.api_port = 7443;
    set_address(&world, "192.0.2.7");
    world.config.now++;
    write_all(&world);
    assert_int_equal(registry_revision(world.registry), revision + 3);
    const Core__Service *service = (Core__Service *)find(&world, API_SERVICE, "default", "kubernetes");
    assert_int_equal(service->spec->ports[0]->targetport->intval, 7443);
    assert_int_equal(service->metadata->creationtimestamp->seconds, 1700000000);
    const Discovery__EndpointSlice *slice =
        (Discovery__EndpointSlice *)find(&world, API_ENDPOINT_SLICE, "default", "kubernetes");
    assert_string_equal(slice->endpoints[0]->addresses[0], "192.0.2.7");
    assert_int_equal(slice->metadata->generation, 2);
    /* The other family takes another slice. */
    char *uid = slice->metadata->uid;
    set_address(&world, "2001:db8::7");
    write_all(&world);
    slice = (Discovery__EndpointSlice *)find(&world, API_ENDPOINT_SLICE, "default", "kubernetes");
    assert_string_equal(slice->addresstype, "IPv6");
    assert_string_not_equal(slice->metadata->uid, uid);
    assert_int_equal(slice->metadata->generation, 1);
    assert_int_equal(allocator_address_count(world.allocator), 1);
    close_world(&world);
}

static void an_unreachable_api_has_no_endpoints(void **state)
{
    struct world world;
    open_world(&world, "fd00::/108", NULL);
    set_address(&world, "127.0.0.1");
    write_all(&world);
    assert_int_equal(((Core__Endpoints *)find(&world, API_ENDPOINTS, "default", "kubernetes"))->n_subsets, 0);
    const Discovery__EndpointSlice *slice =
        (Discovery__EndpointSlice *)find(&world, API_ENDPOINT_SLICE, "default", "kubernetes");
    assert_int_equal(slice->n_endpoints, 0);
    assert_string_equal(slice->addresstype, "IPv6");
    close_world(&world);
}

static void a_second_range_is_added_and_others_are_reported(void **state)
{
    struct world world;
    open_world(&world, "10.96.0.0/16", NULL);
    write_all(&world);
    assert_int_equal(prefix_parse("fd00::/108", &world.ranges.ranges[1], NULL), 0);
    world.ranges.range_count = 2;
    write_all(&world);
    const Networking__ServiceCIDR *range =
        (Networking__ServiceCIDR *)find(&world, API_SERVICE_CIDR, "", "kubernetes");
    assert_int_equal(range->spec->n_cidrs, 2);
    assert_string_equal(text_str(&world.reports), "");
    assert_int_equal(prefix_parse("10.97.0.0/16", &world.ranges.ranges[0], NULL), 0);
    write_all(&world);
    range = (Networking__ServiceCIDR *)find(&world, API_SERVICE_CIDR, "", "kubernetes");
    assert_string_equal(range->spec->cidrs[0], "10.96.0.0/16");
    assert_string_equal(
        text_str(&world.reports),
        "the ServiceCIDR kubernetes has other ranges than the options: it is left as it is\n");
    close_world(&world);
}

static void the_address_is_never_taken_from_somebody(void **state)
{
    struct world world;
    struct address first;
    open_world(&world, "10.96.0.0/16", NULL);
    first = bootstrap_first_address(&world.ranges.ranges[0]);
    assert_int_equal(allocator_take_address(world.allocator, &first, NULL), 0);
    write_all(&world);
    assert_null(find(&world, API_SERVICE, "default", "kubernetes"));
    assert_null(find(&world, API_ENDPOINT_SLICE, "default", "kubernetes"));
    assert_non_null(find(&world, API_NAMESPACE, "", "default"));
    assert_string_equal(text_str(&world.reports),
                        "there is no Service default/kubernetes, for it cannot have 10.96.0.1: "
                        "provided IP is already allocated\n");
    /* And it is there as soon as it can be. */
    allocator_release_address(world.allocator, &first);
    write_all(&world);
    assert_non_null(find(&world, API_SERVICE, "default", "kubernetes"));
    assert_true(allocator_has_address(world.allocator, &first));
    close_world(&world);
}

static void first_addresses_carry(void **state)
{
    static const char *const cases[][2] = {
        {"10.96.0.0/16", "10.96.0.1"}, {"fd00::/108", "fd00::1"}, {"10.0.0.248/29", "10.0.0.249"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prefix range;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(prefix_parse(cases[i][0], &range, NULL), 0);
        struct address address = bootstrap_first_address(&range);
        assert_string_equal(address_format(&address, text), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_has_upstreams_objects),
        cmocka_unit_test(what_is_written_would_pass_validation),
        cmocka_unit_test(settled_objects_are_left_alone),
        cmocka_unit_test(an_unreachable_api_has_no_endpoints),
        cmocka_unit_test(a_second_range_is_added_and_others_are_reported),
        cmocka_unit_test(the_address_is_never_taken_from_somebody),
        cmocka_unit_test(first_addresses_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
