/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/userspace/portals.h"
#include "sys/program.h"

/* Makes iptables hold the portals: what is there is read, and the difference written, by iptables-save and
 * iptables-restore of each family that has them. */

enum writer_step { WRITER_SAVE, WRITER_RESTORE };

struct writer {
    uv_loop_t *loop;
    bool has_family[FAMILY_COUNT];
    char paths[FAMILY_COUNT][2][PATH_MAX]; /* by step */
    /* From the loop: 0, or -errno with a sentence. */
    void (*done)(void *context, int code, const struct err *err);
    void *context;
    /* What is under way. */
    struct program *program;
    enum writer_step step;
    int family;
    bool is_removal;
    struct layout want[FAMILY_COUNT];
    struct text input[FAMILY_COUNT];
    uint32_t adds, transactions;
};

/* -ENOENT with a sentence where neither family has iptables. writer_done. */
int writer_init(struct writer *writer, uv_loop_t *loop, struct err *err);
/* Ends what is under way. */
void writer_done(struct writer *writer);
/* Takes the layouts of all families that it has. -EINPROGRESS: done is called later; else -errno. */
int writer_begin(struct writer *writer, struct layout want[FAMILY_COUNT], struct err *err);
/* Removes all portals, and returns when that is done; on a loop of its own. */
int writer_remove(struct err *err);
