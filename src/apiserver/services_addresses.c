/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/services_parts.h"

#include <errno.h>

static void remember(struct services_plan *plan, const struct address *address)
{
    plan->taken_addresses[plan->taken_address_count++] = *address;
}

static int refuse(struct services_work *work, const Core__ServiceSpec *spec, const char *detail)
{
    fault_invalid_list(work->faults, path_field(path_field(NULL, "spec"), "clusterIPs"), spec->clusterips,
                       spec->n_clusterips, detail);
    return -EINVAL;
}

static int take_any(struct services_work *work, enum family family, const char *name, struct address *ret)
{
    const struct allocator_config *config = allocator_config(work->allocator);
    struct err err;
    if (work->is_dry_run) {
        for (size_t i = 0; i < config->range_count; i++)
            if (address_family(&config->ranges[i].address) == family)
                *ret = prefix_first(&config->ranges[i]);
        return 0;
    }
    int code = allocator_next_address(work->allocator, family, work->random(work->context), ret, &err);
    if (code < 0)
        return err_set(work->err, -code, "failed to allocate a serviceIP for Service \"%s\": %s", name,
                       err.text);
    remember(work->plan, ret);
    return 0;
}

static int take_named(struct services_work *work, const Core__ServiceSpec *spec, const char *text)
{
    struct address address;
    struct err err;
    int code = address_parse(text, &address, NULL);
    if (code < 0)
        return err_set(work->err, EIO, "failed to parse service IP \"%s\"", text);
    code = work->is_dry_run ? allocator_try_address(work->allocator, &address, &err)
                            : allocator_take_address(work->allocator, &address, &err);
    if (code < 0)
        return refuse(work, spec, arena_printf(work->arena, "failed to allocate IP %s: %s", text, err.text));
    if (!work->is_dry_run)
        remember(work->plan, &address);
    return 0;
}

/* The addresses from the given one on, one for each family. */
static int take_from(struct services_work *work, Core__Service *service, size_t from)
{
    Core__ServiceSpec *spec = service->spec;
    while (spec->n_clusterips < spec->n_ipfamilies)
        spec->clusterips = services_append(spec->clusterips, &spec->n_clusterips, "", work->arena);
    for (size_t i = from; i < spec->n_ipfamilies; i++) {
        enum family family = text_equal(spec->ipfamilies[i], "IPv6") ? FAMILY_IPV6 : FAMILY_IPV4;
        struct address address;
        char text[ADDRESS_TEXT_MAX];
        bool is_named = *spec->clusterips[i] != '\0';
        int code = is_named ? take_named(work, spec, spec->clusterips[i])
                            : take_any(work, family, api_text(service->metadata->name), &address);
        if (code < 0)
            return code;
        if (!is_named)
            spec->clusterips[i] = arena_strdup(work->arena, address_format(&address, text));
    }
    spec->clusterip = spec->clusterips[0];
    return 0;
}

int services_plan_addresses(struct services_work *work, const Core__Service *before, Core__Service *after)
{
    const Core__ServiceSpec *old = before ? before->spec : NULL, *now = after->spec;
    if (!services_needs_addresses(now) || services_is_headless(now) || (old && services_is_content(old, now)))
        return 0;
    if (!old || !services_needs_addresses(old))
        return take_from(work, after, 0);
    if (!services_is_headless(old) && old->n_ipfamilies == 1 && now->n_ipfamilies == 2)
        return take_from(work, after, 1);
    return 0;
}
