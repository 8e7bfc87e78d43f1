/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/takeover.h"

#include "base/log.h"
#include "daemon/confinement.h"
#include "daemon/daemon.h"
#include "dataplane/ipvs/ipvs.h"
#include "dataplane/leftovers/leftovers.h"
#include "dataplane/userspace/userspace.h"

#include <errno.h>
#include <stdio.h>

#define PROGRAM_MS 30000

static void on_report(void *context, enum leftovers_report kind, const char *sentence)
{
    (void)context;
    log_write(kind == LEFTOVERS_REMOVED ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "%s", sentence);
}

/* --- at the start --- */

static void on_programs_over(void *context)
{
    struct daemon *daemon = context;
    if (!daemon->mode->starts_programs)
        confinement_enter(&daemon->options, CONFINEMENT_SERVING);
}

static void on_done(void *context, unsigned failures)
{
    struct daemon *daemon = context;
    daemon->leftovers = NULL;
    bool is_proxy = daemon->options.role == ROLE_PROXY;
    if (failures)
        log_warning("not all that %s left could be removed; the next start tries again",
                    is_proxy ? "kube-proxy" : "fairlead's other modes");
    else if (is_proxy)
        log_debug("nothing of kube-proxy is left on this node");
}

static void remove_own_tables(void)
{
    struct err err;
    if (nftables_dataplane.cleanup(&err) < 0)
        log_warning("fairlead's own nftables tables stay: %s", err.text);
}

/* Whose chains in iptables the mode serves by. */
static unsigned makers_of(const struct dataplane_ops *mode)
{
    if (mode->is_of_iptables)
        return IPTABLES_BY_IPTABLES;
    if (mode == &ipvs_dataplane)
        return IPTABLES_BY_IPVS;
    return mode == &userspace_dataplane ? IPTABLES_BY_USERSPACE : 0;
}

bool takeover_starts_programs(const struct daemon *daemon)
{
    return daemon->options.role == ROLE_PROXY || leftovers_may_be_of_fairlead();
}

void takeover_begin(struct daemon *daemon)
{
    bool is_over = confinement_stage() == CONFINEMENT_SERVING; /* before all was opened anew */
    const struct leftovers_options options = {
        .scope = daemon->options.role == ROLE_PROXY ? LEFTOVERS_ALL : LEFTOVERS_OF_FAIRLEAD,
        .serving = makers_of(daemon->mode),
        .spares_connections = true,
        .program_ms = PROGRAM_MS,
        .report = on_report,
        .programs_over = on_programs_over,
        .done = on_done,
        .context = daemon};
    if (daemon->mode != &nftables_dataplane)
        remove_own_tables();
    if (!daemon->leftovers && !is_over)
        daemon->leftovers = leftovers_begin(&daemon->loop, &options);
}

void takeover_cancel(struct daemon *daemon)
{
    leftovers_cancel(daemon->leftovers);
    daemon->leftovers = NULL;
}

/* --- alone --- */

static void on_cleaned(void *context, unsigned failures)
{
    *(unsigned *)context = failures;
}

static int clean_up(enum leftovers_scope scope)
{
    unsigned failures = 0;
    const struct leftovers_options options = {.scope = scope,
                                              .program_ms = PROGRAM_MS,
                                              .report = on_report,
                                              .done = on_cleaned,
                                              .context = &failures};
    uv_loop_t loop;
    struct err err;
    /* One sentence instead of one for each thing that may be left. */
    if (nftables_dataplane.probe(&err) == -EPERM) {
        log_error("%s", err.text);
        return 1;
    }
    int code = uv_loop_init(&loop);
    if (code < 0) {
        log_error("cannot start the event loop: %s", uv_strerror(code));
        return 1;
    }
    leftovers_begin(&loop, &options);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (nftables_dataplane.cleanup(&err) < 0) {
        log_error("%s", err.text);
        failures++;
    }
    return failures > 0;
}

int takeover_clean_up(void)
{
    return clean_up(LEFTOVERS_ALL);
}

int takeover_clean_up_own(void)
{
    return clean_up(LEFTOVERS_OF_FAIRLEAD);
}
