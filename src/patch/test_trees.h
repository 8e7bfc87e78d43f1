/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: trees from literals, with ' for ", and back. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A new reference. */
static inline json_t *test_tree(const char *literal)
{
    cleanup_free char *text = xstrdup(literal);
    json_error_t error;
    for (char *at = text; (at = strchr(at, '\''));)
        *at = '"';
    json_t *tree = json_loads(text, JSON_DECODE_ANY, &error);
    if (!tree)
        fail_msg("%s: %s", error.text, literal);
    return tree;
}

/* Free it. */
static inline char *test_dump(const json_t *tree)
{
    return json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* The same values, in whatever order members are. */
static inline void test_equal(const json_t *tree, const char *expected)
{
    cleanup_with(json_decrefp) json_t *wanted = test_tree(expected);
    if (json_equal(tree, wanted))
        return;
    cleanup_free char *got = test_dump(tree), *want = test_dump(wanted);
    fail_msg("got  %s\nwant %s", got, want);
}
