/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/trial.h"

#include "dataplane/nftables/rules.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <sys/socket.h>

#define LEARN_S 10800 /* any: the rule is the same */

static bool has_table(struct kernel *kernel, enum family family)
{
    char buffer[128] = {0};
    struct err err;
    struct nlmsghdr *request = nftnl_nlmsg_build_hdr(
        buffer, NFT_MSG_GETTABLE, family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6, NLM_F_ACK, 0);
    mnl_attr_put_strz(request, NFTA_TABLE_NAME, TABLE_NAME);
    return kernel_ask(kernel, request, NULL, NULL, &err) == 0;
}

static struct chain_list chains_of(enum family family, struct arena *arena)
{
    const struct node_view view = {0};
    struct chain_list list = rules_build_fixed(family, &view, arena);
    struct chain *all = arena_array(arena, struct chain, list.count + 1);
    memcpy(all, list.list, list.count * sizeof(*all));
    all[list.count] = rules_build_learn(LEARN_S, arena);
    return (struct chain_list){.list = all, .count = list.count + 1};
}

/* One rule: by the numbers of its chain, and in it. */
struct place {
    unsigned chain, rule;
};

static void write_family(struct batch *batch, enum family family, const struct place *only,
                         struct arena *arena)
{
    struct chain_list chains = chains_of(family, arena);
    batch_add_table(batch, family);
    for (int set = 0; set < SET_COUNT; set++)
        batch_add_set(batch, family, (enum set_id)set, 0);
    for (unsigned i = 0; i < chains.count; i++)
        batch_add_chain(batch, family, &chains.list[i]);
    for (unsigned i = 0; i < chains.count; i++) {
        struct chain chain = chains.list[i];
        if (only) {
            chain.rules += i == only->chain ? only->rule : 0;
            chain.count = i == only->chain;
        }
        batch_add_rules(batch, family, &chain);
    }
}

/* 0 when the kernel takes it; only: a single rule instead of all. */
static int attempt(struct kernel *kernel, enum family first, enum family last, const struct place *only,
                   struct err *err)
{
    struct element blamed;
    struct arena arena;
    struct batch batch;
    arena_init(&arena);
    batch_init(&batch);
    for (enum family family = first; family <= last; family++)
        write_family(&batch, family, only, &arena);
    batch_add_trial_end(&batch, last);
    int code = kernel_commit(kernel, &batch, 0, &blamed, err);
    batch_done(&batch);
    arena_done(&arena);
    if (code == 0)
        return err_set(err, EPROTO, "the kernel took what it should refuse");
    return code == -EEXIST ? 0 : code;
}

static bool is_refused(struct kernel *kernel, enum family family, const struct chain_list *chains,
                       const struct place *place, struct err *err)
{
    struct text text = {0};
    int code = attempt(kernel, family, family, place, err);
    if (code == 0)
        return false;
    rule_format(&chains->list[place->chain].rules[place->rule], family, &text);
    err_set(err, -code, "the kernel refuses the rule \"%s\" for %s: %s", text_str(&text), family_name(family),
            strerror(-code));
    text_done(&text);
    return true;
}

/* Finds the first rule that is refused by itself; without one err stays what the whole gave. */
static void blame_rule(struct kernel *kernel, enum family family, struct err *err)
{
    struct arena arena;
    struct err reason;
    struct place at = {0};
    bool is_found = false;
    arena_init(&arena);
    struct chain_list chains = chains_of(family, &arena);
    for (at.chain = 0; at.chain < chains.count && !is_found; at.chain++)
        for (at.rule = 0; at.rule < chains.list[at.chain].count && !is_found; at.rule++)
            is_found = is_refused(kernel, family, &chains, &at, &reason);
    if (is_found)
        *err = reason;
    arena_done(&arena);
}

int trial_run(struct kernel *kernel, struct err *err)
{
    if (has_table(kernel, FAMILY_IPV4) || has_table(kernel, FAMILY_IPV6))
        return 0;
    int code = attempt(kernel, FAMILY_IPV4, FAMILY_IPV6, NULL, err);
    for (int family = 0; code < 0 && family < FAMILY_COUNT; family++) {
        struct err reason;
        if (attempt(kernel, (enum family)family, (enum family)family, NULL, &reason) == 0)
            continue;
        blame_rule(kernel, (enum family)family, err);
        break;
    }
    return code;
}
