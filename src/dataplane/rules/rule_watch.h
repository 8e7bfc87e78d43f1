/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "dataplane/rules/own.h"

#include <stdbool.h>
#include <sys/types.h>

/* Hears of others' hands in a mode's own rules, by whichever backend the host's iptables has. */

struct rule_watch;

/* restore is the path of an iptables-restore: what it leads to names the backend. Where that is neither, as
 * with a script, both are watched. own is borrowed. */
int rule_watch_open(const char *restore, const struct own_rules *own, struct rule_watch **ret,
                    struct err *err);
void rule_watch_close(struct rule_watch *watch); /* NULL is allowed */
/* Becomes readable when there may be something. */
int rule_watch_fd(const struct rule_watch *watch);
/* Everything is about to be read: what was before that is of no interest. */
void rule_watch_forget(struct rule_watch *watch);
/* A program of ours has been started and may write; and its end. True when somebody else wrote before or
 * meanwhile. */
bool rule_watch_begin(struct rule_watch *watch, pid_t pid);
bool rule_watch_end(struct rule_watch *watch);
/* Everything is in place: it has to stay. True when it wants to be compared once more, because the legacy
 * tables were written: what others did between our program's last moment and our question has become part of
 * the sizes that we know. */
bool rule_watch_remember(struct rule_watch *watch, bool was_written);
/* Reads the descriptor dry; true once for every disturbance. */
bool rule_watch_is_disturbed(struct rule_watch *watch);
