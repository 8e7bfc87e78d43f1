/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/encode.h"
#include "dataplane/nftables/readback.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* The rule being written. Keys are laid out from the first 32-bit register on, and what a lookup finds
 * replaces them: no rule needs more (the longest is the IPv6 learn rule with eleven). */
struct rule_writer {
    struct nftnl_rule *rule;
    enum family family;
};

#define FIRST_REGISTER NFT_REG32_00

static struct nftnl_expr *expression(struct rule_writer *writer, const char *name)
{
    struct nftnl_expr *expr = nftnl_expr_alloc(name);
    if (!expr)
        abort();
    nftnl_rule_add_expr(writer->rule, expr);
    return expr;
}

static void write_payload(struct rule_writer *writer, uint32_t base, uint32_t offset, uint32_t len,
                          uint32_t reg)
{
    struct nftnl_expr *expr = expression(writer, "payload");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, len);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void write_meta_load(struct rule_writer *writer, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *expr = expression(writer, "meta");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, reg);
}

static void write_meta_store(struct rule_writer *writer, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *expr = expression(writer, "meta");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_SREG, reg);
}

static void write_ct_load(struct rule_writer *writer, uint32_t key, int direction, uint32_t reg)
{
    struct nftnl_expr *expr = expression(writer, "ct");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_KEY, key);
    if (direction >= 0)
        nftnl_expr_set_u8(expr, NFTNL_EXPR_CT_DIR, (uint8_t)direction);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_DREG, reg);
}

static void write_compare(struct rule_writer *writer, uint32_t op, const void *data, uint32_t len)
{
    struct nftnl_expr *expr = expression(writer, "cmp");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, op);
    nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, data, len);
}

static void write_verdict(struct rule_writer *writer, int verdict, const char *chain)
{
    struct nftnl_expr *expr = expression(writer, "immediate");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
    if (chain)
        nftnl_expr_set_str(expr, NFTNL_EXPR_IMM_CHAIN, chain);
}

static void write_field(struct rule_writer *writer, enum field field, const struct statement *statement,
                        uint32_t reg)
{
    bool is_v4 = writer->family == FAMILY_IPV4;
    uint32_t address_len = field_len(FIELD_DADDR, writer->family);
    switch (field) {
    case FIELD_NONE:
        break;
    case FIELD_DADDR: /* offsets of the fixed IPv4 and IPv6 headers: RFC 791, RFC 8200 */
        write_payload(writer, NFT_PAYLOAD_NETWORK_HEADER, is_v4 ? 16 : 24, address_len, reg);
        break;
    case FIELD_SADDR:
        write_payload(writer, NFT_PAYLOAD_NETWORK_HEADER, is_v4 ? 12 : 8, address_len, reg);
        break;
    case FIELD_PROTOCOL:
        write_meta_load(writer, NFT_META_L4PROTO, reg);
        break;
    case FIELD_DPORT: /* at the same place in TCP, UDP and SCTP */
        write_payload(writer, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
        break;
    case FIELD_SLOT: {
        struct nftnl_expr *expr = expression(writer, "numgen");
        nftnl_expr_set_u32(expr, NFTNL_EXPR_NG_DREG, reg);
        nftnl_expr_set_u32(expr, NFTNL_EXPR_NG_TYPE, NFT_NG_RANDOM);
        nftnl_expr_set_u32(expr, NFTNL_EXPR_NG_MODULUS, statement->number);
        nftnl_expr_set_u32(expr, NFTNL_EXPR_NG_OFFSET, statement->offset);
        break;
    }
    case FIELD_VALUE:
        write_meta_load(writer, NFT_META_PRIORITY, reg);
        break;
    case FIELD_ORIGINAL_DADDR:
        write_ct_load(writer, is_v4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6, IP_CT_DIR_ORIGINAL, reg);
        break;
    case FIELD_ORIGINAL_DPORT:
        write_ct_load(writer, NFT_CT_PROTO_DST, IP_CT_DIR_ORIGINAL, reg);
        break;
    }
}

/* Returns the register behind the key. */
static uint32_t write_key(struct rule_writer *writer, const struct statement *statement)
{
    uint32_t reg = FIRST_REGISTER;
    for (int i = 0; i < KEY_FIELDS_MAX && statement->key[i] != FIELD_NONE; i++) {
        write_field(writer, statement->key[i], statement, reg);
        reg += field_len(statement->key[i], writer->family) / 4;
    }
    return reg;
}

static struct nftnl_expr *write_lookup(struct rule_writer *writer, enum set_id set)
{
    struct nftnl_expr *expr = expression(writer, "lookup");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, FIRST_REGISTER);
    nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, set_schema(set)->name);
    return expr;
}

static void write_dnat(struct rule_writer *writer, const struct statement *statement)
{
    write_key(writer, statement);
    nftnl_expr_set_u32(write_lookup(writer, statement->set), NFTNL_EXPR_LOOKUP_DREG, FIRST_REGISTER);
    struct nftnl_expr *expr = expression(writer, "nat");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_FAMILY,
                       writer->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_REG_ADDR_MIN, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_REG_PROTO_MIN,
                       FIRST_REGISTER + field_len(FIELD_DADDR, writer->family) / 4);
}

static void write_from_prefix(struct rule_writer *writer, const struct statement *statement)
{
    size_t len;
    const uint8_t *wire = address_wire(&statement->prefix.address, &len);
    uint8_t mask[16] = {0}, zeros[16] = {0};
    for (unsigned bit = 0; bit < statement->prefix.len; bit++)
        mask[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    write_field(writer, FIELD_SADDR, statement, FIRST_REGISTER);
    struct nftnl_expr *expr = expression(writer, "bitwise");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, (uint32_t)len);
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, mask, (uint32_t)len);
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, zeros, (uint32_t)len);
    write_compare(writer, statement->kind == STATEMENT_FROM_PREFIX ? NFT_CMP_EQ : NFT_CMP_NEQ, wire,
                  (uint32_t)len);
}

static void write_from_interface(struct rule_writer *writer, const struct statement *statement)
{
    /* A prefix compares its own bytes; a whole name compares the padded field. */
    size_t len = strlen(statement->interface);
    bool is_prefix = len > 0 && statement->interface[len - 1] == '*';
    write_meta_load(writer, NFT_META_IIFNAME, NFT_REG_1);
    write_compare(writer, statement->kind == STATEMENT_FROM_INTERFACE ? NFT_CMP_EQ : NFT_CMP_NEQ,
                  statement->interface, is_prefix ? (uint32_t)len - 1 : IFNAMSIZ);
}

static void write_is_dnat(struct rule_writer *writer)
{
    const uint32_t mask = IPS_DST_NAT, zero = 0;
    write_ct_load(writer, NFT_CT_STATUS, -1, FIRST_REGISTER);
    struct nftnl_expr *expr = expression(writer, "bitwise");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
    nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof(zero));
    write_compare(writer, NFT_CMP_NEQ, &zero, sizeof(zero));
}

static void write_from_this_node(struct rule_writer *writer)
{
    const uint32_t local = RTN_LOCAL;
    struct nftnl_expr *expr = expression(writer, "fib");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_SADDR);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, FIRST_REGISTER);
    write_compare(writer, NFT_CMP_EQ, &local, sizeof(local));
}

static void write_clear_value(struct rule_writer *writer)
{
    const uint32_t zero = 0;
    struct nftnl_expr *expr = expression(writer, "immediate");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, FIRST_REGISTER);
    nftnl_expr_set(expr, NFTNL_EXPR_IMM_DATA, &zero, sizeof(zero));
    write_meta_store(writer, NFT_META_PRIORITY, FIRST_REGISTER);
}

static void write_reject(struct rule_writer *writer, bool with_reset)
{
    if (with_reset) {
        const uint8_t tcp = IPPROTO_TCP;
        write_meta_load(writer, NFT_META_L4PROTO, FIRST_REGISTER);
        write_compare(writer, NFT_CMP_EQ, &tcp, sizeof(tcp));
    }
    enum { ICMP_PORT_UNREACHABLE = 3, ICMP6_PORT_UNREACHABLE = 4 };
    struct nftnl_expr *expr = expression(writer, "reject");
    nftnl_expr_set_u32(expr, NFTNL_EXPR_REJECT_TYPE,
                       with_reset ? NFT_REJECT_TCP_RST : NFT_REJECT_ICMP_UNREACH);
    uint8_t code = writer->family == FAMILY_IPV4 ? ICMP_PORT_UNREACHABLE : ICMP6_PORT_UNREACHABLE;
    nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE, with_reset ? 0 : code);
}

static void write_learn(struct rule_writer *writer, const struct statement *statement)
{
    struct statement key = {.key = {FIELD_SADDR, FIELD_PROTOCOL, FIELD_VALUE}};
    uint32_t data = write_key(writer, &key);
    write_field(writer, FIELD_DADDR, statement, data);
    write_field(writer, FIELD_DPORT, statement, data + field_len(FIELD_DADDR, writer->family) / 4);
    struct nftnl_expr *expr = expression(writer, "dynset");
    nftnl_expr_set_str(expr, NFTNL_EXPR_DYNSET_SET_NAME, set_schema(statement->set)->name);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_DYNSET_SREG_KEY, FIRST_REGISTER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_DYNSET_SREG_DATA, data);
    nftnl_expr_set_u64(expr, NFTNL_EXPR_DYNSET_TIMEOUT, (uint64_t)statement->number * 1000);
}

static void write_statement(struct rule_writer *writer, const struct statement *statement)
{
    switch (statement->kind) {
    case STATEMENT_LOOKUP_VALUE:
        write_key(writer, statement);
        nftnl_expr_set_u32(write_lookup(writer, statement->set), NFTNL_EXPR_LOOKUP_DREG, FIRST_REGISTER);
        write_meta_store(writer, NFT_META_PRIORITY, FIRST_REGISTER);
        break;
    case STATEMENT_VALUE_VERDICT:
        write_meta_load(writer, NFT_META_PRIORITY, FIRST_REGISTER);
        nftnl_expr_set_u32(write_lookup(writer, statement->set), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
        break;
    case STATEMENT_CLEAR_VALUE:
        write_clear_value(writer);
        break;
    case STATEMENT_IN_SET:
    case STATEMENT_NOT_IN_SET:
        write_key(writer, statement);
        nftnl_expr_set_u32(write_lookup(writer, statement->set), NFTNL_EXPR_LOOKUP_FLAGS,
                           statement->kind == STATEMENT_NOT_IN_SET ? NFT_LOOKUP_F_INV : 0);
        break;
    case STATEMENT_DNAT:
        write_dnat(writer, statement);
        break;
    case STATEMENT_GOTO:
        write_verdict(writer, NFT_GOTO, statement->chain);
        break;
    case STATEMENT_JUMP:
        write_verdict(writer, NFT_JUMP, statement->chain);
        break;
    case STATEMENT_DROP:
        write_verdict(writer, NF_DROP, NULL);
        break;
    case STATEMENT_REJECT:
        write_reject(writer, false);
        break;
    case STATEMENT_RESET:
        write_reject(writer, true);
        break;
    case STATEMENT_MASQUERADE:
        nftnl_expr_set_u32(expression(writer, "masq"), NFTNL_EXPR_MASQ_FLAGS,
                           NF_NAT_RANGE_PROTO_RANDOM_FULLY);
        break;
    case STATEMENT_FROM_PREFIX:
    case STATEMENT_NOT_FROM_PREFIX:
        write_from_prefix(writer, statement);
        break;
    case STATEMENT_FROM_INTERFACE:
    case STATEMENT_NOT_FROM_INTERFACE:
        write_from_interface(writer, statement);
        break;
    case STATEMENT_FROM_THIS_NODE:
        write_from_this_node(writer);
        break;
    case STATEMENT_IS_DNAT:
        write_is_dnat(writer);
        break;
    case STATEMENT_LEARN_AFFINITY:
        write_learn(writer, statement);
        break;
    }
}

static void write_userdata(struct rule_writer *writer, const struct rule *rule)
{
    struct nftnl_udata_buf *buffer = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
    if (!buffer)
        abort();
    if (rule->comment)
        nftnl_udata_put_strz(buffer, NFTNL_UDATA_RULE_COMMENT, rule->comment);
    uint64_t fingerprint = rule_fingerprint(rule, writer->family);
    nftnl_udata_put(buffer, USERDATA_FINGERPRINT, sizeof(fingerprint), &fingerprint);
    nftnl_rule_set_data(writer->rule, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(buffer),
                        nftnl_udata_buf_len(buffer));
    nftnl_udata_buf_free(buffer);
}

void rule_encode(struct nlmsghdr *message, enum family family, const struct chain *chain,
                 const struct rule *rule)
{
    struct rule_writer writer = {.rule = nftnl_rule_alloc(), .family = family};
    if (!writer.rule)
        abort();
    nftnl_rule_set_str(writer.rule, NFTNL_RULE_TABLE, TABLE_NAME);
    nftnl_rule_set_str(writer.rule, NFTNL_RULE_CHAIN, chain->name);
    for (unsigned i = 0; i < rule->count; i++)
        write_statement(&writer, &rule->statements[i]);
    write_userdata(&writer, rule);
    nftnl_rule_nlmsg_build_payload(message, writer.rule);
    nftnl_rule_free(writer.rule);
}
