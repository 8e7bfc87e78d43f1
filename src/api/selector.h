/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"
#include "base/err.h"

/* Label and field selectors, as in the query of a list or watch and in a Service's spec. */

struct selector; /* lives in the arena */

/* `a=b, c!=d, e in (x, y), f notin (z), g, !h` (k8s.io/apimachinery/pkg/labels). "" selects everything.
 * -EINVAL with upstream's sentence: `unable to parse requirement: ...`. */
int label_selector_parse(const char *text, struct arena *arena, struct selector **ret, struct err *err);
bool label_selector_matches(const struct selector *selector, Meta__StringEntry *const *labels, size_t count);

/* `metadata.name=web,spec.nodeName!=n1` with = == !=, backslash escapes (k8s.io/apimachinery/pkg/fields).
 * Each kind knows its own fields; others are refused: `field label not supported: spec.foo`. */
int field_selector_parse(const char *text, enum api_kind kind, struct arena *arena, struct selector **ret,
                         struct err *err);
bool field_selector_matches(const struct selector *selector, const ProtobufCMessage *message);
/* The value that `metadata.name=` asks for, NULL when the selector does not fix it: a list of one. */
const char *field_selector_name(const struct selector *selector);
