/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"
#include "dataplane/flows.h"
#include "dataplane/ipvs/bound.h"
#include "dataplane/ipvs/gather.h"
#include "dataplane/ipvs/ipset.h"
#include "dataplane/ipvs/servers.h"
#include "dataplane/nftables/readback.h"
#include "fuzz_target.h"
#include "sys/interfaces.h"
#include "sys/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel answers, as bytes. The first byte says which parser reads the rest and how: 0 the answers
 * to dumps of chains, rules and sets; 1 to dumps of elements; 2 the answers to a transaction; 3 a list of
 * addresses; 4 conntrack's entries; 5 an ipset's members; 6 virtual and real servers; 7 the addresses of one
 * interface; 8 the answers to gathered messages. The second one chooses family and set, or interface. The
 * properties: nothing beyond the bytes is read, and what comes out of it is in bounds. */

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void check_table(const void *bytes, size_t len, enum family family)
{
    struct kernel_table table;
    struct arena arena;
    arena_init(&arena);
    readback_parse_table(bytes, len, family, &arena, &table);
    for (uint32_t i = 0; i < table.chain_count; i++)
        require(strlen(table.chains[i].name) < len, "a chain's name has an end");
    for (uint32_t i = 0; i < table.set_count; i++)
        require(table.sets[i].id <= SET_COUNT && (!table.sets[i].is_ours || table.sets[i].id < SET_COUNT),
                "a set is ours or not");
    arena_done(&arena);
}

static void write_element(const struct element *element, void *context)
{
    struct text text = {0};
    element_format(element, &text);
    require(strlen(text_str(&text)) > 0, "an element has a text");
    if (set_schema(element->set)->data == DATA_VERDICT)
        require(memchr(element->verdict.chain, '\0', CHAIN_NAME_MAX) != NULL, "a chain's name has an end");
    text_done(&text);
    ++*(uint32_t *)context;
}

static void check_elements(const void *bytes, size_t len, enum family family, enum set_id set)
{
    uint32_t count = 0;
    int left = (int)len;
    for (const struct nlmsghdr *message = bytes; netlink_is_whole(message, left);
         message = mnl_nlmsg_next(message, &left))
        readback_parse_elements(message, family, set, write_element, &count);
    require(count <= len / sizeof(struct nlattr), "an element takes room");
}

/* A transaction with something of every kind, so that an answer's sequence number and offset can hit any of
 * it. */
static void build_batch(struct batch *batch)
{
    struct chain chain = {.name = "pick-3"};
    batch_init(batch);
    batch_add_table(batch, FAMILY_IPV4);
    batch_add_chain(batch, FAMILY_IPV4, &chain);
    batch_flush_set(batch, FAMILY_IPV6, SET_SERVICES);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        for (int set = 0; set < SET_COUNT; set++) {
            struct element element = {.family = (enum family)family, .set = (enum set_id)set, .key = {1, 2}};
            batch_delete_element(batch, &element);
            element.key[0]++;
            batch_add_element(batch, &element);
            element.key[0]++;
            batch_add_element(batch, &element);
        }
    }
}

static void check_answers(const void *bytes, size_t len)
{
    struct batch batch;
    struct element blamed;
    build_batch(&batch);
    int code = kernel_parse_answers(&batch, bytes, len, &blamed);
    require(code <= 0, "a failure is negative");
    require(blamed.set <= SET_COUNT, "nobody or somebody is blamed");
    if (blamed.set < SET_COUNT &&
        blamed.set != SET_SERVICE_CIDRS) /* that one may be blamed for a range's end */
        require(code < 0 && blamed.key[1] == 2 && blamed.key[0] >= 1 && blamed.key[0] <= 3,
                "who is blamed was in the transaction");
    batch_done(&batch);
}

static void check_addresses(const void *bytes, size_t len)
{
    int left = (int)len;
    for (const struct nlmsghdr *message = bytes; netlink_is_whole(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        struct address address;
        char text[ADDRESS_TEXT_MAX];
        if (interface_address_parse(message, &address))
            require(strlen(address_format(&address, text)) < sizeof(text), "an address has a text");
    }
}

static void check_flows(const void *bytes, size_t len)
{
    int left = (int)len;
    for (const struct nlmsghdr *message = bytes; netlink_is_whole(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        struct flow flow;
        if (flow_parse(message, &flow))
            require(flow.family == FAMILY_IPV6 || address_family(&flow.source) == FAMILY_IPV4,
                    "an IPv4 entry has IPv4 addresses");
    }
}

static void check_member(void *context, const struct ipset_member *member)
{
    const struct ipset *set = context;
    char text[IPSET_MEMBER_TEXT_MAX];
    require(strlen(ipset_member_format(set, member, text)) + 1 < sizeof(text), "a member has a text");
    require(set->has_marks || member->mark == 0, "a mark is of a set with marks");
}

static void check_virtual(void *context, const struct virtual_server *virtual,
                          const struct server_settings *settings)
{
    char text[VIRTUAL_SERVER_TEXT_MAX];
    require(strlen(virtual_server_format(virtual, text)) + 1 < sizeof(text), "a virtual server has a text");
    require(memchr(settings->scheduler, '\0', sizeof(settings->scheduler)) != NULL,
            "a scheduler's name has an end");
    require(!virtual->mark || virtual->port == 0, "a virtual server is of a mark or of a port");
}

static void check_real(void *context, const struct real_server *real)
{
    char text[SOCKET_ADDRESS_TEXT_MAX];
    const struct socket_address socket = {real->backend.address, real->backend.port};
    require(strlen(socket_address_format(&socket, text)) + 1 < sizeof(text), "a real server has a text");
}

static void check_bound(void *context, const struct address *address)
{
    require(address_family(address) == FAMILY_IPV4 || !address_is_link_local(address),
            "the link-local address of IPv6 is left out");
}

static enum gather_verdict judge(struct nlmsghdr *message, int code)
{
    require(code < 0, "a refusal is negative");
    require(message->nlmsg_type == 16, "what is refused was waiting");
    return code == -EBUSY ? GATHER_AGAIN : code == -EEXIST ? GATHER_FINE : GATHER_REFUSED;
}

static void check_gathered(const void *bytes, size_t len)
{
    struct gather gather = {.fd = -1};
    struct gather_failure failure;
    for (int i = 0; i < 3; i++)
        mnl_attr_put_u32(gather_message(&gather, 16, 0), 1, 1);
    int code = gather_parse_answers(&gather, bytes, len, judge, &failure);
    require(code <= 0, "a failure is negative");
    require(code == 0 || (failure.message.nlmsg_seq >= 1 && failure.message.nlmsg_seq <= 3),
            "who is blamed was among the messages");
    gather_close(&gather);
}

static void check_ipset(const void *bytes, size_t len, enum family family, uint8_t choice)
{
    struct ipset set = {.name = "S",
                        .type = (enum ipset_type)((choice >> 1 & 0x3f) % IPSET_TYPE_COUNT),
                        .family = family,
                        .has_marks = choice & 0x80};
    ipset_parse_members(bytes, len, &set, check_member, &set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    /* A copy of the exact size, aligned as a receive buffer is. */
    size_t len = size - 2;
    uint8_t *bytes = xmalloc(len);
    memcpy(bytes, data + 2, len);
    enum family family = data[1] & 1 ? FAMILY_IPV6 : FAMILY_IPV4;
    switch (data[0] % 9) {
    case 0:
        check_table(bytes, len, family);
        break;
    case 1:
        check_elements(bytes, len, family, (enum set_id)((data[1] >> 1) % SET_COUNT));
        break;
    case 2:
        check_answers(bytes, len);
        break;
    case 3:
        check_addresses(bytes, len);
        break;
    case 4:
        check_flows(bytes, len);
        break;
    case 5:
        check_ipset(bytes, len, family, data[1]);
        break;
    case 6:
        servers_parse(bytes, len, check_virtual, NULL);
        servers_parse_real(bytes, len, check_real, NULL);
        break;
    case 7:
        bound_parse(bytes, len, data[1], check_bound, NULL);
        break;
    case 8:
        check_gathered(bytes, len);
        break;
    }
    free(bytes);
    return 0;
}
