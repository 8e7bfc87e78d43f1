/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/commands.h"
#include "daemon/daemon.h"

#include <stdio.h>

/* The role `fairlead standalone`. */

int standalone_main(int argc, char *const *argv)
{
    struct options options;
    struct arena arena;
    struct err err;
    int status = 0;
    arena_init(&arena);
    if (options_parse(argc, argv, &arena, &options, &err) < 0) {
        fprintf(stderr, "fairlead standalone: %s\n", err.text);
        status = 2;
    } else if (options.shows_help) {
        options_usage();
    } else {
        status = daemon_run(&options);
    }
    arena_done(&arena);
    return status;
}
