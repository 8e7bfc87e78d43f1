/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>

/* JSON escapes a character beyond U+FFFF as two surrogates; YAML escapes it as one code point, and libyaml
 * refuses surrogates. Returns a copy (free it) of a JSON text with each such pair as UTF-8, *len updated, or
 * NULL when there is nothing to do: no JSON, or no pair. */
char *surrogates_join(const char *bytes, size_t *len);
