/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "daemon/options.h"

#include <uv.h>

struct daemon;

/* Reading the configuration again when its file changes, or on SIGHUP, where kube-proxy ends itself
 * (cmd/kube-proxy/app/options.go, errorHandler). What was read before stays in force until a whole and valid
 * file is there. */

enum reload_effect {
    RELOAD_NOTHING,  /* it says the same as before */
    RELOAD_IN_PLACE, /* the next turn goes by it */
    RELOAD_ANEW      /* source or servers have to be opened anew: DAEMON_ANEW */
};

/* Who reads the file, on behalf of the daemon. */
struct reloader {
    const char *path;
    void *context;
    /* Gives the options in *ret, and the names of what differs from the ones in force, for people. Returns
     * NULL, or a sentence about what is wrong: then nothing is to be taken. What it gave is valid until it is
     * called again. */
    const char *(*read)(void *context, struct options *ret, enum reload_effect *ret_effect,
                        struct text *ret_names);
};

struct reload {
    struct daemon *daemon;
    const struct reloader *reloader;
    struct folder_watch *watch;
    uv_signal_t hangup;
    uv_timer_t timer;
    uint64_t changed_ms; /* loop time of the first change that the timer waits for */
};

/* Nothing happens where the daemon's options name no reloader. */
int reload_open(struct reload *reload, struct daemon *daemon, struct err *err);
void reload_close(struct reload *reload);
