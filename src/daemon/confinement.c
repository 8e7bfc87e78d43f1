/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/confinement.h"

#include "base/log.h"
#include "source/kubeconfig.h"
#include "sys/confine.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>

/* A credential program; a kubeconfig that cannot be read stops the daemon a little later, with a sentence. */
static bool starts_programs(const struct options *options)
{
    struct kubeconfig config = {0};
    struct arena arena;
    arena_init(&arena);
    bool does = options->kubeconfig && *options->kubeconfig &&
                kubeconfig_read(options->kubeconfig, &arena, &config, NULL) == 0 && config.exec.command;
    arena_done(&arena);
    return does;
}

static enum confinement reached;

enum confinement confinement_stage(void)
{
    return reached;
}

void confinement_enter(const struct options *options, enum confinement stage)
{
    char socket[PATH_MAX];
    struct err capabilities, calls;
    if (!options->is_confined || stage <= reached)
        return;
    reached = stage;
    snprintf(socket, sizeof(socket), "%s", options->control_socket);
    const char *const writable[] = {dirname(socket), options->data_dir, NULL};
    enum confine_programs programs = stage == CONFINEMENT_STARTING ? CONFINE_PACKET_PROGRAMS
                                     : starts_programs(options)    ? CONFINE_PROGRAMS
                                                                   : CONFINE_NO_PROGRAMS;
    int capabilities_code = confine_capabilities(writable, programs, &capabilities);
    int calls_code = confine_calls(programs, &calls);
    if (capabilities_code < 0 || calls_code < 0)
        log_warning("not confined as it should be: %s%s%s", capabilities_code < 0 ? capabilities.text : "",
                    capabilities_code < 0 && calls_code < 0 ? "; " : "", calls_code < 0 ? calls.text : "");
}
