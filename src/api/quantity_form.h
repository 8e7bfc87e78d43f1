/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

#include <stdbool.h>

/* The form in which upstream prints a quantity that it has read (k8s.io/apimachinery pkg/api/resource): "0.5"
 * is "500m", "1024Ki" is "1Mi", "1e3" stays. *ret is text itself or in the arena. false for what is no
 * quantity. Numbers of more than 18 digits stay as they are. */
bool quantity_form(const char *text, struct arena *arena, const char **ret);
