/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "config/settings.h"

/* A flag's list as pflag's StringSlice reads it: one record of comma-separated values (RFC 4180), of several
 * lines the first; "" is none. -EINVAL in the words of Go's encoding/csv. In the arena. */
int flag_list_parse(const char *text, struct arena *arena, struct text_list *ret, struct err *err);
