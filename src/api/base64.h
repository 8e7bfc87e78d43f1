/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

/* RFC 4648, the standard alphabet with padding: how JSON carries bytes. */
void base64_add(struct text *text, const uint8_t *bytes, size_t len);
/* Into the arena; false for anything else than padded base64. Line ends are passed over, as Go does. */
bool base64_parse(const char *text, struct arena *arena, uint8_t **ret, size_t *ret_len);
