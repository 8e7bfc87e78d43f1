/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"

/* PURE. JSON text as block-style YAML, appended; what is not JSON is appended as it is (every JSON text is
 * YAML too). */
void block_yaml_from_json(const char *json, size_t len, struct text *ret);
