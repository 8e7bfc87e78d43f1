/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <jansson.h>

/* Go's name of the type of a JSON value, as messages of encoding/json have it: "object", "array", "string",
 * "number", "bool", "null". */
const char *json_type_name(const json_t *value);
