/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/options.h"

/* Giving up, for the rest of this process, what the daemon will not need. What cannot be given up here is
 * told in a warning. */
enum confinement {
    CONFINEMENT_NONE,
    CONFINEMENT_STARTING, /* programs that work on the kernel's tables may still be started */
    CONFINEMENT_SERVING,
};

/* Gives up what the stage of a daemon that has these options does without; nothing where that is reached
 * already, or not wanted. STARTING comes before anything is opened: all that comes from outside is read by a
 * process that can do little. */
void confinement_enter(const struct options *options, enum confinement stage);
enum confinement confinement_stage(void);
