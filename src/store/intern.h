/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdint.h>

/* Names that repeat (nodes, zones) as small numbers. Equal names have equal numbers; 0 is "no name".
 * Names are never given back: a cluster has few nodes and zones. */
struct intern;

struct intern *intern_new(void);
void intern_free(struct intern *intern);
/* NULL and "" give 0. */
uint32_t intern_id(struct intern *intern, const char *name);
/* The number of a name already known, or 0. */
uint32_t intern_find(const struct intern *intern, const char *name);
/* Borrowed until intern_free; "" for 0. */
const char *intern_text(const struct intern *intern, uint32_t id);
