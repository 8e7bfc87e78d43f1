/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/hearing.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#define OTHERS 4711
#define OURS 4712

static bool has_chain(enum layout_table table, const char *chain)
{
    if (table == TABLE_FILTER)
        return strcmp(chain, "KUBE-FORWARD") == 0 || strcmp(chain, "KUBE-FIREWALL") == 0 ||
               strcmp(chain, "FAIRLEAD-CLUSTER-IPS") == 0;
    return table == TABLE_NAT && strncmp(chain, "KUBE-S", 6) == 0;
}

static const struct own_jump jumps[] = {{TABLE_FILTER, "FORWARD", "-j KUBE-FORWARD"},
                                        {TABLE_FILTER, "INPUT", "-j KUBE-FIREWALL"},
                                        {TABLE_FILTER, "INPUT", "-j FAIRLEAD-CLUSTER-IPS"},
                                        {TABLE_NAT, "OUTPUT", "-j KUBE-SERVICES"}};
static const struct own_rules rules = {jumps, ARRAY_LEN(jumps), 0, has_chain};

/* A message as the kernel sends it; jump: of a new rule, the chain that it leads to. */
static size_t message(char *buffer, uint16_t type, uint8_t family, const char *table, const char *chain,
                      const char *jump, uint32_t port)
{
    struct nlmsghdr *header = nftnl_nlmsg_build_hdr(buffer, type, family, 0, 0);
    bool is_of_chain = type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN;
    header->nlmsg_pid = port;
    mnl_attr_put_strz(header, NFTA_RULE_TABLE, table);
    if (chain)
        mnl_attr_put_strz(header, is_of_chain ? NFTA_CHAIN_NAME : NFTA_RULE_CHAIN, chain);
    if (jump) {
        struct nftnl_rule *rule = nftnl_rule_alloc();
        struct nftnl_expr *expr = nftnl_expr_alloc("immediate");
        nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
        nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)NFT_JUMP);
        nftnl_expr_set_str(expr, NFTNL_EXPR_IMM_CHAIN, jump);
        nftnl_rule_add_expr(rule, expr);
        nftnl_rule_nlmsg_build_payload(header, rule);
        nftnl_rule_free(rule);
    }
    return header->nlmsg_len;
}

enum outcome { NOTHING, SUSPECT, DISTURBED };

static enum outcome outcome_of(const struct hearing *hearing)
{
    enum outcome outcome = NOTHING;
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int base = 0; base < OWN_BASES_MAX; base++)
            if (hearing->bases[family][base].is_suspect)
                outcome = SUSPECT;
    return hearing->is_disturbed ? DISTURBED : outcome;
}

static void hears_what_concerns_us(void **state)
{
    static const struct {
        uint16_t type;
        uint8_t family;
        const char *table, *chain, *jump;
        uint32_t port;
        enum outcome outcome;
    } cases[] = {
        {NFT_MSG_DELTABLE, AF_INET, "nat", NULL, NULL, OTHERS, DISTURBED},
        {NFT_MSG_DELTABLE, AF_INET, "raw", NULL, NULL, OTHERS, NOTHING},
        {NFT_MSG_DELTABLE, NFPROTO_INET, "nat", NULL, NULL, OTHERS, NOTHING},
        {NFT_MSG_DELCHAIN, AF_INET6, "nat", "KUBE-SVC-AAAAAAAAAAAAAAAA", NULL, OTHERS, DISTURBED},
        {NFT_MSG_DELCHAIN, AF_INET, "filter", "KUBE-FORWARD", NULL, OTHERS, DISTURBED},
        {NFT_MSG_DELCHAIN, AF_INET, "filter", "FAIRLEAD-CLUSTER-IPS", NULL, OTHERS, DISTURBED},
        {NFT_MSG_DELCHAIN, AF_INET, "filter", "KUBE-ROUTER-INPUT", NULL, OTHERS, NOTHING},
        {NFT_MSG_NEWCHAIN, AF_INET, "nat", "KUBE-SERVICES", NULL, OTHERS, NOTHING},
        {NFT_MSG_DELRULE, AF_INET, "nat", "KUBE-SERVICES", NULL, OTHERS, DISTURBED},
        {NFT_MSG_DELRULE, AF_INET, "nat", "KUBE-SERVICES", NULL, OURS, NOTHING},
        {NFT_MSG_DELRULE, AF_INET, "mangle", "KUBE-SERVICES", NULL, OTHERS, NOTHING},
        {NFT_MSG_DELRULE, AF_INET, "nat", "DOCKER", NULL, OTHERS, NOTHING},
        {NFT_MSG_NEWRULE, AF_INET, "nat", "KUBE-SEP-AAAAAAAAAAAAAAAA", NULL, OTHERS, DISTURBED},
        {NFT_MSG_DELRULE, AF_INET, "filter", "INPUT", NULL, OTHERS, SUSPECT},
        {NFT_MSG_NEWRULE, AF_INET, "filter", "INPUT", NULL, OTHERS, NOTHING},
        {NFT_MSG_NEWRULE, AF_INET, "filter", "INPUT", "KUBE-ROUTER-INPUT", OTHERS, NOTHING},
        {NFT_MSG_NEWRULE, AF_INET, "filter", "INPUT", "KUBE-FIREWALL", OTHERS, DISTURBED},
        {NFT_MSG_NEWSETELEM, AF_INET, "nat", "KUBE-SERVICES", NULL, OTHERS, NOTHING},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _Alignas(struct nlmsghdr) char buffer[1024];
        struct hearing hearing = {.rules = &rules, .fd = -1, .ask_fd = -1, .own = OURS};
        hearing_take(&hearing, buffer,
                     message(buffer, cases[i].type, cases[i].family, cases[i].table, cases[i].chain,
                             cases[i].jump, cases[i].port));
        if (outcome_of(&hearing) != cases[i].outcome)
            fail_msg("case %zu: %d instead of %d", i, outcome_of(&hearing), cases[i].outcome);
    }
    (void)state;
}

/* Cut anywhere, or with a length that lies, it is passed over and never read past its end. */
static void survives_what_is_cut(void **state)
{
    _Alignas(struct nlmsghdr) char whole[1024];
    size_t len = message(whole, NFT_MSG_NEWRULE, AF_INET, "filter", "INPUT", "KUBE-FIREWALL", OTHERS);
    for (size_t cut = 0; cut < len; cut++) {
        struct hearing hearing = {.rules = &rules, .fd = -1, .ask_fd = -1};
        char *part = malloc(cut + 1); /* a block of its own, so that a sanitizer sees its end */
        memcpy(part, whole, cut);
        hearing_take(&hearing, part, cut);
        if (cut >= sizeof(struct nlmsghdr)) {
            ((struct nlmsghdr *)part)->nlmsg_len = (uint32_t)cut;
            hearing_take(&hearing, part, cut);
        }
        free(part);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_what_concerns_us),
        cmocka_unit_test(survives_what_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
