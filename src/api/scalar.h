/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scalar_type { SCALAR_STRING, SCALAR_NULL, SCALAR_BOOLEAN, SCALAR_INTEGER, SCALAR_REAL, SCALAR_MERGE };

struct scalar {
    enum scalar_type type;
    bool boolean;
    int64_t integer; /* also set for a REAL that is a whole number within int64 */
    bool is_whole;
    double real;
};

/* What an unquoted YAML scalar means: the YAML 1.1 reading of sigs.k8s.io/yaml, which kubectl uses (yes, no,
 * on, off and y are booleans, 0o17 and 017 are octal, 1_000 is a number, dates are strings). text ends in a
 * NUL at len. */
struct scalar scalar_resolve(const char *text, size_t len);

/* RFC 3339 in, and out in UTC with whole seconds, as Kubernetes writes times. Parsing drops no fraction:
 * nanos. */
bool time_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos);
const char *time_format(int64_t seconds, struct arena *arena);
/* The same without an arena, and with six digits of fraction, as MicroTime; both return buffer. */
#define TIME_TEXT_MAX 40
const char *time_put(int64_t seconds, char buffer[TIME_TEXT_MAX]);
const char *time_put_micros(int64_t seconds, int32_t nanos, char buffer[TIME_TEXT_MAX]);
