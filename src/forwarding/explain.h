/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "forwarding/claims.h"
#include "store/store.h"

/* The same decision as entry_build's, told in words. Pure. */

struct explain_question {
    struct address address;
    uint16_t port;
    enum protocol protocol;
    bool has_from;
    struct address from;
};

/* What the question leads to. entry and frontend are set when a service serves it. */
struct explain_answer {
    const struct service_record *record;
    const struct frontend *frontend;
};

struct explain_world {
    const struct store *store;
    const struct claims *claims;
    const struct node_view *node;
    const char *node_name;
    const struct address *node_port_addresses;
    uint32_t node_port_address_count;
    const struct prefix *service_cidrs;
    uint32_t service_cidr_count;
};

/* "10.96.0.10:53/udp", "[fd00::1]:80" (TCP when no protocol is given). -EINVAL and a sentence. */
int explain_parse(const char *text, struct explain_question *ret, struct err *err);
void explain_write(const struct explain_world *world, const struct explain_question *question,
                   struct text *ret, struct explain_answer *ret_answer);
