/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/fields.h"

#include "api/object.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_names(const struct api_type *type, const char *const *names)
{
    for (; names && *names; names++)
        if (!api_field_find(type->descriptor, *names))
            fail_msg("%s has no field %s", type->descriptor->name, *names);
}

/* The table runs beside the descriptors, and its keys are fields. */
static void test_table(void **state)
{
    for (unsigned i = 0; i < api_type_count; i++) {
        const struct api_type *type = &api_types[i];
        assert_ptr_equal(api_type(type->descriptor), type);
        for (unsigned j = 0; j < type->descriptor->n_fields; j++) {
            const ProtobufCFieldDescriptor *field = &type->descriptor->fields[j];
            const struct api_field *rule = api_field(type->descriptor, j);
            struct text quoted = {0};
            text_printf(&quoted, "\"%s\":", field->name);
            assert_string_equal(rule->quoted, text_str(&quoted));
            text_done(&quoted);
            assert_int_equal(rule->shape, api_field_shape(field));
            assert_ptr_equal(rule->type ? rule->type->descriptor : NULL, field->descriptor);
            assert_int_equal(rule->list == API_LIST_MAP, rule->keys != NULL);
            if (rule->keys)
                check_names(rule->type, rule->keys);
            if (rule->merge_key && *rule->merge_key)
                check_names(rule->type, (const char *const[]){rule->merge_key, NULL});
        }
    }
}

static const struct expectation {
    const ProtobufCMessageDescriptor *type;
    const char *field;
    enum api_list_type list;
    const char *keys, *defaults; /* joined by commas */
    const char *merge_key;
    bool retains_keys, is_atomic, is_required, is_always, is_pointer;
} expectations[] = {
    {&core__service_spec__descriptor, "ports", API_LIST_MAP, "port,protocol,", "-,\"TCP\",", "port"},
    {&core__service_spec__descriptor, "selector", .is_atomic = true},
    {&core__service_spec__descriptor, "clusterIPs"},
    {&core__service_spec__descriptor, "allocateLoadBalancerNodePorts", .is_pointer = true},
    {&core__service__descriptor, "status", .is_always = true},
    {&core__service_status__descriptor, "conditions", API_LIST_MAP, "type,", "-,", "type"},
    {&core__service_port__descriptor, "port", .is_required = true, .is_always = true},
    {&core__pod_spec__descriptor, "volumes", API_LIST_MAP, "name,", "-,", "name", .retains_keys = true},
    {&core__pod_spec__descriptor, "containers", API_LIST_MAP, "name,", "-,", "name", .is_required = true,
     .is_always = true},
    {&core__pod_spec__descriptor, "imagePullSecrets", API_LIST_MAP, "name,", "\"\",", "name",
     .is_atomic = true},
    {&core__pod_spec__descriptor, "topologySpreadConstraints", API_LIST_MAP, "topologyKey,whenUnsatisfiable,",
     "-,-,", "topologyKey"},
    {&core__pod_status__descriptor, "podIPs", API_LIST_MAP, "ip,", "-,", "ip"},
    {&core__container__descriptor, "ports", API_LIST_MAP, "containerPort,protocol,", "-,\"TCP\",",
     "containerPort"},
    {&core__container__descriptor, "volumeMounts", API_LIST_MAP, "mountPath,", "-,", "mountPath"},
    {&core__container__descriptor, "resources", .is_always = true},
    {&core__node_status__descriptor, "addresses", API_LIST_MAP, "type,", "-,", "type"},
    {&core__node_status__descriptor, "nodeInfo", .is_always = true},
    {&core__node_spec__descriptor, "podCIDRs", API_LIST_SET, .merge_key = ""},
    {&meta__object_meta__descriptor, "finalizers", API_LIST_SET, .merge_key = ""},
    {&meta__object_meta__descriptor, "ownerReferences", API_LIST_MAP, "uid,", "-,", "uid", .is_atomic = true},
    {&meta__object_meta__descriptor, "creationTimestamp"},
    {&discovery__endpoint__descriptor, "addresses", API_LIST_SET, .is_required = true, .is_always = true},
    {&discovery__endpoint__descriptor, "targetRef", .is_atomic = true},
    {&discovery__endpoint_conditions__descriptor, "ready", .is_pointer = true},
};

static void check_joined(const char *wanted, const char *const *names, const char *const *filled)
{
    struct text joined = {0};
    for (size_t i = 0; names && names[i]; i++)
        text_printf(&joined, "%s,", filled[i] ? filled[i] : "-");
    assert_string_equal(text_str(&joined), wanted ? wanted : "");
    text_done(&joined);
}

static void test_rules(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        const struct expectation *wanted = &expectations[i];
        const ProtobufCFieldDescriptor *field = api_field_find(wanted->type, wanted->field);
        assert_non_null(field);
        const struct api_field *rule = api_field(wanted->type, (unsigned)(field - wanted->type->fields));
        print_message("%s.%s\n", wanted->type->name, wanted->field);
        assert_int_equal(rule->list, wanted->list);
        check_joined(wanted->keys, rule->keys, rule->keys);
        check_joined(wanted->defaults, rule->keys, rule->key_defaults);
        assert_int_equal(text_cmp(rule->merge_key, wanted->merge_key), 0);
        assert_int_equal(rule->retains_keys, wanted->retains_keys);
        assert_int_equal(rule->is_atomic, wanted->is_atomic);
        assert_int_equal(rule->is_required, wanted->is_required);
        assert_int_equal(rule->is_always, wanted->is_always);
        assert_int_equal(rule->is_pointer, wanted->is_pointer);
    }
}

/* Whoever asks `kubectl explain` gets an answer, down to the last field of these kinds. */
static void check_descriptions(const struct api_type *type)
{
    if (api_is_special(type->descriptor) || api_is_entry(type->descriptor))
        return;
    if (!*type->description)
        fail_msg("%s has no description", type->descriptor->name);
    for (unsigned i = 0; i < type->descriptor->n_fields; i++) {
        if (!*type->fields[i].description)
            fail_msg("%s.%s has no description", type->descriptor->name, type->descriptor->fields[i].name);
        if (type->fields[i].type)
            check_descriptions(type->fields[i].type);
    }
}

static void test_descriptions(void **state)
{
    static const enum api_kind kinds[] = {API_SERVICE,      API_ENDPOINT_SLICE, API_ENDPOINTS, API_NAMESPACE,
                                          API_SERVICE_CIDR, API_CONFIG_MAP,     API_LEASE,     API_EVENT};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        check_descriptions(api_type(api_kind_info(kinds[i])->type));
    assert_string_equal(api_message_description(&core__client_ipconfig__descriptor),
                        "How affinity by client address works.");
}

static void test_shapes(void **state)
{
    const ProtobufCMessageDescriptor *spec = &core__service_spec__descriptor;
    assert_int_equal(api_field_shape(api_field_find(spec, "ports")), API_SHAPE_LIST);
    assert_ptr_equal(api_field_struct(api_field_find(spec, "ports")), &core__service_port__descriptor);
    assert_int_equal(api_field_shape(api_field_find(spec, "selector")), API_SHAPE_MAP);
    assert_null(api_field_struct(api_field_find(spec, "selector")));
    assert_int_equal(api_field_shape(api_field_find(spec, "sessionAffinityConfig")), API_SHAPE_STRUCT);
    const ProtobufCFieldDescriptor *target = api_field_find(&core__service_port__descriptor, "targetPort");
    assert_int_equal(api_field_shape(target), API_SHAPE_SCALAR);
    assert_null(api_field_struct(target));
    assert_null(api_field_find(&core__service__descriptor, "kind"));
    /* What Go embeds stands among the others. */
    assert_non_null(api_field_find(&core__volume__descriptor, "emptyDir"));
    assert_null(api_field_find(&core__volume__descriptor, "volumeSource"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
