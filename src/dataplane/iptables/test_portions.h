/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone. */
#include "dataplane/iptables/layout.h"
#include "dataplane/test_entry.h"

#include <stdlib.h>

/* One rule a line, "filter KUBE-SERVICES: -d ..." and "KUBE-SVC-...: -m ...", shared ones first. */
static inline void test_portion_format(const struct portion *portion, struct text *ret)
{
    for (uint32_t i = 0; i < portion->shared_count; i++)
        text_printf(ret, "%s %s: %s\n", shared_chain_table(portion->shared[i].chain),
                    shared_chain_name(portion->shared[i].chain), portion->shared[i].rule);
    for (uint32_t i = 0; i < portion->chain_count; i++) {
        char *copy = xstrdup(portion->chains[i].rules), *rest = copy;
        for (char *line; (line = strsep(&rest, "\n"));)
            if (*line)
                text_printf(ret, "%s: %s\n", portion->chains[i].name, line);
        free(copy);
    }
}
