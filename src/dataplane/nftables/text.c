/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/rules.h"

#include <string.h>

static void field_format(enum field field, enum family family, const struct statement *statement,
                         struct text *ret)
{
    const char *ip = family == FAMILY_IPV4 ? "ip" : "ip6";
    switch (field) {
    case FIELD_NONE:
        break;
    case FIELD_DADDR:
        text_printf(ret, "%s daddr", ip);
        break;
    case FIELD_SADDR:
        text_printf(ret, "%s saddr", ip);
        break;
    case FIELD_PROTOCOL:
        text_add(ret, "meta l4proto");
        break;
    case FIELD_DPORT:
        text_add(ret, "th dport");
        break;
    case FIELD_SLOT:
        text_printf(ret, "numgen random mod %u", statement->number);
        if (statement->offset)
            text_printf(ret, " offset %u", statement->offset);
        break;
    case FIELD_VALUE:
        text_add(ret, "meta priority");
        break;
    case FIELD_ORIGINAL_DADDR:
        text_printf(ret, "ct original %s daddr", ip);
        break;
    case FIELD_ORIGINAL_DPORT:
        text_add(ret, "ct original proto-dst");
        break;
    }
}

static void key_format(const struct statement *statement, enum family family, struct text *ret)
{
    for (int i = 0; i < KEY_FIELDS_MAX && statement->key[i] != FIELD_NONE; i++) {
        if (i > 0)
            text_add(ret, " . ");
        field_format(statement->key[i], family, statement, ret);
    }
}

static void prefix_match_format(const struct statement *statement, enum family family, struct text *ret)
{
    char prefix[PREFIX_TEXT_MAX];
    text_printf(ret, "%s saddr %s%s", family == FAMILY_IPV4 ? "ip" : "ip6",
                statement->kind == STATEMENT_NOT_FROM_PREFIX ? "!= " : "",
                prefix_format(&statement->prefix, prefix));
}

static void statement_format(const struct statement *statement, enum family family, struct text *ret)
{
    const char *set = set_schema(statement->set)->name;
    const char *ip = family == FAMILY_IPV4 ? "ip" : "ip6";
    switch (statement->kind) {
    case STATEMENT_LOOKUP_VALUE:
        text_add(ret, "meta priority set ");
        key_format(statement, family, ret);
        text_printf(ret, " map @%s", set);
        break;
    case STATEMENT_VALUE_VERDICT:
        text_printf(ret, "meta priority vmap @%s", set);
        break;
    case STATEMENT_CLEAR_VALUE:
        text_add(ret, "meta priority set 0");
        break;
    case STATEMENT_IN_SET:
    case STATEMENT_NOT_IN_SET:
        key_format(statement, family, ret);
        text_printf(ret, " %s@%s", statement->kind == STATEMENT_NOT_IN_SET ? "!= " : "", set);
        break;
    case STATEMENT_DNAT:
        text_add(ret, "dnat to ");
        key_format(statement, family, ret);
        text_printf(ret, " map @%s", set);
        break;
    case STATEMENT_GOTO:
        text_printf(ret, "goto %s", statement->chain);
        break;
    case STATEMENT_JUMP:
        text_printf(ret, "jump %s", statement->chain);
        break;
    case STATEMENT_DROP:
        text_add(ret, "drop");
        break;
    case STATEMENT_REJECT:
        text_add(ret, "reject");
        break;
    case STATEMENT_RESET:
        text_add(ret, "meta l4proto tcp reject with tcp reset");
        break;
    case STATEMENT_MASQUERADE:
        text_add(ret, "masquerade fully-random");
        break;
    case STATEMENT_FROM_PREFIX:
    case STATEMENT_NOT_FROM_PREFIX:
        prefix_match_format(statement, family, ret);
        break;
    case STATEMENT_FROM_INTERFACE:
        text_printf(ret, "iifname \"%s\"", statement->interface);
        break;
    case STATEMENT_NOT_FROM_INTERFACE:
        text_printf(ret, "iifname != \"%s\"", statement->interface);
        break;
    case STATEMENT_FROM_THIS_NODE:
        text_add(ret, "fib saddr type local");
        break;
    case STATEMENT_IS_DNAT:
        text_add(ret, "ct status dnat");
        break;
    case STATEMENT_LEARN_AFFINITY:
        text_printf(
            ret, "update @%s { %s saddr . meta l4proto . meta priority timeout %us : %s daddr . th dport }",
            set, ip, statement->number, ip);
        break;
    }
}

void rule_format(const struct rule *rule, enum family family, struct text *ret)
{
    for (unsigned i = 0; i < rule->count; i++) {
        if (i > 0)
            text_add(ret, " ");
        statement_format(&rule->statements[i], family, ret);
    }
    if (rule->comment)
        text_printf(ret, " comment \"%s\"", rule->comment);
}

void chain_format(const struct chain *chain, enum family family, struct text *ret)
{
    static const char *const hooks[] = {"", "prerouting", "input", "output", "postrouting"};
    text_printf(ret, "\tchain %s {\n", chain->name);
    if (chain->hook != HOOK_NONE)
        text_printf(ret, "\t\ttype nat hook %s priority %d; policy accept;\n", hooks[chain->hook],
                    chain->priority);
    for (unsigned i = 0; i < chain->count; i++) {
        text_add(ret, "\t\t");
        rule_format(&chain->rules[i], family, ret);
        text_add(ret, "\n");
    }
    text_add(ret, "\t}\n");
}
