/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/takeover.h"

#include "base/log.h"
#include "daemon/confinement.h"
#include "daemon/daemon.h"
#include "dataplane/leftovers/leftovers.h"

#include <errno.h>
#include <stdio.h>

#define PROGRAM_MS 30000

static void on_report(void *context, enum leftovers_report kind, const char *sentence)
{
    (void)context;
    log_write(kind == LEFTOVERS_REMOVED ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "%s", sentence);
}

/* --- at the start --- */

static void on_done(void *context, unsigned failures)
{
    struct daemon *daemon = context;
    daemon->leftovers = NULL;
    if (failures)
        log_warning("not all that kube-proxy left could be removed; the next start tries again");
    else
        log_debug("nothing of kube-proxy is left on this node");
    if (!daemon->dataplane->ops->starts_programs)
        confinement_enter(&daemon->options, CONFINEMENT_SERVING);
}

void takeover_begin(struct daemon *daemon)
{
    const struct leftovers_options options = {
        .program_ms = PROGRAM_MS, .report = on_report, .done = on_done, .context = daemon};
    bool is_over = confinement_stage() == CONFINEMENT_SERVING; /* before all was opened anew */
    if (daemon->options.role == ROLE_PROXY && !daemon->leftovers && !is_over)
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

int takeover_clean_up(void)
{
    unsigned failures = 0;
    const struct leftovers_options options = {
        .program_ms = PROGRAM_MS, .report = on_report, .done = on_cleaned, .context = &failures};
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
