/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* A plan is a text file of one change a line, words of the form key=value:
 *   kind=NAME op=rename|unlink|put|check|await [from=PATH] [to=PATH] at=ADDRESS:PORT [allowed=A,B,...]
 * [must=A] [probes=N] [spread=any|one|many] "rename" moves from over to, "unlink" removes to, "put" sends
 * what is in from to the path to of an API server, "check" changes nothing, and "await" waits for what
 * somebody else changes. Afterwards every connection to `at` must be answered by one of allowed (by nobody
 * when there is none), must has to answer in the end, and with spread "one" all connections meet the same
 * endpoint, with "many" two or more. Paths hold no blanks. */
enum plan_op { PLAN_CHECK, PLAN_RENAME, PLAN_UNLINK, PLAN_PUT, PLAN_AWAIT };
enum plan_spread { PLAN_ANY, PLAN_ONE, PLAN_MANY };

struct plan_step {
    const char *kind, *from, *to;
    enum plan_op op;
    enum plan_spread spread;
    struct sockaddr_in at;
    struct in_addr *allowed, must; /* must: INADDR_ANY when none */
    size_t allowed_count;
    unsigned probes;
};

/* One line, cut up in place; the strings of ret_step point into it, the addresses are arena's. -EINVAL with a
 * sentence. */
int plan_step_parse(char *line, struct arena *arena, struct plan_step *ret_step, struct err *err);

/* All steps of a file, in arena. */
int plan_read(const char *path, struct arena *arena, struct plan_step **ret_steps, size_t *ret_count,
              struct err *err);

/* What the connections made for a step have shown so far. */
struct plan_seen {
    struct in_addr first;
    unsigned probes;
    bool has_must, is_many;
};

/* Judges one more answer. -EINVAL with a sentence when the step is not in force. */
int plan_judge(const struct plan_step *step, struct plan_seen *seen, struct in_addr endpoint,
               struct err *err);
/* Whether the step asks for no more connections. */
bool plan_is_satisfied(const struct plan_step *step, const struct plan_seen *seen);
