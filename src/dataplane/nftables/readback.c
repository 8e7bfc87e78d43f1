/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/readback.h"

#include "sys/attributes.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#define ATTRIBUTES_MAX 32

static uint8_t nf_family(enum family family)
{
    return family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

static void message_attributes(const struct nlmsghdr *message, const struct nlattr *ret[ATTRIBUTES_MAX])
{
    attributes_of(message, sizeof(struct nfgenmsg), ret, ATTRIBUTES_MAX);
}

static void nested_attributes(const struct nlattr *nest, const struct nlattr *ret[ATTRIBUTES_MAX])
{
    attributes_in(nest, ret, ATTRIBUTES_MAX);
}

/* A string attribute, or "" when it is missing or not terminated. */
static const char *text_of(const struct nlattr *attribute)
{
    const char *text = attribute_text(attribute);
    return text ? text : "";
}

static uint32_t number_of(const struct nlattr *attribute)
{
    return attribute && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0 ? ntohl(mnl_attr_get_u32(attribute))
                                                                        : 0;
}

struct reader {
    enum family family;
    struct arena *arena;
    struct kernel_table *table;
    uint32_t chain_capacity, set_capacity;
};

static struct nlmsghdr *request_of(char *buffer, uint16_t type, enum family family, uint16_t flags,
                                   uint16_t table_type)
{
    struct nlmsghdr *request = nftnl_nlmsg_build_hdr(buffer, type, nf_family(family), flags, 0);
    mnl_attr_put_strz(request, table_type, TABLE_NAME);
    return request;
}

static int visit_table(const struct nlmsghdr *message, void *context)
{
    struct kernel_table *table = ((struct reader *)context)->table;
    const struct nlattr *attributes[ATTRIBUTES_MAX];
    message_attributes(message, attributes);
    table->is_there = true;
    table->flags = number_of(attributes[NFTA_TABLE_FLAGS]);
    return 0;
}

static void *grown(struct arena *arena, void *old, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return old;
    *capacity = *capacity ? *capacity * 2 : 32;
    void *list = arena_alloc(arena, *capacity * size);
    if (count)
        memcpy(list, old, count * size);
    return list;
}

static void take_hook(const struct nlattr *nest, struct kernel_chain *ret)
{
    static const enum chain_hook hooks[NF_INET_NUMHOOKS] = {[NF_INET_PRE_ROUTING] = HOOK_PREROUTING,
                                                            [NF_INET_LOCAL_IN] = HOOK_INPUT,
                                                            [NF_INET_LOCAL_OUT] = HOOK_OUTPUT,
                                                            [NF_INET_POST_ROUTING] = HOOK_POSTROUTING};
    const struct nlattr *attributes[ATTRIBUTES_MAX];
    nested_attributes(nest, attributes);
    uint32_t number = number_of(attributes[NFTA_HOOK_HOOKNUM]);
    ret->hook = number < NF_INET_NUMHOOKS && hooks[number] ? hooks[number] : HOOK_OTHER;
    ret->priority = (int)number_of(attributes[NFTA_HOOK_PRIORITY]);
}

static int visit_chain(const struct nlmsghdr *message, void *context)
{
    struct reader *reader = context;
    const struct nlattr *attributes[ATTRIBUTES_MAX];
    message_attributes(message, attributes);
    /* Kernels do not all narrow a dump to the table that was asked for. */
    if (strcmp(text_of(attributes[NFTA_CHAIN_TABLE]), TABLE_NAME) != 0)
        return 0;
    struct kernel_table *table = reader->table;
    table->chains = grown(reader->arena, table->chains, table->chain_count, &reader->chain_capacity,
                          sizeof(*table->chains));
    struct kernel_chain *chain = &table->chains[table->chain_count++];
    *chain = (struct kernel_chain){.name = arena_strdup(reader->arena, text_of(attributes[NFTA_CHAIN_NAME])),
                                   .accepts = !attributes[NFTA_CHAIN_POLICY] ||
                                              number_of(attributes[NFTA_CHAIN_POLICY]) == NF_ACCEPT};
    if (attributes[NFTA_CHAIN_HOOK])
        take_hook(attributes[NFTA_CHAIN_HOOK], chain);
    return 0;
}

static int find_fingerprint(const struct nftnl_udata *udata, void *context)
{
    if (nftnl_udata_type(udata) == USERDATA_FINGERPRINT && nftnl_udata_len(udata) == sizeof(uint64_t))
        memcpy(context, nftnl_udata_get(udata), sizeof(uint64_t));
    return 0;
}

/* libnftnl takes each entry's own length for true: the last one must find room behind the attribute. */
static uint64_t fingerprint_of(const struct nlattr *userdata)
{
    enum { ENTRY_MAX = 2 + UINT8_MAX };
    uint8_t padded[NFT_USERDATA_MAXLEN + ENTRY_MAX] = {0};
    uint64_t fingerprint = 0;
    if (!userdata || mnl_attr_get_payload_len(userdata) > NFT_USERDATA_MAXLEN)
        return 0;
    memcpy(padded, mnl_attr_get_payload(userdata), mnl_attr_get_payload_len(userdata));
    nftnl_udata_parse(padded, mnl_attr_get_payload_len(userdata), find_fingerprint, &fingerprint);
    return fingerprint;
}

static uint64_t fingerprint_add(uint64_t chain, uint64_t rule)
{
    return hash_bytes(chain, &rule, sizeof(rule));
}

static int visit_rule(const struct nlmsghdr *message, void *context)
{
    struct reader *reader = context;
    const struct nlattr *attributes[ATTRIBUTES_MAX];
    message_attributes(message, attributes);
    if (strcmp(text_of(attributes[NFTA_RULE_TABLE]), TABLE_NAME) != 0)
        return 0;
    uint64_t fingerprint = fingerprint_of(attributes[NFTA_RULE_USERDATA]);
    for (uint32_t i = 0; i < reader->table->chain_count; i++) {
        struct kernel_chain *chain = &reader->table->chains[i];
        if (strcmp(chain->name, text_of(attributes[NFTA_RULE_CHAIN])) != 0)
            continue;
        chain->fingerprint = fingerprint_add(chain->fingerprint, fingerprint);
        chain->rule_count++;
    }
    return 0;
}

uint64_t chain_fingerprint(const struct chain *chain, enum family family)
{
    uint64_t fingerprint = 0;
    for (unsigned i = 0; i < chain->count; i++)
        fingerprint = fingerprint_add(fingerprint, rule_fingerprint(&chain->rules[i], family));
    return fingerprint;
}

static int visit_set(const struct nlmsghdr *message, void *context)
{
    struct reader *reader = context;
    const struct nlattr *attributes[ATTRIBUTES_MAX], *description[ATTRIBUTES_MAX] = {0};
    message_attributes(message, attributes);
    if (strcmp(text_of(attributes[NFTA_SET_TABLE]), TABLE_NAME) != 0)
        return 0;
    struct kernel_table *table = reader->table;
    table->sets =
        grown(reader->arena, table->sets, table->set_count, &reader->set_capacity, sizeof(*table->sets));
    struct kernel_set *set = &table->sets[table->set_count++];
    *set = (struct kernel_set){.name = arena_strdup(reader->arena, text_of(attributes[NFTA_SET_NAME]))};
    if (attributes[NFTA_SET_DESC])
        nested_attributes(attributes[NFTA_SET_DESC], description);
    set->size = number_of(description[NFTA_SET_DESC_SIZE]);
    set->is_anonymous = number_of(attributes[NFTA_SET_FLAGS]) & NFT_SET_ANONYMOUS;
    while (set->id < SET_COUNT && strcmp(set_schema(set->id)->name, set->name) != 0)
        set->id++;
    if (set->id == SET_COUNT)
        return 0;
    const struct set_schema *schema = set_schema(set->id);
    uint32_t flags = number_of(attributes[NFTA_SET_FLAGS]);
    set->is_ours = number_of(attributes[NFTA_SET_KEY_LEN]) == set_key_len(set->id, reader->family) &&
                   ((flags & NFT_SET_MAP) != 0) == (schema->data != DATA_NONE) &&
                   ((flags & NFT_SET_INTERVAL) != 0) == schema->is_interval &&
                   ((flags & NFT_SET_TIMEOUT) != 0) == schema->is_dynamic;
    if (set->is_ours && schema->data != DATA_NONE && schema->data != DATA_VERDICT)
        set->is_ours = number_of(attributes[NFTA_SET_DATA_LEN]) == set_data_len(set->id, reader->family);
    return 0;
}

void readback_parse_table(const void *bytes, size_t len, enum family family, struct arena *arena,
                          struct kernel_table *ret)
{
    struct kernel_table table = {0};
    struct reader reader = {.family = family, .arena = arena, .table = &table};
    int left = (int)len;
    for (const struct nlmsghdr *message = bytes; netlink_is_whole(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        uint16_t type = message->nlmsg_type & 0xff;
        if (type == NFT_MSG_NEWCHAIN)
            visit_chain(message, &reader);
        else if (type == NFT_MSG_NEWRULE)
            visit_rule(message, &reader);
        else if (type == NFT_MSG_NEWSET)
            visit_set(message, &reader);
    }
    *ret = table;
}

int readback_table(struct kernel *kernel, enum family family, struct arena *arena, struct kernel_table *ret,
                   struct err *err)
{
    char buffer[512] = {0};
    struct kernel_table table = {0};
    struct reader reader = {.family = family, .arena = arena, .table = &table};
    struct nlmsghdr *request = request_of(buffer, NFT_MSG_GETTABLE, family, 0, NFTA_TABLE_NAME);
    int code = kernel_ask(kernel, request, visit_table, &reader, err);
    if (code == -ENOENT) {
        *ret = table;
        return 0;
    }
    if (code == 0) {
        request = request_of(buffer, NFT_MSG_GETCHAIN, family, NLM_F_DUMP, NFTA_CHAIN_TABLE);
        code = kernel_ask(kernel, request, visit_chain, &reader, err);
    }
    if (code == 0) {
        request = request_of(buffer, NFT_MSG_GETRULE, family, NLM_F_DUMP, NFTA_RULE_TABLE);
        code = kernel_ask(kernel, request, visit_rule, &reader, err);
    }
    if (code == 0) {
        request = request_of(buffer, NFT_MSG_GETSET, family, NLM_F_DUMP, NFTA_SET_TABLE);
        code = kernel_ask(kernel, request, visit_set, &reader, err);
    }
    if (code == 0)
        *ret = table;
    return code;
}

/* Copies a nested data value of exactly len bytes. */
static bool copy_value(const struct nlattr *nest, void *to, size_t len)
{
    const struct nlattr *attributes[ATTRIBUTES_MAX];
    if (!nest)
        return false;
    nested_attributes(nest, attributes);
    const struct nlattr *value = attributes[NFTA_DATA_VALUE];
    if (!value || mnl_attr_get_payload_len(value) != len)
        return false;
    memcpy(to, mnl_attr_get_payload(value), len);
    return true;
}

static bool copy_verdict(const struct nlattr *nest, bool decides_sources, struct verdict *ret)
{
    const struct nlattr *attributes[ATTRIBUTES_MAX], *verdict[ATTRIBUTES_MAX];
    if (!nest)
        return false;
    nested_attributes(nest, attributes);
    if (!attributes[NFTA_DATA_VERDICT])
        return false;
    nested_attributes(attributes[NFTA_DATA_VERDICT], verdict);
    uint32_t code = number_of(verdict[NFTA_VERDICT_CODE]);
    uint32_t without_chain = decides_sources ? (uint32_t)NFT_RETURN : (uint32_t)NF_DROP;
    ret->is_goto = code == (uint32_t)NFT_GOTO;
    if (ret->is_goto)
        snprintf(ret->chain, sizeof(ret->chain), "%s", text_of(verdict[NFTA_VERDICT_CHAIN]));
    else if (code != without_chain)
        snprintf(ret->chain, sizeof(ret->chain),
                 "none of ours"); /* so that it differs from every verdict of ours */
    return true;
}

static bool parse_element(const struct nlattr *nest, struct element *element)
{
    const struct nlattr *attributes[ATTRIBUTES_MAX];
    const struct set_schema *schema = set_schema(element->set);
    unsigned key_len = set_key_len(element->set, element->family);
    nested_attributes(nest, attributes);
    if (!copy_value(attributes[NFTA_SET_ELEM_KEY], element->key, key_len))
        return false;
    if (attributes[NFTA_SET_ELEM_KEY_END])
        copy_value(attributes[NFTA_SET_ELEM_KEY_END], element->key_end, key_len);
    element->is_bound_behind = number_of(attributes[NFTA_SET_ELEM_FLAGS]) & NFT_SET_ELEM_INTERVAL_END;
    if (schema->data == DATA_VERDICT)
        return copy_verdict(attributes[NFTA_SET_ELEM_DATA], set_is_source_verdicts(element->set),
                            &element->verdict);
    if (schema->data == DATA_NONE)
        return true;
    return copy_value(attributes[NFTA_SET_ELEM_DATA], element->data,
                      set_data_len(element->set, element->family));
}

void readback_parse_elements(const struct nlmsghdr *message, enum family family, enum set_id set,
                             readback_element_fn *visit, void *context)
{
    const struct nlattr *attributes[ATTRIBUTES_MAX], *nest;
    message_attributes(message, attributes);
    if (!attributes[NFTA_SET_ELEM_LIST_ELEMENTS])
        return;
    mnl_attr_for_each_nested(nest, attributes[NFTA_SET_ELEM_LIST_ELEMENTS])
    {
        struct element element = {.family = family, .set = set};
        if (parse_element(nest, &element))
            visit(&element, context);
    }
}

struct element_reader {
    enum family family;
    enum set_id set;
    readback_element_fn *visit;
    void *context;
};

static int visit_elements(const struct nlmsghdr *message, void *context)
{
    struct element_reader *reader = context;
    readback_parse_elements(message, reader->family, reader->set, reader->visit, reader->context);
    return 0;
}

int readback_set(struct kernel *kernel, enum family family, enum set_id set, readback_element_fn *visit,
                 void *context, struct err *err)
{
    char buffer[512] = {0};
    struct element_reader reader = {.family = family, .set = set, .visit = visit, .context = context};
    struct nlmsghdr *request =
        request_of(buffer, NFT_MSG_GETSETELEM, family, NLM_F_DUMP, NFTA_SET_ELEM_LIST_TABLE);
    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, set_schema(set)->name);
    return kernel_ask(kernel, request, visit_elements, &reader, err);
}

static void keep_element(const struct element *element, void *context)
{
    *(struct element *)context = *element;
}

int readback_element(struct kernel *kernel, struct element *element, struct err *err)
{
    char buffer[1024] = {0};
    struct element found = *element;
    struct element_reader reader = {
        .family = element->family, .set = element->set, .visit = keep_element, .context = &found};
    struct nlmsghdr *request =
        request_of(buffer, NFT_MSG_GETSETELEM, element->family, 0, NFTA_SET_ELEM_LIST_TABLE);
    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, set_schema(element->set)->name);
    struct nlattr *list = mnl_attr_nest_start(request, NFTA_SET_ELEM_LIST_ELEMENTS);
    struct nlattr *nest = mnl_attr_nest_start(request, NFTA_LIST_ELEM);
    struct nlattr *key = mnl_attr_nest_start(request, NFTA_SET_ELEM_KEY);
    mnl_attr_put(request, NFTA_DATA_VALUE, set_key_len(element->set, element->family), element->key);
    mnl_attr_nest_end(request, key);
    mnl_attr_nest_end(request, nest);
    mnl_attr_nest_end(request, list);
    int code = kernel_ask(kernel, request, visit_elements, &reader, err);
    if (code == 0)
        *element = found;
    return code;
}
