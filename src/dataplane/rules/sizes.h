/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "dataplane/rules/own.h"
#include "net/address.h"

/* The legacy tables tell nobody of their changes. What they are asked once a second, in two calls of
 * getsockopt each, is how many entries they hold and in how many bytes: flushed chains, removed jumps and
 * removed rules show in that, and nothing is read. What others add shows too, and is compared in vain. A rule
 * exchanged for one of the same size does not. */

struct sizes {
    int timer_fd; /* becomes readable when it is time to ask */
    int socket_fds[FAMILY_COUNT];
    struct table_size {
        bool is_there; /* a table that nobody uses is not: asking the kernel for it would make it */
        uint32_t entries, bytes;
    } left[FAMILY_COUNT][TABLE_COUNT];
};

int sizes_open(struct sizes *sizes, struct err *err);
void sizes_close(struct sizes *sizes);
/* What is there now is what has to stay. */
void sizes_remember(struct sizes *sizes);
/* Whether it has changed since; does not remember. */
bool sizes_have_changed(const struct sizes *sizes);
/* Waits for the next second. */
void sizes_rest(struct sizes *sizes);
