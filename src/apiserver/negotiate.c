/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/negotiate.h"

#include "api/wire.h"
#include "apiserver/accept.h"
#include "base/cleanup.h"

#include <assert.h>
#include <string.h>

static bool media_parse(const char *type, enum media *ret)
{
    static const struct {
        const char *type;
        enum media media;
    } types[] = {
        {"application/json", MEDIA_JSON},
        {"application/yaml", MEDIA_YAML},
        {WIRE_PROTOBUF_TYPE, MEDIA_PROTOBUF},
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcasecmp(types[i].type, type) == 0) {
            *ret = types[i].media;
            return true;
        }
    }
    return false;
}

#define JSON "application/json"
#define YAML "application/yaml"
#define META "meta.k8s.io"

/* What can be given, side by side with what it means. The first PLAIN_OFFERS are of an object as it is. */
#define PLAIN_OFFERS 3
static const struct accept_offer offers[] = {
    {JSON, NULL, NULL, NULL},
    {YAML, NULL, NULL, NULL},
    {WIRE_PROTOBUF_TYPE, NULL, NULL, NULL},
    {JSON, META, "v1", "Table"},
    {YAML, META, "v1", "Table"},
    {JSON, META, "v1beta1", "Table"},
    {JSON, META, "v1", "PartialObjectMetadata"},
    {JSON, META, "v1", "PartialObjectMetadataList"},
};
static const struct accepted meanings[] = {
    {MEDIA_JSON, FORM_OBJECT, false},     {MEDIA_YAML, FORM_OBJECT, false},
    {MEDIA_PROTOBUF, FORM_OBJECT, false}, {MEDIA_JSON, FORM_TABLE, false},
    {MEDIA_YAML, FORM_TABLE, false},      {MEDIA_JSON, FORM_TABLE, true},
    {MEDIA_JSON, FORM_METADATA, false},   {MEDIA_JSON, FORM_METADATA, false},
};
static_assert(ARRAY_LEN(offers) == ARRAY_LEN(meanings), "one meaning for each offer");

bool accept_parse(const char *header, bool allows_form, struct accepted *ret)
{
    int chosen = accept_choose(header, offers, allows_form ? ARRAY_LEN(offers) : PLAIN_OFFERS);
    if (chosen >= 0)
        *ret = meanings[chosen];
    return chosen >= 0;
}

/* The type without its parameters. */
static const char *bare_type(const char *header, struct arena *arena)
{
    const char *from = header + strspn(header, " \t");
    return arena_strndup(arena, from, strcspn(from, "; \t"));
}

bool content_type_parse(const char *header, struct arena *arena, enum media *ret)
{
    *ret = MEDIA_JSON;
    return !header || !*header || media_parse(bare_type(header, arena), ret);
}

bool patch_type_parse(const char *header, struct arena *arena, enum patch_type *ret)
{
    static const struct {
        const char *type;
        enum patch_type patch;
    } types[] = {
        {"application/json-patch+json", PATCH_JSON},
        {"application/merge-patch+json", PATCH_MERGE},
        {"application/strategic-merge-patch+json", PATCH_STRATEGIC},
        {"application/apply-patch+yaml", PATCH_APPLY},
    };
    const char *type = header ? bare_type(header, arena) : "";
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcasecmp(types[i].type, type) == 0) {
            *ret = types[i].patch;
            return true;
        }
    }
    return false;
}

const char *media_type(enum media media, bool is_watch)
{
    switch (media) {
    case MEDIA_JSON:
        break;
    case MEDIA_YAML:
        return "application/yaml";
    case MEDIA_PROTOBUF:
        return is_watch ? WIRE_PROTOBUF_TYPE ";stream=watch" : WIRE_PROTOBUF_TYPE;
    }
    return "application/json";
}
