/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/encode.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A netlink attribute's length is 16 bits: a list of elements is closed before that. */
#define ELEMENT_LIST_MAX 60000
#define MESSAGE_MAX 8192 /* any table, set or chain message */

static uint16_t nf_family(enum family family)
{
    return family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

static void *segment_reserve(struct segment *segment, size_t more)
{
    if (segment->len + more > segment->capacity) {
        size_t capacity = segment->capacity ? segment->capacity : 4096;
        while (capacity < segment->len + more)
            capacity *= 2;
        segment->data = xrealloc(segment->data, capacity);
        segment->capacity = capacity;
    }
    return segment->data + segment->len;
}

void batch_init(struct batch *batch)
{
    *batch = (struct batch){.sequence = 1};
}

void batch_done(struct batch *batch)
{
    free(batch->head.data);
    free(batch->tail.data);
    for (int op = 0; op < 2; op++)
        for (int family = 0; family < FAMILY_COUNT; family++)
            for (int set = 0; set < SET_COUNT; set++)
                free(batch->sets[op][family][set].data);
    *batch = (struct batch){0};
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->head.len + batch->tail.len == 0 && batch->element_adds + batch->element_deletes == 0;
}

void batch_split_head(struct batch *batch, struct batch *ret_head)
{
    batch_init(ret_head);
    ret_head->head = batch->head;
    ret_head->sequence = batch->sequence;
    batch->head = (struct segment){0};
}

static struct nlmsghdr *message_begin(struct batch *batch, struct segment *segment, uint16_t type,
                                      enum family family, uint16_t flags)
{
    char *at = segment_reserve(segment, MESSAGE_MAX);
    return nftnl_nlmsg_build_hdr(at, type, nf_family(family), flags, batch->sequence++);
}

/* For what libnftnl fills: it leaves the padding behind strings as it was. */
static struct nlmsghdr *clean_message_begin(struct batch *batch, uint16_t type, enum family family,
                                            uint16_t flags)
{
    memset(segment_reserve(&batch->head, MESSAGE_MAX), 0, MESSAGE_MAX);
    return message_begin(batch, &batch->head, type, family, flags);
}

/* With zeros as padding, which libmnl before 1.0.5 does not see to. */
static void put_text(struct nlmsghdr *message, uint16_t type, const char *text)
{
    size_t last_word = strlen(text) & ~(size_t)(MNL_ALIGNTO - 1);
    memset((char *)mnl_nlmsg_get_payload_tail(message) + MNL_ATTR_HDRLEN + last_word, 0, MNL_ALIGNTO);
    mnl_attr_put_strz(message, type, text);
}

static void message_end(struct segment *segment, const struct nlmsghdr *message)
{
    segment->len += MNL_ALIGN(message->nlmsg_len);
}

static void table_message(struct batch *batch, struct segment *segment, uint16_t type, enum family family,
                          uint16_t flags)
{
    struct nlmsghdr *message = message_begin(batch, segment, type, family, flags);
    put_text(message, NFTA_TABLE_NAME, TABLE_NAME);
    message_end(segment, message);
}

void batch_add_table(struct batch *batch, enum family family)
{
    struct nlmsghdr *message = message_begin(batch, &batch->head, NFT_MSG_NEWTABLE, family, NLM_F_CREATE);
    put_text(message, NFTA_TABLE_NAME, TABLE_NAME);
    mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, 0); /* wakes a table that somebody made dormant */
    message_end(&batch->head, message);
}

void batch_delete_table(struct batch *batch, enum family family)
{
    table_message(batch, &batch->head, NFT_MSG_DELTABLE, family, 0);
}

/* nft's own numbers for data types (libnftables, enum datatypes): they say how `nft list` prints a set, and
 * mean nothing to the kernel. */
enum nft_datatype {
    NFT_TYPE_IPV4 = 7,
    NFT_TYPE_IPV6 = 8,
    NFT_TYPE_PROTOCOL = 12,
    NFT_TYPE_SERVICE = 13,
    NFT_TYPE_CLASSID = 23,
    NFT_TYPE_VERDICT_DATA = 0xffffff00, /* NFT_DATA_VERDICT */
};
#define NFT_TYPE_BITS 6
#define VERDICT_DATA_LEN 16 /* the kernel ignores it, nft writes it */

static uint32_t field_datatype(enum field field, enum family family)
{
    switch (field) {
    case FIELD_NONE:
        return 0;
    case FIELD_DADDR:
    case FIELD_SADDR:
    case FIELD_ORIGINAL_DADDR:
        return family == FAMILY_IPV4 ? NFT_TYPE_IPV4 : NFT_TYPE_IPV6;
    case FIELD_PROTOCOL:
        return NFT_TYPE_PROTOCOL;
    case FIELD_DPORT:
    case FIELD_ORIGINAL_DPORT:
        return NFT_TYPE_SERVICE;
    case FIELD_SLOT:
    case FIELD_VALUE:
        return NFT_TYPE_CLASSID;
    }
    return 0;
}

/* The length of a field itself, without the padding to a register. */
static uint8_t field_bare_len(enum field field, enum family family)
{
    if (field == FIELD_PROTOCOL)
        return 1;
    if (field == FIELD_DPORT)
        return 2;
    return (uint8_t)field_len(field, family);
}

static void set_types(struct nftnl_set *set, const struct set_schema *schema, enum family family,
                      enum set_id id)
{
    uint32_t key_type = 0;
    uint8_t field_lens[KEY_FIELDS_MAX];
    unsigned fields = 0;
    for (; fields < KEY_FIELDS_MAX && schema->key[fields] != FIELD_NONE; fields++) {
        key_type = key_type << NFT_TYPE_BITS | field_datatype(schema->key[fields], family);
        field_lens[fields] = field_bare_len(schema->key[fields], family);
    }
    uint32_t flags = 0;
    if (schema->data != DATA_NONE)
        flags |= NFT_SET_MAP;
    if (schema->is_interval)
        flags |= NFT_SET_INTERVAL;
    if (schema->is_dynamic)
        flags |= NFT_SET_TIMEOUT | NFT_SET_EVAL;
    if (schema->is_interval && fields > 1) {
        flags |= NFT_SET_CONCAT;
        nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, field_lens, fields);
    }
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, flags);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, key_type);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, set_key_len(id, family));
    uint32_t address = family == FAMILY_IPV4 ? NFT_TYPE_IPV4 : NFT_TYPE_IPV6;
    uint32_t data_type = schema->data == DATA_VERDICT ? NFT_TYPE_VERDICT_DATA
                         : schema->data == DATA_VALUE ? NFT_TYPE_CLASSID
                                                      : address << NFT_TYPE_BITS | NFT_TYPE_SERVICE;
    if (schema->data != DATA_NONE) {
        nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, data_type);
        nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN,
                          schema->data == DATA_VERDICT ? VERDICT_DATA_LEN : set_data_len(id, family));
    }
}

/* nft reads the byte order of our numbers from the set's user data. On a verdict map the data's order must
 * not be given: nft 1.0.6 ends in an assertion over it. */
static void set_userdata(struct nftnl_set *set, const struct set_schema *schema)
{
    enum { HOST_ORDER = 1 };
    struct nftnl_udata_buf *buffer = nftnl_udata_buf_alloc(64);
    if (!buffer)
        abort();
    if (schema->key[0] == FIELD_VALUE)
        nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_KEYBYTEORDER, HOST_ORDER);
    if (schema->data == DATA_VALUE)
        nftnl_udata_put_u32(buffer, NFTNL_UDATA_SET_DATABYTEORDER, HOST_ORDER);
    if (nftnl_udata_buf_len(buffer))
        nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(buffer),
                           nftnl_udata_buf_len(buffer));
    nftnl_udata_buf_free(buffer);
}

void batch_add_set(struct batch *batch, enum family family, enum set_id id, uint32_t size)
{
    const struct set_schema *schema = set_schema(id);
    struct nftnl_set *set = nftnl_set_alloc();
    if (!set)
        abort();
    nftnl_set_set_str(set, NFTNL_SET_TABLE, TABLE_NAME);
    nftnl_set_set_str(set, NFTNL_SET_NAME, schema->name);
    nftnl_set_set_u32(set, NFTNL_SET_ID, (uint32_t)id + 1);
    set_types(set, schema, family, id);
    set_userdata(set, schema);
    if (size || schema->size)
        nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, size ? size : schema->size);
    struct nlmsghdr *message = clean_message_begin(batch, NFT_MSG_NEWSET, family, NLM_F_CREATE);
    nftnl_set_nlmsg_build_payload(message, set);
    message_end(&batch->head, message);
    nftnl_set_free(set);
}

void batch_delete_set(struct batch *batch, enum family family, const char *name)
{
    struct nlmsghdr *message = message_begin(batch, &batch->head, NFT_MSG_DELSET, family, 0);
    put_text(message, NFTA_SET_TABLE, TABLE_NAME);
    put_text(message, NFTA_SET_NAME, name);
    message_end(&batch->head, message);
}

void batch_flush_set(struct batch *batch, enum family family, enum set_id id)
{
    struct nlmsghdr *message = message_begin(batch, &batch->head, NFT_MSG_DELSETELEM, family, 0);
    put_text(message, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
    put_text(message, NFTA_SET_ELEM_LIST_SET, set_schema(id)->name);
    message_end(&batch->head, message);
}

void batch_add_chain(struct batch *batch, enum family family, const struct chain *chain)
{
    static const uint32_t hooks[] = {0, NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT,
                                     NF_INET_POST_ROUTING};
    struct nftnl_chain *object = nftnl_chain_alloc();
    if (!object)
        abort();
    nftnl_chain_set_str(object, NFTNL_CHAIN_TABLE, TABLE_NAME);
    nftnl_chain_set_str(object, NFTNL_CHAIN_NAME, chain->name);
    if (chain->hook != HOOK_NONE) {
        nftnl_chain_set_str(object, NFTNL_CHAIN_TYPE, "nat");
        nftnl_chain_set_u32(object, NFTNL_CHAIN_HOOKNUM, hooks[chain->hook]);
        nftnl_chain_set_s32(object, NFTNL_CHAIN_PRIO, chain->priority);
        nftnl_chain_set_u32(object, NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    struct nlmsghdr *message = clean_message_begin(batch, NFT_MSG_NEWCHAIN, family, NLM_F_CREATE);
    nftnl_chain_nlmsg_build_payload(message, object);
    message_end(&batch->head, message);
    nftnl_chain_free(object);
}

void batch_flush_chain(struct batch *batch, enum family family, const char *name)
{
    struct nlmsghdr *message = message_begin(batch, &batch->head, NFT_MSG_DELRULE, family, 0);
    put_text(message, NFTA_RULE_TABLE, TABLE_NAME);
    put_text(message, NFTA_RULE_CHAIN, name);
    message_end(&batch->head, message);
}

void batch_flush_rules(struct batch *batch, enum family family)
{
    struct nlmsghdr *message = message_begin(batch, &batch->head, NFT_MSG_DELRULE, family, 0);
    put_text(message, NFTA_RULE_TABLE, TABLE_NAME);
    message_end(&batch->head, message);
}

static void delete_chain(struct batch *batch, struct segment *segment, enum family family, const char *name)
{
    struct nlmsghdr *message = message_begin(batch, segment, NFT_MSG_DELCHAIN, family, 0);
    put_text(message, NFTA_CHAIN_TABLE, TABLE_NAME);
    put_text(message, NFTA_CHAIN_NAME, name);
    message_end(segment, message);
}

void batch_delete_leftover_chain(struct batch *batch, enum family family, const char *name)
{
    delete_chain(batch, &batch->head, family, name);
}

void batch_delete_chain(struct batch *batch, enum family family, const char *name)
{
    delete_chain(batch, &batch->tail, family, name);
}

void batch_add_fault(struct batch *batch)
{
    delete_chain(batch, &batch->tail, FAMILY_IPV4, "injected-fault");
}

void batch_add_trial_end(struct batch *batch, enum family family)
{
    table_message(batch, &batch->tail, NFT_MSG_NEWTABLE, family, NLM_F_CREATE | NLM_F_EXCL);
}

void batch_add_rules(struct batch *batch, enum family family, const struct chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        struct nlmsghdr *message =
            clean_message_begin(batch, NFT_MSG_NEWRULE, family, NLM_F_CREATE | NLM_F_APPEND);
        rule_encode(message, family, chain, &chain->rules[i]);
        message_end(&batch->head, message);
    }
}

/* Elements of one set follow each other in one message until its list is full. */
static struct nlmsghdr *element_message(struct batch *batch, struct segment *segment, uint16_t type,
                                        enum family family, enum set_id set)
{
    if (segment->open) {
        struct nlmsghdr *open = (struct nlmsghdr *)(segment->data + segment->open - 1);
        if (open->nlmsg_len < ELEMENT_LIST_MAX)
            return open;
    }
    struct nlmsghdr *message = message_begin(batch, segment, type, family,
                                             type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE | NLM_F_EXCL : 0);
    put_text(message, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
    put_text(message, NFTA_SET_ELEM_LIST_SET, set_schema(set)->name);
    mnl_attr_nest_end(message, mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS));
    segment->open = segment->len + 1;
    message_end(segment, message);
    return message;
}

/* The list is the message's last attribute: it grows with the message. */
static struct nlattr *list_attribute(struct nlmsghdr *message)
{
    struct nlattr *attribute, *list = NULL;
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg)) list = attribute;
    return list;
}

static void put_data(struct nlmsghdr *message, uint16_t type, const void *bytes, size_t len)
{
    struct nlattr *nest = mnl_attr_nest_start(message, type);
    mnl_attr_put(message, NFTA_DATA_VALUE, len, bytes);
    mnl_attr_nest_end(message, nest);
}

static void put_verdict(struct nlmsghdr *message, const struct element *element)
{
    uint32_t without_chain = set_is_source_verdicts(element->set) ? (uint32_t)NFT_RETURN : (uint32_t)NF_DROP;
    struct nlattr *data = mnl_attr_nest_start(message, NFTA_SET_ELEM_DATA);
    struct nlattr *verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
    mnl_attr_put_u32(message, NFTA_VERDICT_CODE,
                     htonl(element->verdict.is_goto ? (uint32_t)NFT_GOTO : without_chain));
    if (element->verdict.is_goto)
        put_text(message, NFTA_VERDICT_CHAIN, element->verdict.chain);
    mnl_attr_nest_end(message, verdict);
    mnl_attr_nest_end(message, data);
}

/* With with_data false only the key is written, as a deletion wants it. */
static void put_element(struct nlmsghdr *message, const struct element *element, const uint8_t *key,
                        uint32_t flags, bool with_key_end, bool with_data)
{
    const struct set_schema *schema = set_schema(element->set);
    unsigned key_len = set_key_len(element->set, element->family);
    struct nlattr *nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    put_data(message, NFTA_SET_ELEM_KEY, key, key_len);
    if (with_key_end)
        put_data(message, NFTA_SET_ELEM_KEY_END, element->key_end, key_len);
    if (flags)
        mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(flags));
    if (with_data && schema->data == DATA_VERDICT)
        put_verdict(message, element);
    else if (with_data && schema->data != DATA_NONE)
        put_data(message, NFTA_SET_ELEM_DATA, element->data, set_data_len(element->set, element->family));
    mnl_attr_nest_end(message, nest);
}

bool key_increment(uint8_t *wire, unsigned len)
{
    for (unsigned i = len; i-- > 0;)
        if (++wire[i] != 0)
            return true;
    return false;
}

static void append_element(struct batch *batch, struct segment *segment, uint16_t type,
                           const struct element *element)
{
    bool is_add = type == NFT_MSG_NEWSETELEM;
    const struct set_schema *schema = set_schema(element->set);
    struct nlmsghdr *message = element_message(batch, segment, type, element->family, element->set);
    size_t begins = segment->open - 1;
    segment_reserve(segment, 512);
    message = (struct nlmsghdr *)(segment->data + begins);
    struct nlattr *list = list_attribute(message);
    bool is_concat = schema->key[1] != FIELD_NONE;
    put_element(message, element, element->key, 0, schema->is_interval && is_concat, is_add);
    if (schema->is_interval && !is_concat) {
        /* The other kind of interval set takes two elements: the first key, and the first key behind the
         * range. */
        uint8_t behind[KEY_MAX];
        memcpy(behind, element->key_end, sizeof(behind));
        if (key_increment(behind, set_key_len(element->set, element->family)))
            put_element(message, element, behind, NFT_SET_ELEM_INTERVAL_END, false, is_add);
    }
    mnl_attr_nest_end(message, list);
    segment->len = begins + MNL_ALIGN(message->nlmsg_len);
}

void batch_add_element(struct batch *batch, const struct element *element)
{
    append_element(batch, &batch->sets[1][element->family][element->set], NFT_MSG_NEWSETELEM, element);
    batch->element_adds++;
    batch->growth[element->family][element->set]++;
}

void batch_delete_element(struct batch *batch, const struct element *element)
{
    append_element(batch, &batch->sets[0][element->family][element->set], NFT_MSG_DELSETELEM, element);
    batch->element_deletes++;
    batch->growth[element->family][element->set]--;
}
