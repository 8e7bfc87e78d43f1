/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

/* The kernel's ipsets by netlink (nfnetlink, subsystem ipset; ipset(8) for the types). Additions and removals
 * are gathered, and take effect with ipset_flush in the order in which they were said. */

enum ipset_type {
    IPSET_BITMAP_PORT, /* of all ports, 0 to 65535 */
    IPSET_HASH_IP,
    IPSET_HASH_IP_PORT,
    IPSET_HASH_IP_PORT_IP,
    IPSET_HASH_IP_PORT_NET,
    IPSET_TYPE_COUNT
};

struct ipset {
    const char *name; /* 31 characters at most */
    enum ipset_type type;
    enum family family;
    bool has_marks; /* each member holds a mark (skbinfo), for SET --map-mark */
};

/* What of it counts goes by the set's type; the rest is zero, so that members can be compared as bytes. */
struct ipset_member {
    struct address address;
    struct address other; /* the second IP, or the net's first address */
    uint32_t mark;        /* of a set with marks: all 32 bits of a packet's mark become this */
    uint16_t port;        /* host order */
    uint8_t protocol;
    uint8_t len; /* of the net, counted in its own family; 1 at least */
};

struct ipset_socket;
/* -ENOENT and a sentence where this kernel has no ipsets (the module ip_set is asked for by that). */
int ipset_open(struct ipset_socket **ret, struct err *err);
void ipset_close(struct ipset_socket *socket); /* NULL is allowed */

/* At once. A set that is there already with the same type, family and marks is fine, whatever its size. One
 * that differs, or whose members time out, or that holds but a part of what its type can (netmask, range):
 * -EEXIST and a sentence that names it. */
int ipset_create(struct ipset_socket *socket, const struct ipset *set, struct err *err);
/* At once; not being there is success. -EBUSY: a rule or a set refers to it. */
int ipset_destroy(struct ipset_socket *socket, const char *name, struct err *err);

/* A member that is there already gets the new mark; one that is not there any more is removed already. */
void ipset_add(struct ipset_socket *socket, const struct ipset *set, const struct ipset_member *member);
void ipset_remove(struct ipset_socket *socket, const struct ipset *set, const struct ipset_member *member);
/* The first failure, which names set and member ("the ipset KUBE-CLUSTER-IP is full: ..."); all the others
 * have taken effect. Nothing is waiting afterwards either way. -ENFILE: the set is full; -ENOENT: there is no
 * such set. */
int ipset_flush(struct ipset_socket *socket, struct err *err);

/* Every member that the kernel has, but exceptions (nomatch). One whose mark is for less than 32 bits has the
 * mark 0. -ENOENT where there is no such set. visit's member is borrowed. */
int ipset_list(struct ipset_socket *socket, const struct ipset *set,
               void (*visit)(void *context, const struct ipset_member *member), void *context,
               struct err *err);

/* How many members it has, without listing them. -ENOENT where there is no such set. */
int ipset_count(struct ipset_socket *socket, const struct ipset *set, uint32_t *ret, struct err *err);

const char *ipset_type_name(enum ipset_type type); /* "hash:ip,port" */
/* As ipset(8) prints it: "10.96.0.10,tcp:80", with " skbmark 0x12" behind where the set has marks. PURE. */
#define IPSET_MEMBER_TEXT_MAX (2 * ADDRESS_TEXT_MAX + 64)
const char *ipset_member_format(const struct ipset *set, const struct ipset_member *member,
                                char buffer[IPSET_MEMBER_TEXT_MAX]);

/* The members in the answer to a dump. For fuzzing; never reads past len. */
void ipset_parse_members(const void *bytes, size_t len, const struct ipset *set,
                         void (*visit)(void *context, const struct ipset_member *member), void *context);
