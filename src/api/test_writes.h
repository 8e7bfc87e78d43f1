/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: objects from YAML, by the way that a request takes. */
#include "api/defaults.h"
#include "api/strategy.h"
#include "api/validate.h"
#include "api/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The object in the arena, decoded and defaulted. */
static inline ProtobufCMessage *test_object(enum api_kind kind, const char *yaml, struct arena *arena)
{
    struct err err;
    struct decode_result result;
    json_t *tree = wire_tree_from_yaml(yaml, strlen(yaml), &err);
    if (!tree)
        fail_msg("%s\n%s", err.text, yaml);
    wire_decode_tree(tree, api_kind_info(kind)->type, arena, &result);
    json_decref(tree);
    if (result.refusal || result.warning_count)
        fail_msg("%s\n%s", result.refusal ? result.refusal : result.warnings[0], yaml);
    defaults_request(kind, result.message, arena);
    return result.message;
}

/* As `kubectl get -o json` prints it, without the line feeds. */
static inline const char *test_json(enum api_kind kind, const ProtobufCMessage *message, struct arena *arena)
{
    struct text json = {0};
    wire_json(kind, message, &json);
    const char *copy = arena_strdup(arena, text_str(&json));
    text_done(&json);
    return copy;
}

static inline void test_faults(const struct faults *faults, const char *what, const char *expected)
{
    const char *given = faults->count ? faults_format(faults) : NULL;
    if (!text_equal(given, expected))
        fail_msg("%s\nis refused as\n%s\nnot\n%s", what, given ? given : "(accepted)",
                 expected ? expected : "(accepted)");
}

/* The refusal of a new object; expected is NULL when it is accepted. */
static inline void test_create(enum api_kind kind, const char *yaml, const char *expected)
{
    struct arena arena;
    struct faults faults;
    arena_init(&arena);
    faults_init(&faults, &arena);
    ProtobufCMessage *message = test_object(kind, yaml, &arena);
    strategy_prepare_create(kind, message, &arena);
    validate_create(&faults, kind, message);
    test_faults(&faults, yaml, expected);
    arena_done(&arena);
}

/* The refusal of the object after in the place of before. */
static inline void test_update(enum api_kind kind, const char *before, const char *after, bool is_status,
                               const char *expected)
{
    struct arena arena;
    struct faults faults;
    arena_init(&arena);
    faults_init(&faults, &arena);
    ProtobufCMessage *old = test_object(kind, before, &arena), *message = test_object(kind, after, &arena);
    if (is_status) {
        strategy_prepare_status_update(kind, message, old, &arena);
        validate_status_update(&faults, kind, message, old);
    } else {
        strategy_prepare_update(kind, message, old, &arena);
        validate_update(&faults, kind, message, old);
    }
    test_faults(&faults, after, expected);
    arena_done(&arena);
}
