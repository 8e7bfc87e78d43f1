/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/modes.h"

#include "base/cleanup.h"
#include "dataplane/iptables/iptables.h"
#include "dataplane/userspace/userspace.h"

#include <errno.h>
#include <string.h>

#define CHOICES_MAX 2

static const struct {
    const char *mode;
    const struct dataplane_ops *choices[CHOICES_MAX]; /* the best first */
} modes[] = {
    {"nftables", {&nftables_dataplane}},
    {"iptables", {&iptables_dataplane}},
    {"userspace", {&userspace_dataplane}},
    {MODE_AUTO, {&nftables_dataplane, &iptables_dataplane}},
    {MODE_KUBE_PROXY, {&iptables_dataplane, &nftables_dataplane}},
};

bool modes_has(const char *mode)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i].mode, mode) == 0)
            return strcmp(mode, MODE_KUBE_PROXY) != 0;
    return false;
}

const char *modes_list(void)
{
    return "nftables, iptables, userspace, " MODE_AUTO;
}

enum proxy_mode modes_number(const struct dataplane_ops *mode)
{
    return mode == &nftables_dataplane ? PROXY_MODE_NFTABLES : PROXY_MODE_IPTABLES;
}

const char *modes_of_config(const struct proxy_config *config, bool *ret_is_missing)
{
    *ret_is_missing = config->mode == PROXY_MODE_IPVS;
    if (config->mode == PROXY_MODE_NFTABLES)
        return "nftables";
    return config->is_mode_open || *ret_is_missing ? MODE_KUBE_PROXY : "iptables";
}

/* The reasons in one sentence; passed has that of the first choice alone. */
static int try_each(const struct dataplane_ops *const choices[CHOICES_MAX], const struct dataplane_ops **ret,
                    struct err *passed, struct err *err)
{
    struct err reason;
    int code = 0;
    for (size_t i = 0; i < CHOICES_MAX && choices[i]; i++) {
        code = choices[i]->probe(&reason);
        if (code == 0) {
            *ret = choices[i];
            return 0;
        }
        code = i == 0 ? err_set(err, -code, "%s", reason.text) : err_prefix(err, code, "%s", reason.text);
        *passed = reason;
    }
    return code;
}

int modes_choose(const char *mode, const struct dataplane_ops **ret, struct err *passed, struct err *err)
{
    passed->text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i].mode, mode) == 0)
            return try_each(modes[i].choices, ret, passed, err);
    return err_set(err, EINVAL, "mode \"%s\" is none of %s", mode, modes_list());
}
