/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/modes.h"

#include "base/cleanup.h"
#include "dataplane/iptables/iptables.h"

#include <errno.h>
#include <string.h>

#define AUTO "auto"

/* The best first. */
static const struct dataplane_ops *const modes[] = {&nftables_dataplane, &iptables_dataplane};

bool modes_has(const char *mode)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i]->name, mode) == 0)
            return true;
    return strcmp(mode, AUTO) == 0;
}

const char *modes_list(void)
{
    return "nftables, iptables, " AUTO;
}

int modes_choose(const char *mode, const struct dataplane_ops **ret, struct err *err)
{
    int code = err_set(err, EINVAL, "mode \"%s\" is none of %s", mode, modes_list());
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(mode, modes[i]->name) != 0 && strcmp(mode, AUTO) != 0)
            continue;
        code = modes[i]->probe(err);
        if (code == 0) {
            *ret = modes[i];
            return 0;
        }
    }
    return code;
}
