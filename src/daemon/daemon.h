/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/embedded.h"
#include "daemon/health.h"
#include "daemon/metrics.h"
#include "daemon/pace.h"
#include "daemon/reload.h"
#include "daemon/service_health.h"
#include "daemon/sync.h"
#include "daemon/traffic.h"
#include "daemon/web.h"
#include "source/apiserver.h"
#include "source/manifests.h"
#include "sys/control.h"

/* The roles `fairlead standalone` (a folder of manifests, the embedded API, or both) and `fairlead proxy` (a
 * cluster's apiserver): one node, one loop. */
struct daemon {
    struct options options;
    uv_loop_t loop;
    struct store *store;
    const struct dataplane_ops *mode; /* that serves; NULL in a dry run */
    struct dataplane *dataplane;
    struct interface_addresses interfaces;
    struct sync sync;
    struct reload reload;               /* ROLE_PROXY with --config */
    struct embedded embedded;           /* only with --api or --data-dir */
    struct manifests *manifests;        /* NULL: the API alone */
    struct cluster *cluster;            /* ROLE_PROXY */
    struct apiserver_source *apiserver; /* ROLE_PROXY */
    struct events *events;              /* ROLE_PROXY: notices.h */
    struct leftovers *leftovers;        /* ROLE_PROXY, while kube-proxy's are being removed */
    struct interface_watch *interface_watch;
    struct control_server *control;
    struct health health;
    struct metrics metrics;
    struct traffic traffic;
    struct service_health *service_health;
    struct web *web;
    struct {
        struct health_time began;
        uint64_t service_changes, endpoint_changes; /* that it takes in */
    } turn;                                         /* the last one, or the one under way */
    struct pace pace;                               /* of writing, where that has a least period */
    uv_timer_t paced;                               /* until the next write may be */
    uv_timer_t retry;     /* after a failed turn, or soon after somebody else wrote our table */
    uv_timer_t collector; /* removes what had to linger */
    uv_poll_t disturbance;
    uv_timer_t withdrawal; /* how long that may take */
    uv_signal_t terminate, interrupt;
    uint64_t repaired_ms; /* loop time of the last repair; 0: none */
    /* Changes that the store had seen by the last good turn. */
    uint64_t programmed_services, programmed_slices;
    int64_t started_ns;
    int claim_fd; /* this network namespace is ours */
    bool is_ending, has_loop;
    bool is_withdrawing; /* the dataplane takes its rules away */
    bool is_failing;     /* the last turn did */
    bool misses_node;    /* the apiserver has no object of this node */
    int exit_status;
};

/* Serves until it is told to end; returns the exit status. options and what they point to outlive the call.
 * DAEMON_ANEW asks to be called again, with the options that the reloader gave last: the kernel goes on
 * forwarding meanwhile. */
#define DAEMON_ANEW (-1)
/* An exit status: the configuration has come to name a mode for which this process has given up the rights.
 * Whoever supervises it starts another one (dist/systemd). */
#define DAEMON_AGAIN 3
int daemon_run(const struct options *options);
/* The loop, where there is one yet, ends after this turn of it. */
void daemon_end(struct daemon *daemon, int exit_status);
/* Other options that need nothing opened anew: they are in force when this returns, but for what the kernel
 * refuses, which is tried again. */
void daemon_take_options(struct daemon *daemon, const struct options *options);

/* As -v, until it is set again or the configuration is read again. */
void daemon_set_verbosity(struct daemon *daemon, int verbosity);

/* tools.c: answers what the tools ask over the control socket. */
int tools_answer(void *context, int argc, char *const *argv, struct text *reply, struct err *err);
/* dry_run.c: the same reading and deciding, and then the text instead of the kernel. */
int dry_run(struct daemon *daemon, struct err *err);
