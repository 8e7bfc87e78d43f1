/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/openapi.h"

#include "apiserver/discovery.h"
#include "apiserver/openapi_v2.pb-c.h"
#include "apiserver/openapi_v3.pb-c.h"
#include "base/cleanup.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TYPE "io.k8s.api.core.v1."
#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

static json_t *parse(const struct openapi_document *document)
{
    json_t *tree = json_loadb(document->body->data, document->body->len, 0, NULL);
    assert_non_null(tree);
    assert_int_equal(strlen(document->etag), 64);
    return tree;
}

static json_t *tree_v2(void)
{
    struct openapi_document document = openapi_v2(OPENAPI_JSON);
    return parse(&document);
}

static json_t *tree_v3(const char *group)
{
    struct openapi_document document;
    assert_true(openapi_v3(group, "v1", OPENAPI_JSON, &document));
    return parse(&document);
}

/* Without descriptions, which are words only. */
static void check(const json_t *schema, const char *expected)
{
    assert_non_null(schema);
    json_t *mine = json_deep_copy(schema), *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    json_object_del(mine, "description");
    if (!json_equal(mine, wanted)) {
        cleanup_free char *text = json_dumps(mine, JSON_COMPACT | JSON_SORT_KEYS);
        fail_msg("%s\nnot\n%s", text, expected);
    }
    json_decref(mine);
    json_decref(wanted);
}

static const json_t *property_of(const json_t *definitions, const char *type, const char *name)
{
    return json_object_get(json_object_get(json_object_get(definitions, type), "properties"), name);
}

static void test_definitions(void **state)
{
    json_t *tree = tree_v2();
    const json_t *definitions = json_object_get(tree, "definitions");
    check(property_of(definitions, TYPE "ServiceSpec", "ports"),
          "{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/io.k8s.api.core.v1.ServicePort\"},"
          "\"x-kubernetes-list-map-keys\":[\"port\",\"protocol\"],\"x-kubernetes-list-type\":\"map\","
          "\"x-kubernetes-patch-merge-key\":\"port\",\"x-kubernetes-patch-strategy\":\"merge\"}");
    check(property_of(definitions, TYPE "ServiceSpec", "selector"),
          "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"},\"x-kubernetes-map-type\":"
          "\"atomic\"}");
    check(property_of(definitions, TYPE "ServiceSpec", "externalIPs"),
          "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":\"atomic\"}");
    check(property_of(definitions, TYPE "ServicePort", "port"),
          "{\"type\":\"integer\",\"format\":\"int32\"}");
    check(property_of(definitions, TYPE "ServicePort", "targetPort"),
          "{\"$ref\":\"#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString\"}");
    check(json_object_get(json_object_get(definitions, TYPE "ServicePort"), "required"), "[\"port\"]");
    check(property_of(definitions, TYPE "ConfigMap", "binaryData"),
          "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"format\":\"byte\"}}");
    check(property_of(definitions, TYPE "PodSpec", "volumes"),
          "{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/io.k8s.api.core.v1.Volume\"},"
          "\"x-kubernetes-list-map-keys\":[\"name\"],\"x-kubernetes-list-type\":\"map\","
          "\"x-kubernetes-patch-merge-key\":\"name\",\"x-kubernetes-patch-strategy\":\"merge,retainKeys\"}");
    check(property_of(definitions, TYPE "ResourceRequirements", "limits"),
          "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":"
          "\"#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity\"}}");
    check(json_object_get(json_object_get(definitions, TYPE "Service"), "x-kubernetes-group-version-kind"),
          "[{\"group\":\"\",\"kind\":\"Service\",\"version\":\"v1\"}]");
    check(json_object_get(json_object_get(definitions, TYPE "ServiceList"), "required"), "[\"items\"]");
    check(json_object_get(definitions, "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
          "{\"type\":\"string\",\"format\":\"int-or-string\"}");
    check(json_object_get(definitions, META "Time"), "{\"type\":\"string\",\"format\":\"date-time\"}");
    assert_string_equal(json_string_value(json_object_get(
                            json_object_get(definitions, TYPE "ObjectReference"), "x-kubernetes-map-type")),
                        "atomic");
    assert_non_null(property_of(definitions, TYPE "Service", "apiVersion"));
    assert_non_null(json_object_get(definitions, "io.k8s.api.events.v1.Event"));
    json_decref(tree);
}

static void test_version_3(void **state)
{
    json_t *tree = tree_v3("");
    const json_t *schemas = json_object_get(json_object_get(tree, "components"), "schemas");
    check(json_object_get(schemas, "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
          "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"format\":\"int-or-string\"}");
    /* What is said of a field stands beside the reference, not in it. */
    check(property_of(schemas, META "Status", "details"),
          "{\"allOf\":[{\"$ref\":\"#/components/schemas/" META "StatusDetails\"}]}");
    assert_null(json_object_get(schemas, "io.k8s.api.discovery.v1.EndpointSlice"));
    json_decref(tree);
    struct openapi_document document;
    assert_false(openapi_v3("apps", "v1", OPENAPI_JSON, &document));
    assert_false(openapi_v3("", "v2", OPENAPI_JSON, &document));
}

/* Walks everything: what is referred to is there. */
static void check_references(const json_t *value, const json_t *definitions)
{
    const char *key;
    json_t *item;
    size_t i;
    json_array_foreach(value, i, item) check_references(item, definitions);
    json_object_foreach((json_t *)value, key, item)
    {
        if (strcmp(key, "$ref") == 0 && json_is_string(item) &&
            !json_object_get(definitions, strrchr(json_string_value(item), '/') + 1))
            fail_msg("%s: is not there", json_string_value(item));
        check_references(item, definitions);
    }
}

static void test_references(void **state)
{
    json_t *tree = tree_v2();
    check_references(tree, json_object_get(tree, "definitions"));
    json_decref(tree);
    for (size_t i = 0; i < resource_count; i++) {
        tree = tree_v3(resources[i].group);
        check_references(tree, json_object_get(json_object_get(tree, "components"), "schemas"));
        json_decref(tree);
    }
}

static bool has_parameter(const json_t *operation, const char *name)
{
    size_t i;
    json_t *parameter;
    json_array_foreach(json_object_get(operation, "parameters"), i,
                       parameter) if (strcmp(json_string_value(json_object_get(parameter, "name")), name) ==
                                      0) return true;
    return false;
}

static void check_patch(const json_t *operation, const char *id, const char *kind)
{
    assert_string_equal(json_string_value(json_object_get(operation, "operationId")), id);
    assert_string_equal(json_string_value(json_object_get(operation, "x-kubernetes-action")), "patch");
    check(json_object_get(operation, "x-kubernetes-group-version-kind"), kind);
    /* What kubectl looks for before it asks the server to validate, or to do without doing. */
    assert_true(has_parameter(operation, "fieldValidation"));
    assert_true(has_parameter(operation, "dryRun"));
    assert_true(has_parameter(operation, "fieldManager"));
    assert_true(has_parameter(operation, "force"));
    assert_false(has_parameter(operation, "watch"));
}

static void test_paths(void **state)
{
    json_t *trees[] = {tree_v2(), tree_v3("")};
    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        const json_t *paths = json_object_get(trees[i], "paths");
        const json_t *item = json_object_get(paths, "/api/v1/namespaces/{namespace}/services/{name}");
        check_patch(json_object_get(item, "patch"), "patchCoreV1NamespacedService",
                    "{\"group\":\"\",\"kind\":\"Service\",\"version\":\"v1\"}");
        assert_non_null(json_object_get(item, "delete"));
        assert_null(json_object_get(item, "post"));
        item = json_object_get(paths, "/api/v1/namespaces/{name}/status");
        check_patch(json_object_get(item, "patch"), "patchCoreV1NamespaceStatus",
                    "{\"group\":\"\",\"kind\":\"Namespace\",\"version\":\"v1\"}");
        assert_null(json_object_get(item, "delete"));
        item = json_object_get(paths, "/api/v1/namespaces/{name}/finalize");
        assert_int_equal(json_object_size(item), 2); /* put and parameters */
        assert_null(json_object_get(json_object_get(paths, "/api/v1/namespaces"), "delete"));
        item = json_object_get(json_object_get(paths, "/api/v1/services"), "get");
        assert_string_equal(json_string_value(json_object_get(item, "operationId")),
                            "listCoreV1ServiceForAllNamespaces");
        assert_true(has_parameter(item, "sendInitialEvents"));
        item = json_object_get(json_object_get(paths, "/api/v1/namespaces/{namespace}/pods"), "delete");
        assert_string_equal(json_string_value(json_object_get(item, "operationId")),
                            "deleteCoreV1CollectionNamespacedPod");
        json_decref(trees[i]);
    }
}

static void test_index(void **state)
{
    struct openapi_document index = openapi_v3_index(), document;
    json_t *tree = parse(&index);
    const json_t *paths = json_object_get(tree, "paths");
    assert_int_equal(json_object_size(paths), 5);
    assert_true(openapi_v3("discovery.k8s.io", "v1", OPENAPI_JSON, &document));
    struct text link = {0};
    text_printf(&link, "/openapi/v3/apis/discovery.k8s.io/v1?hash=%s", document.etag);
    assert_string_equal(json_string_value(json_object_get(json_object_get(paths, "apis/discovery.k8s.io/v1"),
                                                          "serverRelativeURL")),
                        link.data);
    text_done(&link);
    json_decref(tree);
}

static void test_protobuf_v2(void **state)
{
    struct openapi_document document = openapi_v2(OPENAPI_PROTOBUF);
    OpenapiV2__Document *message =
        openapi_v2__document__unpack(NULL, document.body->len, (const uint8_t *)document.body->data);
    assert_non_null(message);
    assert_string_equal(message->swagger, "2.0");
    json_t *tree = tree_v2();
    assert_int_equal(message->paths->n_path, json_object_size(json_object_get(tree, "paths")));
    assert_int_equal(message->definitions->n_additionalproperties,
                     json_object_size(json_object_get(tree, "definitions")));
    json_decref(tree);

    const OpenapiV2__PathItem *item = NULL;
    for (size_t i = 0; i < message->paths->n_path; i++)
        if (strcmp(message->paths->path[i]->name, "/api/v1/namespaces/{namespace}/services/{name}") == 0)
            item = message->paths->path[i]->value;
    assert_non_null(item);
    assert_int_equal(item->n_parameters, 3);
    assert_string_equal(item->parameters[0]->parameter->nonbody->path->name, "name");
    const OpenapiV2__Operation *patch = item->patch;
    assert_string_equal(patch->parameters[0]->parameter->body->schema->_ref, "#/definitions/" META "Patch");
    assert_string_equal(patch->parameters[1]->parameter->nonbody->query->name, "dryRun");
    assert_string_equal(patch->parameters[1]->parameter->nonbody->query->type, "string");
    assert_int_equal(patch->n_vendorextension, 2);
    assert_string_equal(patch->responses->responsecode[0]->value->response->schema->schema->_ref,
                        "#/definitions/" TYPE "Service");

    const OpenapiV2__Schema *port = NULL;
    for (size_t i = 0; i < message->definitions->n_additionalproperties; i++)
        if (strcmp(message->definitions->additionalproperties[i]->name, TYPE "ServicePort") == 0)
            port = message->definitions->additionalproperties[i]->value;
    assert_non_null(port);
    assert_string_equal(port->type->value[0], "object");
    assert_string_equal(port->required[0], "port");
    assert_int_equal(port->properties->n_additionalproperties, 6);
    openapi_v2__document__free_unpacked(message, NULL);
}

static void test_protobuf_v3(void **state)
{
    struct openapi_document document;
    assert_true(openapi_v3("discovery.k8s.io", "v1", OPENAPI_PROTOBUF, &document));
    OpenapiV3__Document *message =
        openapi_v3__document__unpack(NULL, document.body->len, (const uint8_t *)document.body->data);
    assert_non_null(message);
    assert_string_equal(message->openapi, "3.0.0");
    const OpenapiV3__Schema *slice = NULL;
    for (size_t i = 0; i < message->components->schemas->n_additionalproperties; i++)
        if (strcmp(message->components->schemas->additionalproperties[i]->name,
                   "io.k8s.api.discovery.v1.EndpointSlice") == 0)
            slice = message->components->schemas->additionalproperties[i]->value->schema;
    assert_non_null(slice);
    assert_int_equal(slice->n_specificationextension, 1);
    assert_string_equal(slice->specificationextension[0]->value->yaml,
                        "[{\"group\":\"discovery.k8s.io\",\"kind\":\"EndpointSlice\",\"version\":\"v1\"}]");
    assert_int_equal(message->paths->n_path, 3);
    const OpenapiV3__NamedSchemaOrReference *endpoints = NULL;
    for (size_t i = 0; i < slice->properties->n_additionalproperties; i++)
        if (strcmp(slice->properties->additionalproperties[i]->name, "endpoints") == 0)
            endpoints = slice->properties->additionalproperties[i];
    assert_non_null(endpoints);
    const OpenapiV3__SchemaOrReference *item = endpoints->value->schema->items->schemaorreference[0];
    assert_int_equal(item->alternative_case, OPENAPI_V3__SCHEMA_OR_REFERENCE__ALTERNATIVE_REFERENCE);
    assert_string_equal(item->reference->_ref, "#/components/schemas/io.k8s.api.discovery.v1.Endpoint");
    openapi_v3__document__free_unpacked(message, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions), cmocka_unit_test(test_version_3),
        cmocka_unit_test(test_references),  cmocka_unit_test(test_paths),
        cmocka_unit_test(test_index),       cmocka_unit_test(test_protobuf_v2),
        cmocka_unit_test(test_protobuf_v3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
