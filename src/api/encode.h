/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "api/tape.h"
#include "base/text.h"

/* Canonical text of an object: apiVersion, kind, then the set fields by field number, map entries by key,
 * empty strings, lists and objects left out. Reading it back gives an equal object. */
void encode_json(const struct api_object *object, struct text *ret);
/* One YAML document in block style, without "---"; every line ends in a newline. */
void encode_yaml(const struct api_object *object, struct text *ret);

/* The subtree as compact JSON, keys in document order. */
void encode_tape(const struct tape *tape, const struct tape_node *node, struct text *ret);
/* A JSON string with its quotes, which is also a YAML double-quoted scalar and nearly Go's %q. */
const char *encode_quoted(const char *value, struct arena *arena);
