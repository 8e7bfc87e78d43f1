/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/text.h"

#include <jansson.h>

/* PURE. The columns that `kubectl get` prints: meta.k8s.io/v1 Table (kubernetes
 * pkg/printers/internalversion). */

struct table_column {
    const char *name, *type, *format, *description; /* "Name", "string", "name", ... */
    int priority;                                   /* 1: only with -o wide */
};
/* The columns of a kind; *ret_count of them. */
const struct table_column *table_columns(enum api_kind kind, size_t *ret_count);
/* One object's cells, a new JSON array with as many items as columns. now in seconds since 1970, for ages. */
json_t *table_cells(enum api_kind kind, const ProtobufCMessage *message, int64_t now);
/* The "conditions" of its row, a new JSON array, or NULL for none: a Pod that has ended is Completed. */
json_t *table_conditions(enum api_kind kind, const ProtobufCMessage *message);
/* "columnDefinitions" as a new JSON array. */
json_t *table_column_definitions(enum api_kind kind);
/* k8s.io/apimachinery/pkg/util/duration.HumanDuration: "5s", "3m20s", "2d22h", "<invalid>". Appends. */
void table_age(int64_t seconds, struct text *ret);
