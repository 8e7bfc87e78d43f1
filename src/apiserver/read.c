/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/read.h"

#include "api/base64.h"
#include "api/wire.h"
#include "api/wire_format.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool sieve_parse(const struct target *target, const struct query *query, struct arena *arena,
                 struct sieve *ret, struct status *ret_status)
{
    struct err err;
    *ret = (struct sieve){
        .kind = target->resource->kind, .namespace_ = target->namespace_, .name = target->name};
    if (*query->label_selector &&
        label_selector_parse(query->label_selector, arena, &ret->labels, &err) < 0) {
        status_bad_request(ret_status, arena_strdup(arena, err.text));
        return false;
    }
    if (*query->field_selector &&
        field_selector_parse(query->field_selector, ret->kind, arena, &ret->fields, &err) < 0) {
        status_bad_request(ret_status, arena_strdup(arena, err.text));
        return false;
    }
    const char *name = ret->fields ? field_selector_name(ret->fields) : NULL;
    if (name && !*ret->name)
        ret->name = name;
    return true;
}

bool sieve_has_selectors(const struct sieve *sieve)
{
    return sieve->labels || sieve->fields;
}

/* Metadata is the first field of every kind: api/object.c asserts it. */
static const Meta__ObjectMeta *decode_metadata(const struct registry_object *object, struct arena *arena)
{
    struct wire_reader reader = {object->data, object->data + object->len};
    struct wire_item item;
    bool is_bad;
    if (!wire_next(&reader, &item, &is_bad) || item.number != 1 || item.type != WIRE_LENGTH)
        return api_metadata(registry_decode(object, arena));
    return (const Meta__ObjectMeta *)wire_unpack_own(&meta__object_meta__descriptor, item.bytes, item.len,
                                                     arena, NULL);
}

bool sieve_passes(const struct sieve *sieve, const struct registry_object *object, struct arena *scratch)
{
    if (*sieve->namespace_ && strcmp(sieve->namespace_, object->namespace_) != 0)
        return false;
    if (*sieve->name && strcmp(sieve->name, object->name) != 0)
        return false;
    if (sieve->labels) {
        const Meta__ObjectMeta *metadata = decode_metadata(object, scratch);
        if (!label_selector_matches(sieve->labels, metadata->labels, metadata->n_labels))
            return false;
    }
    return !sieve->fields || field_selector_matches(sieve->fields, registry_decode(object, scratch));
}

/* Keeps those that pass, in place; the others are let go. */
static size_t sift(const struct sieve *sieve, const struct registry_object **list, size_t count)
{
    struct arena arena;
    size_t kept = 0;
    arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        if (sieve_passes(sieve, list[i], &arena))
            list[kept++] = list[i];
        else
            registry_unref(list[i]);
        arena_reset(&arena);
    }
    arena_done(&arena);
    return kept;
}

void read_selected(const struct registry *registry, const struct sieve *sieve,
                   const struct registry_object ***ret, size_t *ret_count)
{
    const struct registry_query query = {.kind = sieve->kind,
                                         .namespace_ = *sieve->namespace_ ? sieve->namespace_ : NULL};
    size_t remaining;
    *ret = NULL;
    *ret_count = 0;
    if (registry_list(registry, &query, 0, ret, ret_count, &remaining) == 0)
        *ret_count = sift(sieve, *ret, *ret_count);
}

bool read_get(const struct world *world, const struct target *target, const struct presentation *how,
              struct arena *arena, struct text *ret, struct status *ret_status)
{
    const struct registry_object *object =
        registry_get(world->registry, target->resource->kind, target->namespace_, target->name);
    struct status_subject subject = target_subject(target);
    if (!object) {
        status_not_found(ret_status, arena, &subject);
        return false;
    }
    present_object(how, registry_decode(object, arena), object, ret);
    return true;
}

bool read_revision(const char *text, uint64_t *ret, struct arena *arena, struct status *ret_status)
{
    char *end;
    *ret = 0;
    if (!*text)
        return true;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9') {
        status_bad_request(
            ret_status, arena_printf(arena,
                                     "invalid resource version: resourceVersion: Invalid value: \"%.64s\": "
                                     "strconv.ParseUint: parsing \"%.64s\": invalid syntax",
                                     text, text));
        return false;
    }
    *ret = number;
    return true;
}

/* Where the next page begins, and the revision that all pages show: base64 of
 * {"rv":N,"namespace":"..","name":".."}. */
static const char *continue_format(struct arena *arena, uint64_t revision, const struct registry_object *last)
{
    struct text token = {0};
    json_t *tree = json_pack("{s:I,s:s,s:s}", "rv", (json_int_t)revision, "namespace", last->namespace_,
                             "name", last->name);
    char *json = json_dumps(tree, JSON_COMPACT);
    base64_add(&token, (const uint8_t *)json, strlen(json));
    const char *ret = arena_strdup(arena, text_str(&token));
    text_done(&token);
    free(json);
    json_decref(tree);
    return ret;
}

static bool continue_parse(const char *token, struct arena *arena, struct registry_query *ret,
                           struct status *ret_status)
{
    uint8_t *bytes;
    size_t len;
    json_t *tree = NULL;
    const char *namespace_ = NULL, *name = NULL;
    if (base64_parse(token, arena, &bytes, &len))
        tree = json_loadb((const char *)bytes, len, 0, NULL);
    namespace_ = json_string_value(json_object_get(tree, "namespace"));
    name = json_string_value(json_object_get(tree, "name"));
    json_int_t revision = json_integer_value(json_object_get(tree, "rv"));
    bool is_good = namespace_ && name && revision > 0;
    if (is_good) {
        ret->after_namespace = arena_strdup(arena, namespace_);
        ret->after_name = arena_strdup(arena, name);
        ret->revision = (uint64_t)revision;
    } else {
        status_bad_request(ret_status, "continue key is not valid: it was not given by this server");
    }
    json_decref(tree);
    return is_good;
}

bool read_is_reached(const struct registry *registry, uint64_t revision, struct arena *arena,
                     struct status *ret_status)
{
    static const struct fault cause = {.reason = "ResourceVersionTooLarge",
                                       .message = "Too large resource version"};
    uint64_t current = registry_revision(registry);
    if (revision <= current)
        return true;
    status_generic(ret_status, 504, "Timeout",
                   arena_printf(arena, "Timeout: Too large resource version: %" PRIu64 ", current: %" PRIu64,
                                revision, current));
    ret_status->causes = &cause;
    ret_status->cause_count = 1;
    ret_status->retry_after_seconds = 1;
    return false;
}

/* What resourceVersion, resourceVersionMatch and continue ask for
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions). */
static bool query_range(const struct world *world, const struct query *query, struct arena *arena,
                        struct registry_query *ret, struct status *ret_status)
{
    uint64_t wanted;
    const char *match = query->resource_version_match;
    if (!read_revision(query->resource_version, &wanted, arena, ret_status))
        return false;
    if (*query->continue_) {
        if (wanted) {
            status_bad_request(ret_status, "specifying resource version is not allowed when using continue");
            return false;
        }
        return continue_parse(query->continue_, arena, ret, ret_status);
    }
    if (!read_is_reached(world->registry, wanted, arena, ret_status))
        return false;
    /* A limit without a match means exactly this version, for upstream too. */
    bool is_exact = strcmp(match, "Exact") == 0 || (!*match && query->limit && wanted);
    if (is_exact)
        ret->revision = wanted;
    return true;
}

bool read_list(const struct world *world, const struct target *target, const struct query *query,
               const struct presentation *how, struct arena *arena, struct text *ret,
               struct status *ret_status)
{
    struct sieve sieve;
    struct registry_query range = {.kind = target->resource->kind};
    const struct registry_object **list;
    size_t count, remaining;
    if (!sieve_parse(target, query, arena, &sieve, ret_status) ||
        !query_range(world, query, arena, &range, ret_status))
        return false;
    range.namespace_ = *sieve.namespace_ ? sieve.namespace_ : NULL;
    bool is_sifted = sieve_has_selectors(&sieve) || *sieve.name;
    size_t limit = query->limit;
    if (registry_list(world->registry, &range, is_sifted ? 0 : limit, &list, &count, &remaining) < 0) {
        status_expired(
            ret_status,
            *query->continue_
                ? "The provided continue parameter is too old to display a consistent list result. You "
                  "must start a new list without the continue parameter."
                : "The resourceVersion for the provided list is too old.");
        return false;
    }
    if (is_sifted)
        count = sift(&sieve, list, count);
    size_t shown = limit && count > limit ? limit : count;
    uint64_t revision = range.revision ? range.revision : registry_revision(world->registry);
    bool has_more = shown < count || (!is_sifted && remaining > 0);
    const struct list_metadata metadata = {
        .revision = revision,
        .continue_ = has_more && shown ? continue_format(arena, revision, list[shown - 1]) : "",
        .remaining = is_sifted ? -1 : (int64_t)remaining,
    };
    present_list(how, list, shown, &metadata, ret);
    registry_list_free(list, count);
    return true;
}
