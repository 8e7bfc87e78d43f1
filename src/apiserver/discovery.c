/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/discovery.h"

#include "api/events.pb-c.h"
#include "apiserver/accept.h"
#include "apiserver/digest.h"
#include "apiserver/openapi.h"
#include "base/arena.h"
#include "base/cleanup.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_NAMES ((const char *const[]){NULL})
#define CORE "", "v1", "v1"

/* Facts of k8s.io/kubernetes api/discovery. */
const struct resource resources[] = {
    {API_CONFIG_MAP, CORE, "configmaps", "configmap", NAMES("cm"), NO_NAMES, NO_NAMES, true},
    {API_ENDPOINTS, CORE, "endpoints", "endpoints", NAMES("ep"), NO_NAMES, NO_NAMES, true},
    {API_EVENT, CORE, "events", "event", NAMES("ev"), NO_NAMES, NO_NAMES, true},
    {API_NAMESPACE, CORE, "namespaces", "namespace", NAMES("ns"), NO_NAMES, NAMES("finalize", "status"),
     false},
    {API_NODE, CORE, "nodes", "node", NAMES("no"), NO_NAMES, NAMES("status"), false},
    {API_POD, CORE, "pods", "pod", NAMES("po"), NAMES("all"), NAMES("status"), true},
    {API_SERVICE, CORE, "services", "service", NAMES("svc"), NAMES("all"), NAMES("status"), true},
    {API_EVENT, "events.k8s.io", "v1", "events.k8s.io/v1", "events", "event", NAMES("ev"), NO_NAMES, NO_NAMES,
     true},
    {API_SERVICE_CIDR, "networking.k8s.io", "v1", "networking.k8s.io/v1", "servicecidrs", "servicecidr",
     NO_NAMES, NO_NAMES, NAMES("status"), false},
    {API_LEASE, "coordination.k8s.io", "v1", "coordination.k8s.io/v1", "leases", "lease", NO_NAMES, NO_NAMES,
     NO_NAMES, true},
    {API_ENDPOINT_SLICE, "discovery.k8s.io", "v1", "discovery.k8s.io/v1", "endpointslices", "endpointslice",
     NO_NAMES, NO_NAMES, NO_NAMES, true},
};
const size_t resource_count = ARRAY_LEN(resources);

const struct resource *resource_find(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < resource_count; i++)
        if (text_equal(resources[i].plural, plural) && text_equal(resources[i].group, group) &&
            text_equal(resources[i].version, version))
            return &resources[i];
    return NULL;
}

const char *const *resource_verbs(const struct resource *resource, const char *subresource)
{
    static const char *const all[] = {
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", NULL};
    static const char *const single[] = {"create", "delete", "get", "list", "patch", "update", "watch", NULL};
    static const char *const status[] = {"get", "patch", "update", NULL};
    static const char *const finalize[] = {"update", NULL};
    if (subresource)
        return strcmp(subresource, "finalize") == 0 ? finalize : status;
    return resource->kind == API_NAMESPACE ? single : all;
}

const ProtobufCMessageDescriptor *resource_type(const struct resource *resource)
{
    if (resource->kind == API_EVENT && *resource->group)
        return &events__event__descriptor;
    return api_kind_info(resource->kind)->type;
}

static json_t *string_list(const char *const *strings)
{
    json_t *list = json_array();
    for (size_t i = 0; strings[i]; i++)
        json_array_append_new(list, json_string(strings[i]));
    return list;
}

static void add_names(json_t *object, const char *key, const char *const *names)
{
    if (names[0])
        json_object_set_new(object, key, string_list(names));
}

/* Which stored form it has, opaque to clients: upstream's StorageVersionHash, so that theirs and ours agree.
 */
static json_t *storage_version_hash(const struct resource *resource)
{
    const struct api_kind_info *info = api_kind_info(resource->kind);
    struct text what = {0};
    text_printf(&what, "%s/%s/%s", info->group, info->version, info->name);
    uint8_t digest[32];
    digest_sha256(what.data, what.len, digest);
    text_done(&what);
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char encoded[13] = "";
    for (size_t i = 0; i < 11; i++) {
        unsigned bits = (unsigned)digest[i * 6 / 8] << 8 | (i < 10 ? digest[i * 6 / 8 + 1] : 0);
        encoded[i] = letters[bits >> (10 - i * 6 % 8) & 63];
    }
    encoded[11] = '=';
    return json_string(encoded);
}

static json_t *resource_entry(const struct resource *resource, const char *subresource)
{
    struct text name = {0};
    text_printf(&name, "%s%s%s", resource->plural, subresource ? "/" : "", subresource ? subresource : "");
    json_t *entry =
        json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name.data, "singularName",
                  subresource ? "" : resource->singular, "namespaced", resource->is_namespaced, "kind",
                  api_kind_name(resource->kind), "verbs", string_list(resource_verbs(resource, subresource)));
    text_done(&name);
    if (!subresource) {
        add_names(entry, "shortNames", resource->short_names);
        add_names(entry, "categories", resource->categories);
        json_object_set_new(entry, "storageVersionHash", storage_version_hash(resource));
    }
    return entry;
}

/* NULL when nothing has this group and version. */
static json_t *resource_list(const char *group_version)
{
    json_t *entries = json_array();
    for (size_t i = 0; i < resource_count; i++) {
        if (strcmp(resources[i].group_version, group_version) != 0)
            continue;
        json_array_append_new(entries, resource_entry(&resources[i], NULL));
        for (size_t j = 0; resources[i].subresources[j]; j++)
            json_array_append_new(entries, resource_entry(&resources[i], resources[i].subresources[j]));
    }
    if (json_array_size(entries) == 0) {
        json_decref(entries);
        return NULL;
    }
    json_t *list = json_pack("{s:s}", "kind", "APIResourceList");
    /* The core group's list is older than the field. */
    if (strchr(group_version, '/'))
        json_object_set_new(list, "apiVersion", json_string("v1"));
    json_object_set_new(list, "groupVersion", json_string(group_version));
    json_object_set_new(list, "resources", entries);
    return list;
}

/* Whether it is the first resource of its group: there is one version of each. */
static bool opens_group(size_t index)
{
    return index == 0 || strcmp(resources[index - 1].group, resources[index].group) != 0;
}

static json_t *group_entry(const struct resource *resource)
{
    json_t *version =
        json_pack("{s:s, s:s}", "groupVersion", resource->group_version, "version", resource->version);
    return json_pack("{s:s, s:[O], s:o}", "name", resource->group, "versions", version, "preferredVersion",
                     version);
}

static json_t *group_list(void)
{
    json_t *groups = json_array();
    for (size_t i = 0; i < resource_count; i++)
        if (*resources[i].group && opens_group(i))
            json_array_append_new(groups, group_entry(&resources[i]));
    return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", groups);
}

static json_t *group_document(const char *group)
{
    for (size_t i = 0; *group && i < resource_count; i++) {
        if (strcmp(resources[i].group, group) != 0)
            continue;
        json_t *document = json_pack("{s:s, s:s}", "kind", "APIGroup", "apiVersion", "v1");
        json_t *entry = group_entry(&resources[i]);
        json_object_update(document, entry);
        json_decref(entry);
        return document;
    }
    return NULL;
}

static json_t *core_versions(const char *server_address)
{
    json_t *address = json_pack("{s:s, s:s}", "clientCIDR", "0.0.0.0/0", "serverAddress",
                                server_address ? server_address : "");
    return json_pack("{s:s, s:[s], s:[o]}", "kind", "APIVersions", "versions", "v1",
                     "serverAddressByClientCIDRs", address);
}

/* Group and version stay empty in a responseKind: they are the resource's own. */
static json_t *response_kind(const struct resource *resource)
{
    return json_pack("{s:s, s:s, s:s}", "group", "", "version", "", "kind", api_kind_name(resource->kind));
}

static json_t *aggregated_resource(const struct resource *resource)
{
    json_t *entry = json_pack("{s:s, s:o, s:s, s:s, s:o}", "resource", resource->plural, "responseKind",
                              response_kind(resource), "scope",
                              resource->is_namespaced ? "Namespaced" : "Cluster", "singularResource",
                              resource->singular, "verbs", string_list(resource_verbs(resource, NULL)));
    add_names(entry, "shortNames", resource->short_names);
    add_names(entry, "categories", resource->categories);
    json_t *children = json_array();
    for (size_t i = 0; resource->subresources[i]; i++) {
        const char *name = resource->subresources[i];
        json_array_append_new(children, json_pack("{s:s, s:o, s:o}", "subresource", name, "responseKind",
                                                  response_kind(resource), "verbs",
                                                  string_list(resource_verbs(resource, name))));
    }
    if (json_array_size(children) > 0)
        json_object_set(entry, "subresources", children);
    json_decref(children);
    return entry;
}

/* KEP-3352: everything in one answer, the core group at /api and the others at /apis. */
static json_t *aggregated_list(bool is_core, const char *version)
{
    json_t *items = json_array(), *entries = NULL;
    for (size_t i = 0; i < resource_count; i++) {
        const struct resource *resource = &resources[i];
        if (is_core == (*resource->group != '\0'))
            continue;
        if (opens_group(i)) {
            json_t *metadata = json_object();
            if (*resource->group)
                json_object_set_new(metadata, "name", json_string(resource->group));
            entries = json_array();
            json_array_append_new(items, json_pack("{s:o, s:[{s:s, s:o, s:s}]}", "metadata", metadata,
                                                   "versions", "version", resource->version, "resources",
                                                   entries, "freshness", "Current"));
        }
        json_array_append_new(entries, aggregated_resource(resource));
    }
    struct text api_version = {0};
    text_printf(&api_version, "apidiscovery.k8s.io/%s", version);
    json_t *list = json_pack("{s:s, s:s, s:{}, s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
                             api_version.data, "metadata", "items", items);
    text_done(&api_version);
    return list;
}

static json_t *version_document(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", KUBERNETES_MAJOR, "minor",
                     KUBERNETES_MINOR, "gitVersion", KUBERNETES_VERSION "+fairlead." FAIRLEAD_VERSION,
                     "gitCommit", "", "gitTreeState", "", "buildDate", "1970-01-01T00:00:00Z", "goVersion",
                     "", "compiler", "cc", "platform", "linux");
}

/* Takes the tree; false for NULL. */
static bool answer_tree(json_t *tree, struct discovery_answer *ret)
{
    if (!tree)
        return false;
    cleanup_free char *body = json_dumps(tree, JSON_COMPACT);
    json_decref(tree);
    *ret = (struct discovery_answer){.content_type = "application/json"};
    text_add(&ret->body, body ? body : "{}");
    return true;
}

/* /api and /apis: plain, or aggregated for who asks for that. */
static bool answer_root(bool is_core, const char *accept, const char *server_address,
                        struct discovery_answer *ret)
{
    static const struct accept_offer offers[] = {
        {"application/json", NULL, NULL, NULL},
        {"application/json", "apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList"},
        {"application/json", "apidiscovery.k8s.io", "v2beta1", "APIGroupDiscoveryList"},
    };
    static const char *const types[] = {
        NULL, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"};
    int form = accept_choose(accept, offers, ARRAY_LEN(offers));
    if (form <= 0)
        return answer_tree(is_core ? core_versions(server_address) : group_list(), ret);
    answer_tree(aggregated_list(is_core, offers[form].version), ret);
    ret->content_type = types[form];
    digest_hex(ret->body.data, ret->body.len, ret->etag);
    return true;
}

static void answer_document(const struct openapi_document *document, const char *type,
                            struct discovery_answer *ret)
{
    *ret = (struct discovery_answer){.content_type = type};
    text_add_bytes(&ret->body, document->body->data, document->body->len);
    snprintf(ret->etag, sizeof(ret->etag), "%s", document->etag);
}

/* Both spellings of the protobuf form are asked for, one is answered, as upstream does. */
#define OPENAPI_OFFERS(version)                                                                              \
    {                                                                                                        \
        {"application/json", NULL, NULL, NULL},                                                              \
            {"application/com.github.proto-openapi.spec." version ".v1.0+protobuf", NULL, NULL, NULL},       \
            {"application/com.github.proto-openapi.spec." version "@v1.0+protobuf", NULL, NULL, NULL},       \
    }

static void answer_openapi_v2(const char *accept, struct discovery_answer *ret)
{
    static const struct accept_offer offers[] = OPENAPI_OFFERS("v2");
    bool is_protobuf = accept_choose(accept, offers, ARRAY_LEN(offers)) > 0;
    struct openapi_document document = openapi_v2(is_protobuf ? OPENAPI_PROTOBUF : OPENAPI_JSON);
    answer_document(&document, offers[is_protobuf].type, ret);
}

/* rest: what follows /openapi/v3, "" or "/api/v1" or "/apis/G/V". */
static bool answer_openapi_v3(const char *rest, const char *accept, struct discovery_answer *ret)
{
    static const struct accept_offer offers[] = OPENAPI_OFFERS("v3");
    struct openapi_document document;
    if (!*rest || strcmp(rest, "/") == 0) {
        document = openapi_v3_index();
        answer_document(&document, offers[0].type, ret);
        return true;
    }
    bool is_protobuf = accept_choose(accept, offers, ARRAY_LEN(offers)) > 0;
    enum openapi_form form = is_protobuf ? OPENAPI_PROTOBUF : OPENAPI_JSON;
    char group[64] = "", version[16] = "";
    int end = 0;
    if (sscanf(rest, "/apis/%63[^/]/%15[^/]%n", group, version, &end) != 2 &&
        sscanf(rest, "/api/%15[^/]%n", version, &end) != 1)
        return false;
    if (rest[end] || !openapi_v3(group, version, form, &document))
        return false;
    answer_document(&document, offers[is_protobuf].type, ret);
    return true;
}

bool discovery_answer(const char *path, const char *accept, const char *server_address,
                      struct discovery_answer *ret)
{
    static const char api[] = "/api/", apis[] = "/apis/", openapi[] = "/openapi/v3";
    if (strcmp(path, "/version") == 0)
        return answer_tree(version_document(), ret);
    if (strcmp(path, "/api") == 0 || strcmp(path, api) == 0)
        return answer_root(true, accept, server_address, ret);
    if (strcmp(path, "/apis") == 0 || strcmp(path, apis) == 0)
        return answer_root(false, accept, server_address, ret);
    if (strcmp(path, "/openapi/v2") == 0) {
        answer_openapi_v2(accept, ret);
        return true;
    }
    if (strncmp(path, openapi, strlen(openapi)) == 0)
        return answer_openapi_v3(path + strlen(openapi), accept, ret);
    if (strncmp(path, api, strlen(api)) == 0)
        return answer_tree(strchr(path + strlen(api), '/') ? NULL : resource_list(path + strlen(api)), ret);
    if (strncmp(path, apis, strlen(apis)) == 0) {
        const char *rest = path + strlen(apis);
        return answer_tree(strchr(rest, '/') ? resource_list(rest) : group_document(rest), ret);
    }
    return false;
}
