/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>

struct daemon;

/* The node was kube-proxy's, or fairlead's in another mode: what that left is removed. */

/* Once the first turn is programmed: in the role proxy all that kube-proxy left, in both roles what fairlead
 * made in another mode (a stand-alone node may have a kube-proxy beside it, whose rules stay). What cannot be
 * removed is logged, and tried again at the next start. */
void takeover_begin(struct daemon *daemon);
/* Whether takeover_begin will want to start programs; asked while that is allowed still. */
bool takeover_starts_programs(const struct daemon *daemon);
/* Before the loop's handles are closed. */
void takeover_cancel(struct daemon *daemon);
/* `fairlead proxy --cleanup`: removes what kube-proxy left and all of fairlead's. Returns the exit status, 1
 * when anything could not be removed, as kube-proxy's. */
int takeover_clean_up(void);
/* `fairlead cleanup`: removes fairlead's alone, of whichever mode. Where kube-proxy has come to the chains of
 * mode iptables since, they are its. The exit status. */
int takeover_clean_up_own(void);
