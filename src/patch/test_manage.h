/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: a Service that is written and applied, and who owns what of it then. */
#include "api/core.pb-c.h"
#include "patch/manage.h"
#include "patch/test_trees.h"

#define EMPTY_SERVICE "'apiVersion':'v1','kind':'Service','metadata':{'name':'web'}"
#define EARLY "2024-01-01T00:00:00Z"
#define LATE "2024-01-02T00:00:00Z"

static inline struct manage_actor actor(const char *manager, const char *time)
{
    return (struct manage_actor){.manager = manager, .api_version = "v1", .subresource = "", .time = time};
}

/* Applies to *object, which becomes the result; NULL at first. */
static inline int apply_as(json_t **object, const char *config_text, const struct manage_actor *who,
                           bool is_forced, struct manage_conflicts *conflicts, struct err *err)
{
    cleanup_with(json_decrefp) json_t *config = test_tree(config_text);
    cleanup_free char *before = *object ? test_dump(*object) : NULL;
    json_t *result = NULL;
    int status =
        manage_apply(*object, config, &core__service__descriptor, who, is_forced, &result, conflicts, err);
    cleanup_free char *after = *object ? test_dump(*object) : NULL;
    assert_true(text_equal(before, after));
    test_equal(config, config_text);
    assert_true((status == 0) == (result != NULL));
    if (result) {
        json_decref(*object);
        *object = result;
    }
    return status;
}

static inline void apply(json_t **object, const char *config, const char *manager, const char *time,
                         bool is_forced)
{
    struct manage_conflicts conflicts = {0};
    struct err err = {0};
    struct manage_actor who = actor(manager, time);
    if (apply_as(object, config, &who, is_forced, &conflicts, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(conflicts.count, 0);
}

static inline void update(json_t **object, const char *after_text, const struct manage_actor *who)
{
    json_t *after = test_tree(after_text);
    manage_update(*object, after, &core__service__descriptor, who);
    json_decref(*object);
    *object = after;
}

static inline json_t *entries_of(json_t *object)
{
    return json_object_get(json_object_get(object, "metadata"), "managedFields");
}

/* One entry, as it is written. */
static inline void check_entry(json_t *object, size_t index, const char *expected)
{
    cleanup_free char *got = test_dump(json_array_get(entries_of(object), index)), *want = xstrdup(expected);
    for (char *at = want; (at = strchr(at, '\''));)
        *at = '"';
    assert_string_equal(got, want);
}

static inline void check_count(json_t *object, size_t count)
{
    assert_int_equal(json_array_size(entries_of(object)), count);
}

static inline void check_value(json_t *object, const char *field, const char *expected)
{
    json_t *value = json_object_get(json_object_get(object, "spec"), field);
    if (expected)
        test_equal(value, expected);
    else
        assert_null(value);
}
