/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/nftables/kernel.h"

/* What the kernel holds of our table. Nothing of other tables is asked for. */

/* A user-data entry of our own in every rule (nft passes over types that it does not know). */
#define USERDATA_FINGERPRINT 200

struct kernel_chain {
    char *name;
    uint64_t fingerprint; /* of its rules in order; see chain_fingerprint */
    uint32_t rule_count;
    enum chain_hook hook;
    int priority; /* with a hook */
    bool accepts; /* what no rule decided about; without a hook always true */
};

struct kernel_set {
    char *name;
    bool is_ours;      /* a set that we make, in the form in which we make it */
    bool is_anonymous; /* comes and goes with its rule */
    enum set_id id;
    uint32_t size;
};

/* In the arena. */
struct kernel_table {
    bool is_there;
    uint32_t flags; /* NFT_TABLE_F_*: we make it with none; a dormant table is deaf */
    struct kernel_chain *chains;
    struct kernel_set *sets;
    uint32_t chain_count, set_count;
};

int readback_table(struct kernel *kernel, enum family family, struct arena *arena, struct kernel_table *ret,
                   struct err *err);

/* The same from the bytes of answers to such dumps: for fuzzing. Never reads past len. */
void readback_parse_table(const void *bytes, size_t len, enum family family, struct arena *arena,
                          struct kernel_table *ret);

typedef void readback_element_fn(const struct element *element, void *context);
/* Every element of the set. Of the single-key interval set (service-cidrs) the bounds come one by one, ends
 * included. */
int readback_set(struct kernel *kernel, enum family family, enum set_id set, readback_element_fn *visit,
                 void *context, struct err *err);
/* Asks for the one element with element's key and fills in its data. -ENOENT when it is not there. */
int readback_element(struct kernel *kernel, struct element *element, struct err *err);

/* The same number for a chain of ours and for the chain that the kernel made of it. */
uint64_t chain_fingerprint(const struct chain *chain, enum family family);

/* One answer to a dump of elements, taken apart: for fuzzing. Never reads past the message. */
void readback_parse_elements(const struct nlmsghdr *message, enum family family, enum set_id set,
                             readback_element_fn *visit, void *context);
