/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/request.h"
#include "base/err.h"

/* Who asks, and what he may do. Identities come from client certificates (CN and O) and from tokens; there
 * are three sorts of people: administrators (group system:masters) may do everything; proxies (group
 * system:nodes, as system:node:NAME, or user system:kube-proxy) may read what a proxy reads and write their
 * own Lease, Events and their own Node's status; everybody else who is known may only ask what the server is.
 */

#define USER_GROUPS_MAX 8

struct user {
    const char *name; /* "system:anonymous" when nobody said who he is */
    const char *groups[USER_GROUPS_MAX];
    size_t group_count;
    bool is_anonymous;
};

/* The tokens of a file, in kube-apiserver's static token form: TOKEN,USER,UID[,"GROUP,GROUP"] a line; '#'
 * begins a comment. Read again whenever it changed. */
struct tokens;
/* The file may be missing: then there are no tokens. One that cannot be read is reported, and none is good.
 * Holds a copy of path; report may be NULL. */
struct tokens *tokens_new(const char *path, void (*report)(void *context, const char *sentence),
                          void *context);
void tokens_free(struct tokens *tokens);
/* Takes constant time for tokens of equal length. Strings are borrowed until the next call; false: unknown.
 */
bool tokens_find(struct tokens *tokens, const char *token, struct user *ret);
/* Appends a token for a user and syncs the file (mode 0600). */
int tokens_append(const char *path, const char *token, const char *user, const char *group, struct err *err);

bool user_is_in(const struct user *user, const char *group);
/* false: *ret_why says upstream's sentence after `is forbidden: `, in the arena. */
bool user_may(const struct user *user, enum verb verb, const struct target *target, struct arena *arena,
              const char **ret_why);
