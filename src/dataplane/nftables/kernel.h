/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/encode.h"
#include "sys/netlink.h"

/* The netlink socket to nf_tables. Every call blocks for as long as the kernel takes. */
struct kernel {
    int fd;       /* requests */
    int watch_fd; /* changes of our table by others */
    uint32_t port_id;
    bool is_watching; /* watch_fd is a member of the group */
};

int kernel_open(struct kernel *kernel, struct err *err);
void kernel_close(struct kernel *kernel);

/* Commits the batch in one transaction. generation, when not 0, must still be the kernel's (-ERESTART
 * otherwise). On failure nothing of it is in force and ret_blamed, when it could be told, is the refused
 * element (else its set is SET_COUNT). -ENOENT, -EEXIST and -ENFILE (a set with a size is full) as the kernel
 * has them. */
int kernel_commit(struct kernel *kernel, struct batch *batch, uint32_t generation, struct element *ret_blamed,
                  struct err *err);
/* What the answers in bytes say about batch: 0, -errno as kernel_commit, -EPROTO when nothing answers its
 * last message. For fuzzing; never reads past len. */
int kernel_parse_answers(struct batch *batch, const void *bytes, size_t len, struct element *ret_blamed);
/* The same while nobody listens: for a listener the kernel describes every element of the commit, which
 * doubles what a small one costs. The generation tells whether somebody else committed in that moment: then
 * *ret_disturbed, for it may have been our table, and nobody heard. Without a joined watch it is
 * kernel_commit. */
int kernel_commit_unheard(struct kernel *kernel, struct batch *batch, struct element *ret_blamed,
                          bool *ret_disturbed, struct err *err);
/* The ruleset generation: it moves with every commit by anybody in this namespace. */
int kernel_generation(struct kernel *kernel, uint32_t *ret, struct err *err);

/* netlink_ask, with a sentence. request is complete but for its sequence number. */
int kernel_ask(struct kernel *kernel, struct nlmsghdr *request, netlink_visit_fn *visit, void *context,
               struct err *err);

/* Listening makes the kernel describe every element of a commit: leave before a large one, join again after
 * it. */
void kernel_watch_leave(struct kernel *kernel);
int kernel_watch_join(struct kernel *kernel, struct err *err);
/* Reads watch_fd dry. True when somebody else touched our table, or messages were lost. */
bool kernel_watch_is_disturbed(struct kernel *kernel);
