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

/* "a; b", without what is said already: modes over iptables lack the same. */
static void add_reason(const struct err *reason, int code, struct err *all)
{
    const struct err before = *all;
    if (!strstr(before.text, reason->text))
        err_set(all, -code, "%s%s%s", before.text, *before.text ? "; " : "", reason->text);
}

/* all: the reasons of those that were passed over, in one sentence. */
static int try_each(const char *mode, const struct dataplane_ops *const choices[MODE_CHOICES_MAX],
                    struct mode_finding *ret, struct err *all)
{
    int code = 0;
    *ret = (struct mode_finding){.mode = mode};
    all->text[0] = '\0';
    for (size_t i = 0; i < MODE_CHOICES_MAX && choices[i]; i++) {
        struct err reason;
        ret->choices[ret->choice_count++] = choices[i]->name;
        if (ret->serves)
            continue;
        code = choices[i]->probe(&reason);
        if (code == 0) {
            ret->serves = choices[i];
            continue;
        }
        ret->lacks_rights |= code == -EPERM;
        add_reason(&reason, code, all);
    }
    ret->reason = *all;
    return ret->serves ? 0 : code;
}

int modes_choose(const char *mode, struct mode_finding *ret, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i].mode, mode) == 0)
            return try_each(mode, modes[i].choices, ret, err);
    *ret = (struct mode_finding){.mode = mode};
    return err_set(err, EINVAL, "mode \"%s\" is none of %s", mode, modes_list());
}

void modes_probe(mode_visit_fn *visit, void *context)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct mode_finding finding;
        struct err err;
        (void)modes_choose(modes[i].mode, &finding, &err); /* the finding says it as well */
        visit(context, &finding);
    }
}
