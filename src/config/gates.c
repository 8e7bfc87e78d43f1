/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/gates.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *name, const void *gate)
{
    return strcmp(name, ((const struct gate *)gate)->name);
}

const struct gate *gate_get(const char *name)
{
    return bsearch(name, gate_table, gate_count, sizeof(gate_table[0]), compare);
}
