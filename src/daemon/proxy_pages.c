/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/proxy_pages.h"

#include "config/proxy_flags.h"
#include "daemon/daemon.h"

/* Asked for with each page: a reload puts another configuration in place of this one. */
static const struct proxy_config *config_of(void *context)
{
    return ((struct daemon *)context)->options.proxy_config;
}

static void on_configz(void *context, struct text *ret)
{
    config_write_json(config_of(context), ret);
}

static void on_flagz(void *context, web_flag_fn *visit, void *visit_context)
{
    proxy_flags_visit(((struct daemon *)context)->options.proxy_flags, config_of(context), visit,
                      visit_context);
}

static void on_verbosity(void *context, int64_t verbosity)
{
    daemon_set_verbosity(context, (int)verbosity);
}

const struct web_proxy *proxy_pages(const struct daemon *daemon, struct web_proxy *ret)
{
    if (daemon->options.role != ROLE_PROXY)
        return NULL;
    const struct proxy_settings *settings = daemon->options.proxy_config->settings;
    *ret = (struct web_proxy){
        .has_flagz = settings_gate(settings, "ComponentFlagz"),
        .has_statusz = settings_gate(settings, "ComponentStatusz"),
        .has_profiling = settings->has_profiling,
        .configz = on_configz,
        .flagz = on_flagz,
        .set_verbosity = on_verbosity,
    };
    return ret;
}
