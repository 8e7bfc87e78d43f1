/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/openapi.h"

#include "apiserver/digest.h"
#include "apiserver/gnostic.h"
#include "apiserver/openapi_parts.h"
#include "apiserver/openapi_v2.pb-c.h"
#include "apiserver/openapi_v3.pb-c.h"
#include "base/arena.h"
#include "base/cleanup.h"

#include <assert.h>
#include <string.h>

/* Both forms of a document, empty until they are made. */
struct made {
    struct text json, protobuf;
    char etag[65];
};

static struct text made_index;
static char made_index_etag[65];
static struct made made_v2;
/* One for each group and version, at the index of its first resource. */
#define RESOURCES_MAX 16
static struct made made_v3[RESOURCES_MAX];

/* Takes the document. */
static void finish(struct made *made, json_t *document, const ProtobufCMessageDescriptor *type)
{
    cleanup_free char *json = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    assert(json);
    text_add(&made->json, json);
    digest_hex(made->json.data, made->json.len, made->etag);
    gnostic_pack(document, type, &made->protobuf);
    json_decref(document);
}

static struct openapi_document form_of(const struct made *made, enum openapi_form form)
{
    return (struct openapi_document){form == OPENAPI_JSON ? &made->json : &made->protobuf, made->etag};
}

static json_t *document_info(void)
{
    return json_pack("{s:s, s:s}", "title", "Kubernetes", "version", KUBERNETES_VERSION);
}

struct openapi_document openapi_v2(enum openapi_form form)
{
    if (made_v2.json.len == 0) {
        json_t *definitions = json_object(), *paths = json_object();
        openapi_define_common(definitions, OPENAPI_V2, NULL);
        for (size_t i = 0; i < resource_count; i++) {
            openapi_define_resource(definitions, OPENAPI_V2, &resources[i]);
            openapi_add_paths(paths, OPENAPI_V2, &resources[i]);
        }
        json_t *document = json_pack("{s:s, s:o, s:o, s:o}", "swagger", "2.0", "info", document_info(),
                                     "paths", paths, "definitions", definitions);
        finish(&made_v2, document, &openapi_v2__document__descriptor);
    }
    return form_of(&made_v2, form);
}

/* The resources of a group and version stand together in the table, first being the first of them. */
static const struct made *group_document(size_t first)
{
    const char *group_version = resources[first].group_version;
    struct made *made = &made_v3[first];
    if (made->json.len > 0)
        return made;
    json_t *definitions = json_object(), *paths = json_object();
    openapi_define_common(definitions, OPENAPI_V3, group_version);
    for (size_t i = first; i < resource_count && strcmp(resources[i].group_version, group_version) == 0;
         i++) {
        openapi_define_resource(definitions, OPENAPI_V3, &resources[i]);
        openapi_add_paths(paths, OPENAPI_V3, &resources[i]);
    }
    json_t *document = json_pack("{s:s, s:o, s:o, s:{s:o}}", "openapi", "3.0.0", "info", document_info(),
                                 "paths", paths, "components", "schemas", definitions);
    finish(made, document, &openapi_v3__document__descriptor);
    return made;
}

static bool is_first(size_t index)
{
    assert(resource_count <= RESOURCES_MAX);
    return index == 0 || strcmp(resources[index - 1].group_version, resources[index].group_version) != 0;
}

struct openapi_document openapi_v3_index(void)
{
    if (made_index.len == 0) {
        json_t *paths = json_object();
        for (size_t i = 0; i < resource_count; i++) {
            if (!is_first(i))
                continue;
            struct text path = {0}, link = {0};
            text_printf(&path, "%s/%s", *resources[i].group ? "apis" : "api", resources[i].group_version);
            text_printf(&link, "/openapi/v3/%s?hash=%s", path.data, group_document(i)->etag);
            json_object_set_new(paths, path.data, json_pack("{s:s}", "serverRelativeURL", link.data));
            text_done(&path);
            text_done(&link);
        }
        json_t *index = json_pack("{s:o}", "paths", paths);
        cleanup_free char *json = json_dumps(index, JSON_COMPACT | JSON_SORT_KEYS);
        json_decref(index);
        assert(json);
        text_add(&made_index, json);
        digest_hex(made_index.data, made_index.len, made_index_etag);
    }
    return (struct openapi_document){&made_index, made_index_etag};
}

bool openapi_v3(const char *group, const char *version, enum openapi_form form, struct openapi_document *ret)
{
    for (size_t i = 0; i < resource_count; i++)
        if (is_first(i) && strcmp(resources[i].group, group) == 0 &&
            strcmp(resources[i].version, version) == 0) {
            *ret = form_of(group_document(i), form);
            return true;
        }
    return false;
}
