/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"
#include "dataplane/rules/layout.h"

/* Makes iptables hold what a mode wants, by the host's iptables-save and iptables-restore of each family that
 * has them and of either backend, and hears of others' hands in it. One thing is under way at a time; nothing
 * waits. Each table changes whole or not at all, as packets see it: chains that nothing leads to yet may be
 * made ahead (layout_prepare). Of what others have, nothing is touched.
 *
 * A dataplane over iptables is: its own_rules; a pure function that makes the layout of a family; load, which
 * hands the layouts to writer_compare; and sync, which does the same or knows itself what to write
 * (writer_restore). It gives the results of both on as they are, and on_written calls owner->finished. */

struct writer;

/* What a compare has read of a family, before it writes anything: 0, or -errno with a sentence, and it ends.
 */
typedef int writer_read_fn(void *context, const struct layout *have, struct err *err);
/* Once for everything that is under way, from the loop: 0, or -errno with a sentence. */
typedef void writer_done_fn(void *context, int code, const struct dataplane_result *result,
                            const struct err *err);

/* Whether the programs are there for a family at least, and could write such rules; -errno with a sentence.
 */
int writer_probe(struct err *err);
/* own is borrowed and outlives the writer. -ENOENT where there are no programs, -errno; writer_close. */
int writer_open(struct writer **ret, uv_loop_t *loop, const struct own_rules *own, writer_done_fn *done,
                void *context, struct err *err);
/* From now on; with done's context. */
void writer_set_read(struct writer *writer, writer_read_fn *read);
/* Ends what is under way. Leaves the rules. */
void writer_close(struct writer *writer);
bool writer_has_family(const struct writer *writer, enum family family);
/* The kernel has what the last success left; false as well while something is under way. */
bool writer_is_known(const struct writer *writer);

/* Reads what is there, and writes the difference to want, in the order of the tables mangle, nat, filter.
 * Takes the layouts ({0} for a family that the writer does not have, or where nothing of the mode's is
 * wanted). -EINPROGRESS: done is called later; 0: *ret is set; else -errno. was_full of the result is set.
 * was_disturbed asks for another compare. */
int writer_compare(struct writer *writer, struct layout want[FAMILY_COUNT], struct dataplane_result *ret,
                   struct err *err);

/* What a mode knows to be different from what the last success left; start from {0}. */
struct writer_change {
    struct text input[FAMILY_COUNT];                    /* of iptables-restore --noflush */
    uint32_t adds, removes;                             /* rules, for the result */
    int64_t rules[FAMILY_COUNT][DATAPLANE_TABLE_COUNT]; /* how many more there are behind it */
};
/* Writes that, without reading. Takes the texts. Only where writer_is_known: else -ESTALE. */
int writer_restore(struct writer *writer, struct writer_change *change, struct dataplane_result *ret,
                   struct err *err);

/* For the dataplane's operations of the same names. */
int writer_watch_fd(const struct writer *writer);
bool writer_is_disturbed(struct writer *writer);
const struct dataplane_restores *writer_restores(const struct writer *writer);
