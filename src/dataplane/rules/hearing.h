/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "dataplane/rules/own.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What nf_tables tells of commits in this network namespace (NFNLGRP_NFTABLES), as far as it concerns the
 * chains and jumps that iptables-nft makes for a mode of ours. Every message carries the port of the socket
 * that asked for the commit, and libmnl's sockets bear the number of their process: so our own programs are
 * known, in whatever pid namespace others live. */

struct hearing {
    const struct own_rules *rules;
    int fd;     /* joined to the group */
    int ask_fd; /* requests */
    pid_t own;  /* a program of ours that runs; 0: none */
    bool is_disturbed;
    struct {
        uint32_t jumps; /* rules that lead to chains of ours, when hearing_count_jumps was called */
        bool is_suspect;
    } bases[FAMILY_COUNT][OWN_BASES_MAX]; /* as own_base */
};

/* rules is borrowed. */
int hearing_open(struct hearing *hearing, const struct own_rules *rules, struct err *err);
void hearing_close(struct hearing *hearing);
/* From now on pid's commits are not told; 0: everybody's are again. What was told before that is read here.
 */
void hearing_own(struct hearing *hearing, pid_t pid);
/* Reads the socket dry and forgets it. */
void hearing_forget(struct hearing *hearing);
/* Takes what the kernel has now for what has to stay. A question that it does not answer counts as
 * disturbance. */
void hearing_count_jumps(struct hearing *hearing);
/* Reads the socket dry. True when somebody else changed or removed a chain of ours or a jump to it, or when
 * messages were lost; once for what was read. */
bool hearing_is_disturbed(struct hearing *hearing);
/* One message; for the test. */
void hearing_take(struct hearing *hearing, const void *bytes, size_t len);
