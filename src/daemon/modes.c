/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/modes.h"

#include "base/cleanup.h"
#include "dataplane/iptables/iptables.h"
#include "dataplane/ipvs/ipvs.h"
#include "dataplane/userspace/userspace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *mode;
    const struct dataplane_ops *choices[MODE_CHOICES_MAX]; /* the best first */
} modes[] = {
    {"nftables", {&nftables_dataplane}},
    {"iptables", {&iptables_dataplane}},
    {"ipvs", {&ipvs_dataplane, &iptables_dataplane, &nftables_dataplane}},
    {"userspace", {&userspace_dataplane}},
    {MODE_AUTO, {&nftables_dataplane, &iptables_dataplane}},
    {MODE_KUBE_PROXY, {&iptables_dataplane, &nftables_dataplane}},
};

const struct dataplane_ops *modes_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i].choices[0]->name, name) == 0)
            return modes[i].choices[0];
    return NULL;
}

bool modes_has(const char *mode)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i].mode, mode) == 0)
            return strcmp(mode, MODE_KUBE_PROXY) != 0;
    return false;
}

const char *modes_list(void)
{
    static char list[128];
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(modes) && len < sizeof(list); i++)
        if (modes_has(modes[i].mode))
            len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", modes[i].mode);
    return list;
}

enum proxy_mode modes_number(const struct dataplane_ops *mode)
{
    return mode == &nftables_dataplane    ? PROXY_MODE_NFTABLES
           : mode == &ipvs_dataplane      ? PROXY_MODE_IPVS
           : mode == &userspace_dataplane ? PROXY_MODE_USERSPACE
                                          : PROXY_MODE_IPTABLES;
}

const char *modes_of_config(const struct proxy_config *config)
{
    if (config->mode == PROXY_MODE_NFTABLES)
        return "nftables";
    if (config->mode == PROXY_MODE_USERSPACE)
        return "userspace";
    if (config->mode == PROXY_MODE_IPVS)
        return "ipvs";
    return config->is_mode_open ? MODE_KUBE_PROXY : "iptables";
}

/* The reasons in one sentence; passed has that of the first choice alone. */
static int try_each(const struct dataplane_ops *const choices[MODE_CHOICES_MAX],
                    const struct dataplane_ops **ret, struct err *passed, struct err *err)
{
    struct err reason, before;
    int code = 0;
    for (size_t i = 0; i < MODE_CHOICES_MAX && choices[i]; i++) {
        code = choices[i]->probe(&reason);
        if (code == 0) {
            *ret = choices[i];
            return 0;
        }
        before = *err;
        err_set(err, -code, "%s%s%s", i ? before.text : "", i ? "; " : "", reason.text);
        if (i == 0)
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

void modes_probe(mode_visit_fn *visit, void *context)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct mode_finding finding = {.mode = modes[i].mode};
        struct err err;
        if (try_each(modes[i].choices, &finding.serves, &finding.reason, &err) < 0)
            finding.reason = err;
        for (size_t c = 0; c < MODE_CHOICES_MAX && modes[i].choices[c]; c++)
            finding.choices[finding.choice_count++] = modes[i].choices[c]->name;
        visit(context, &finding);
    }
}
