/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct daemon;

/* The node was kube-proxy's, and is fairlead's now: what that left is removed. */

/* Once the first turn is programmed; only in the role proxy, for a stand-alone node may have a kube-proxy
 * beside it. What cannot be removed is logged, and tried again at the next start. */
void takeover_begin(struct daemon *daemon);
/* Before the loop's handles are closed. */
void takeover_cancel(struct daemon *daemon);
/* `fairlead proxy --cleanup`: removes what kube-proxy left and all of fairlead's. Returns the exit status, 1
 * when anything could not be removed, as kube-proxy's. */
int takeover_clean_up(void);
