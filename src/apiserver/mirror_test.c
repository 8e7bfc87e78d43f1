/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/mirror.h"

#include "api/encode.h"
#include "apiserver/subsets.h"
#include "apiserver/test_objects.h"
#include "base/cleanup.h"

#define OURS "kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: " MIRROR_CONTROLLER
#define SERVICE "{metadata: {name: web}, spec: {ports: [{port: 80}]}}"

static const Core__Endpoints *read_endpoints(const char *subsets, struct arena *arena)
{
    const char *text =
        arena_printf(arena, "{metadata: {name: web, namespace: default, uid: u1}, subsets: [%s]}", subsets);
    return (Core__Endpoints *)test_read(API_ENDPOINTS, text, arena);
}

static void add_slice(struct text *text, const char *what, const Discovery__EndpointSlice *slice)
{
    text_printf(text, "%s %s %s:", what, *api_text(slice->metadata->name) ? slice->metadata->name : "-",
                slice->addresstype);
    for (size_t i = 0; i < slice->n_ports; i++)
        text_printf(text, "%s%s=%d", i ? "," : "", slice->ports[i]->name, slice->ports[i]->port);
    for (size_t i = 0; i < slice->n_endpoints; i++)
        text_printf(text, " %s%s", slice->endpoints[i]->addresses[0],
                    slice->endpoints[i]->conditions->ready ? "" : "!");
    text_add(text, "\n");
}

static void describe(const struct mirror_changes *changes, struct text *ret)
{
    for (size_t i = 0; i < changes->create_count; i++)
        add_slice(ret, "create", changes->creates[i]);
    for (size_t i = 0; i < changes->update_count; i++)
        add_slice(ret, "update", changes->updates[i]);
    for (size_t i = 0; i < changes->delete_count; i++)
        text_printf(ret, "delete %s\n", changes->deletes[i]->metadata->name);
    if (changes->invalid_count || changes->skipped_count)
        text_printf(ret, "invalid %zu skipped %zu\n", changes->invalid_count, changes->skipped_count);
}

static void expect(const struct mirror_changes *changes, const char *wanted)
{
    struct text text = {0};
    describe(changes, &text);
    assert_string_equal(text_str(&text), wanted);
    text_done(&text);
}

static void subsets_become_slices(void **state)
{
    static const struct {
        const char *subsets, *wanted;
    } cases[] = {
        {"", ""},
        {"{addresses: [{ip: 10.0.0.2}, {ip: 10.0.0.1}], ports: [{name: http, port: 80}]}",
         "create - IPv4:http=80 10.0.0.1 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2}], notReadyAddresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}",
         "create - IPv4:=80 10.0.0.2 10.0.0.1!\n"},
        {"{addresses: [{ip: 10.0.0.1}, {ip: 'fd00::1'}], ports: [{port: 80}]}",
         "create - IPv4:=80 10.0.0.1\ncreate - IPv6:=80 fd00::1\n"},
        /* two subsets with the same addresses are one, and a port twice is two sets of ports */
        {"{addresses: [{ip: 10.0.0.1}], ports: [{name: b, port: 81}]}, {addresses: [{ip: 10.0.0.1}], ports: "
         "[{name: a, "
         "port: 80}]}",
         "create - IPv4:a=80,b=81 10.0.0.1\n"},
        {"{addresses: [{ip: 10.0.0.1}], ports: [{name: a, port: 80}, {name: b, port: 81}]}, {addresses: "
         "[{ip: 10.0.0.2}], "
         "ports: [{name: a, port: 80}]}",
         "create - IPv4:a=80 10.0.0.1 10.0.0.2\ncreate - IPv4:b=81 10.0.0.1\n"},
        /* not ready wins */
        {"{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}, {notReadyAddresses: [{ip: 10.0.0.1}], ports: "
         "[{port: 80}]}",
         "create - IPv4:=80 10.0.0.1!\n"},
        /* one address of two targets */
        {"{addresses: [{ip: 10.0.0.1, targetRef: {uid: a, name: a}}, {ip: 10.0.0.1, targetRef: {uid: b, "
         "name: b}}], ports: "
         "[{port: 80}]}",
         "create - IPv4:=80 10.0.0.1 10.0.0.1\n"},
        {"{addresses: [{ip: 10.0.0.1}]}", "create - IPv4: 10.0.0.1\n"},
        {"{ports: [{port: 80}]}", ""},
        {"{addresses: [{ip: a.example}, {ip: 10.0.0.1}, {ip: ''}], ports: [{port: 80}]}",
         "create - IPv4:=80 10.0.0.1\ninvalid 2 skipped 0\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct mirror_changes changes;
        arena_init(&arena);
        const Core__Service *service = (Core__Service *)test_read(API_SERVICE, SERVICE, &arena);
        mirror_reconcile("web", read_endpoints(cases[i].subsets, &arena), service, NULL, 0, &arena, &changes);
        expect(&changes, cases[i].wanted);
        arena_done(&arena);
    }
}

static void a_slice_has_what_upstreams_has(void **state)
{
    static const char endpoints[] =
        "{metadata: {name: web, namespace: shop, uid: u1, labels: {app: web, kubernetes.io/service-name: "
        "other}, "
        "annotations: {a.example/b: c, endpoints.kubernetes.io/last-change-trigger-time: then, "
        "kubectl.kubernetes.io/last-applied-configuration: more}}, subsets: [{addresses: [{ip: 10.0.0.1, "
        "hostname: h, "
        "nodeName: node, targetRef: {kind: Pod, name: p}}], ports: [{name: http, port: 80, protocol: TCP, "
        "appProtocol: "
        "h2c}]}]}";
    struct arena arena;
    struct mirror_changes changes;
    struct text text = {0};
    arena_init(&arena);
    mirror_reconcile("web", (Core__Endpoints *)test_read(API_ENDPOINTS, endpoints, &arena),
                     (Core__Service *)test_read(API_SERVICE, SERVICE, &arena), NULL, 0, &arena, &changes);
    assert_int_equal(changes.create_count, 1);
    struct api_object object = {API_ENDPOINT_SLICE, "shop", "", &changes.creates[0]->base};
    encode_yaml(&object, &text);
    assert_string_equal(text_str(&text), "apiVersion: discovery.k8s.io/v1\n"
                                         "kind: EndpointSlice\n"
                                         "metadata:\n"
                                         "  generateName: web-\n"
                                         "  namespace: shop\n"
                                         "  labels:\n"
                                         "    app: web\n"
                                         "    endpointslice.kubernetes.io/managed-by: " MIRROR_CONTROLLER "\n"
                                         "    kubernetes.io/service-name: web\n"
                                         "  annotations:\n"
                                         "    a.example/b: c\n"
                                         "  ownerReferences:\n"
                                         "  - kind: Endpoints\n"
                                         "    name: web\n"
                                         "    uid: u1\n"
                                         "    apiVersion: v1\n"
                                         "    controller: true\n"
                                         "    blockOwnerDeletion: true\n"
                                         "endpoints:\n"
                                         "- addresses:\n"
                                         "  - 10.0.0.1\n"
                                         "  conditions:\n"
                                         "    ready: true\n"
                                         "  hostname: h\n"
                                         "  targetRef:\n"
                                         "    kind: Pod\n"
                                         "    name: p\n"
                                         "  nodeName: node\n"
                                         "ports:\n"
                                         "- name: http\n"
                                         "  protocol: TCP\n"
                                         "  port: 80\n"
                                         "  appProtocol: h2c\n"
                                         "addressType: IPv4\n");
    text_done(&text);
    arena_done(&arena);
}

static void some_are_not_mirrored(void **state)
{
    static const struct {
        const char *endpoints, *service;
        bool is_wanted;
    } cases[] = {
        {"{metadata: {name: web}}", SERVICE, true},
        {"{metadata: {name: web}}", NULL, false},
        {NULL, SERVICE, false},
        {"{metadata: {name: web}}", "{metadata: {name: web}, spec: {selector: {a: b}}}", false},
        {"{metadata: {name: web, labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}}}", SERVICE,
         false},
        {"{metadata: {name: web, labels: {endpointslice.kubernetes.io/skip-mirror: 'yes'}}}", SERVICE, true},
        {"{metadata: {name: web, annotations: {control-plane.alpha.kubernetes.io/leader: '{}'}}}", SERVICE,
         false},
    };
    static const char slice[] = "{metadata: {name: web-a, labels: {" OURS "}}, addressType: IPv4}";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct mirror_changes changes;
        arena_init(&arena);
        const ProtobufCMessage *endpoints =
            cases[i].endpoints ? test_read(API_ENDPOINTS, cases[i].endpoints, &arena) : NULL;
        const ProtobufCMessage *service =
            cases[i].service ? test_read(API_SERVICE, cases[i].service, &arena) : NULL;
        const Discovery__EndpointSlice *existing =
            (Discovery__EndpointSlice *)test_read(API_ENDPOINT_SLICE, slice, &arena);
        assert_int_equal(mirror_is_wanted((Core__Endpoints *)endpoints, (Core__Service *)service),
                         cases[i].is_wanted);
        mirror_reconcile("web", (Core__Endpoints *)endpoints, (Core__Service *)service, &existing, 1, &arena,
                         &changes);
        expect(&changes, "delete web-a\n");
        mirror_reconcile("shop", NULL, NULL, &existing, 1, &arena, &changes);
        expect(&changes, "");
        arena_done(&arena);
    }
}

/* What a reconcile gives, stored as an apiserver would. */
static size_t apply(const struct mirror_changes *changes, const Discovery__EndpointSlice **list, size_t count,
                    struct arena *arena)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_gone = false;
        for (size_t j = 0; j < changes->delete_count; j++)
            is_gone |= changes->deletes[j] == list[i];
        for (size_t j = 0; j < changes->update_count; j++)
            if (strcmp(changes->updates[j]->metadata->name, list[i]->metadata->name) == 0)
                list[i] = changes->updates[j];
        if (!is_gone)
            list[kept++] = list[i];
    }
    for (size_t i = 0; i < changes->create_count; i++) {
        changes->creates[i]->metadata->name = arena_printf(arena, "web-%zu", kept);
        list[kept++] = changes->creates[i];
    }
    return kept;
}

static void changes_reach_their_goal_and_rest(void **state)
{
    static const struct {
        const char *subsets, *wanted;
    } steps[] = {
        {"{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{name: a, port: 80}]}",
         "create - IPv4:a=80 10.0.0.1 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2}, {ip: 10.0.0.1}], ports: [{name: a, port: 80}]}", ""},
        {"{addresses: [{ip: 10.0.0.2}], notReadyAddresses: [{ip: 10.0.0.1}], ports: [{name: a, port: 80}]}",
         "update web-0 IPv4:a=80 10.0.0.2 10.0.0.1!\n"},
        {"{addresses: [{ip: 10.0.0.2, nodeName: node}], ports: [{name: a, port: 80}]}",
         "update web-0 IPv4:a=80 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2}], ports: [{name: a, port: 80}]}", "update web-0 IPv4:a=80 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2, targetRef: {name: p, resourceVersion: '5'}}], ports: [{name: a, port: "
         "80}]}",
         "update web-0 IPv4:a=80 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2, targetRef: {name: p, resourceVersion: '6'}}], ports: [{name: a, port: "
         "80}]}",
         ""},
        {"{addresses: [{ip: 10.0.0.2}], ports: [{name: a, port: 80}]}, {addresses: [{ip: 10.0.0.3}], ports: "
         "[{name: b, "
         "port: 81}]}",
         "create - IPv4:b=81 10.0.0.3\nupdate web-0 IPv4:a=80 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2}], ports: [{name: a, port: 80}]}", "delete web-1\n"},
        /* other ports: the slice that would go is used again */
        {"{addresses: [{ip: 10.0.0.2}], ports: [{name: a, port: 81}]}", "update web-0 IPv4:a=81 10.0.0.2\n"},
        {"{addresses: [{ip: 10.0.0.2}, {ip: 'fd00::2'}], ports: [{name: a, port: 81}]}",
         "create - IPv6:a=81 fd00::2\n"},
        {"{addresses: [{ip: 'fd00::2'}], ports: [{name: a, port: 81}]}", "delete web-0\n"},
        {"{addresses: [{ip: 10.0.0.9}], ports: [{name: a, port: 81}]}",
         "create - IPv4:a=81 10.0.0.9\ndelete web-1\n"},
        {"", "delete web-0\n"},
    };
    struct arena arena;
    const Discovery__EndpointSlice *list[8];
    size_t count = 0;
    arena_init(&arena);
    const Core__Service *service = (Core__Service *)test_read(API_SERVICE, SERVICE, &arena);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const Core__Endpoints *endpoints = read_endpoints(steps[i].subsets, &arena);
        struct mirror_changes changes;
        mirror_reconcile("web", endpoints, service, list, count, &arena, &changes);
        expect(&changes, steps[i].wanted);
        count = apply(&changes, list, count, &arena);
        mirror_reconcile("web", endpoints, service, list, count, &arena, &changes);
        expect(&changes, "");
    }
    assert_int_equal(count, 0);
    arena_done(&arena);
}

static void what_others_changed_is_put_right(void **state)
{
    static const struct {
        const char *metadata, *rest, *wanted;
    } cases[] = {
        {"labels: {" OURS "}, ownerReferences: [{kind: Endpoints, uid: u1}]", "", ""},
        {"labels: {" OURS
         "}, ownerReferences: [{kind: Endpoints, uid: u1}], generation: 3, resourceVersion: '7'",
         "", ""},
        {"labels: {" OURS "}, ownerReferences: [{kind: Endpoints, uid: old}]", "",
         "update web-a IPv4:a=80 10.0.0.1\n"},
        {"labels: {" OURS ", more: label}, ownerReferences: [{kind: Endpoints, uid: u1}]", "",
         "update web-a IPv4:a=80 10.0.0.1\n"},
        {"labels: {" OURS "}, annotations: {more: note}, ownerReferences: [{kind: Endpoints, uid: u1}]", "",
         "update web-a IPv4:a=80 10.0.0.1\n"},
        {"labels: {" OURS "}, ownerReferences: [{kind: Endpoints, uid: u1}]",
         ", hints: {forZones: [{name: z}]}", ""},
        {"labels: {" OURS "}, ownerReferences: [{kind: Endpoints, uid: u1}]", ", zone: z",
         "update web-a IPv4:a=80 10.0.0.1\n"},
        {"labels: {kubernetes.io/service-name: web}", "", "create - IPv4:a=80 10.0.0.1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct mirror_changes changes;
        arena_init(&arena);
        const char *text = arena_printf(&arena,
                                        "{metadata: {name: web-a, namespace: default, %s}, addressType: "
                                        "IPv4, ports: [{name: a, port: 80}], endpoints: "
                                        "[{addresses: [10.0.0.1], conditions: {ready: true}%s}]}",
                                        cases[i].metadata, cases[i].rest);
        const Discovery__EndpointSlice *existing =
            (Discovery__EndpointSlice *)test_read(API_ENDPOINT_SLICE, text, &arena);
        mirror_reconcile(
            "web", read_endpoints("{addresses: [{ip: 10.0.0.1}], ports: [{name: a, port: 80}]}", &arena),
            (Core__Service *)test_read(API_SERVICE, SERVICE, &arena), &existing, 1, &arena, &changes);
        expect(&changes, cases[i].wanted);
        arena_done(&arena);
    }
}

/* count addresses and ports in one subset. */
static Core__Endpoints *make_large(size_t addresses, size_t ports, size_t subsets, struct arena *arena)
{
    struct text text = {0};
    text_add(&text, "{metadata: {name: web}, subsets: [");
    for (size_t s = 0; s < subsets; s++) {
        text_add(&text, "{addresses: [");
        for (size_t i = 0; i < addresses; i++)
            text_printf(&text, "{ip: 10.%zu.%zu.%zu},", s, i / 250, i % 250 + 1);
        text_add(&text, "], ports: [");
        for (size_t i = 0; i < ports; i++)
            text_printf(&text, "{name: p%zu-%zu, port: %zu},", s, i, i + 1);
        text_add(&text, "]},");
    }
    text_add(&text, "]}");
    Core__Endpoints *endpoints = (Core__Endpoints *)test_read(API_ENDPOINTS, text_str(&text), arena);
    text_done(&text);
    return endpoints;
}

static void sizes_are_bounded(void **state)
{
    static const struct {
        size_t addresses, ports, subsets, slices, endpoints, skipped;
    } cases[] = {
        {1000, 2, 1, 1, 1000, 0},
        {1001, 2, 1, 1, 1000, 1},
        {1, 1, 201, 200, 1, 1},
        /* 200,000 pairs: the last hundred ports are left out, and of the others' addresses the second
           thousand */
        {2000, 100, 1, 1, 1000, 1000 + 50 * 2000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct mirror_changes changes;
        arena_init(&arena);
        mirror_reconcile("web", make_large(cases[i].addresses, cases[i].ports, cases[i].subsets, &arena),
                         (Core__Service *)test_read(API_SERVICE, SERVICE, &arena), NULL, 0, &arena, &changes);
        assert_int_equal(changes.create_count, cases[i].slices);
        assert_int_equal(changes.creates[0]->n_endpoints, cases[i].endpoints);
        assert_int_equal(changes.skipped_count, cases[i].skipped);
        arena_done(&arena);
    }
}

static void endpoints_that_go_get_no_new_slices(void **state)
{
    static const char endpoints[] =
        "{metadata: {name: web, deletionTimestamp: '2024-01-01T00:00:00Z'}, subsets: [{addresses: "
        "[{ip: 10.0.0.1}], ports: [{port: 80}]}]}";
    struct arena arena;
    struct mirror_changes changes;
    arena_init(&arena);
    mirror_reconcile("web", (Core__Endpoints *)test_read(API_ENDPOINTS, endpoints, &arena),
                     (Core__Service *)test_read(API_SERVICE, SERVICE, &arena), NULL, 0, &arena, &changes);
    expect(&changes, "");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subsets_become_slices),
        cmocka_unit_test(a_slice_has_what_upstreams_has),
        cmocka_unit_test(some_are_not_mirrored),
        cmocka_unit_test(changes_reach_their_goal_and_rest),
        cmocka_unit_test(what_others_changed_is_put_right),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(endpoints_that_go_get_no_new_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
