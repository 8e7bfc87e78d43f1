/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"

#include <stdint.h>

/* Telling the service manager how we are: a datagram of NAME=value lines to the socket that it names in
 * $NOTIFY_SOCKET (sd_notify(3), "Notes": the protocol is stable and may be spoken without libsystemd). */

/* Sends to the socket at address: a path, or "@name" in the abstract namespace. Never waits. NULL or "":
 * nobody wants to know, and that is all right. -errno and a sentence: -EPROTONOSUPPORT for any other kind of
 * address. */
int notify_send(const char *address, const char *message, struct err *err);

#define NOTIFY_MESSAGE_MAX 640
enum notify_state {
    NOTIFY_STATUS, /* the sentence alone */
    NOTIFY_READY,
    NOTIFY_RELOADING, /* until the next NOTIFY_READY */
    NOTIFY_STOPPING,
};
/* The lines for a state and a sentence for people; monotonic_us is the time of CLOCK_MONOTONIC, which tells
 * this reload from an earlier one. A sentence is cut at its first line's end, and where it is too long.
 * Returns ret. */
const char *notify_message(enum notify_state state, const char *sentence, uint64_t monotonic_us,
                           char ret[NOTIFY_MESSAGE_MAX]);
