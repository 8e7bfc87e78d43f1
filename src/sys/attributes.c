/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/attributes.h"

#include <string.h>

void attributes_parse(const void *bytes, size_t len, const struct nlattr **ret, unsigned count)
{
    const char *at = bytes;
    memset(ret, 0, count * sizeof(*ret));
    while (len >= sizeof(struct nlattr)) {
        const struct nlattr *attribute = (const struct nlattr *)at;
        size_t size = attribute->nla_len;
        if (size < sizeof(*attribute) || size > len)
            return;
        if (mnl_attr_get_type(attribute) < count)
            ret[mnl_attr_get_type(attribute)] = attribute;
        if (MNL_ALIGN(size) >= len)
            return;
        at += MNL_ALIGN(size);
        len -= MNL_ALIGN(size);
    }
}

void attributes_of(const struct nlmsghdr *message, size_t header_len, const struct nlattr **ret,
                   unsigned count)
{
    size_t len = mnl_nlmsg_get_payload_len(message);
    const char *payload = mnl_nlmsg_get_payload(message);
    header_len = MNL_ALIGN(header_len);
    attributes_parse(payload + (len < header_len ? 0 : header_len), len < header_len ? 0 : len - header_len,
                     ret, count);
}

void attributes_in(const struct nlattr *nest, const struct nlattr **ret, unsigned count)
{
    if (nest)
        attributes_parse(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), ret, count);
    else
        attributes_parse(NULL, 0, ret, count);
}

bool attribute_copy(const struct nlattr *attribute, void *to, size_t size)
{
    bool is_there = attribute && mnl_attr_get_payload_len(attribute) == size;
    memset(to, 0, size);
    if (is_there)
        memcpy(to, mnl_attr_get_payload(attribute), size);
    return is_there;
}

const char *attribute_text(const struct nlattr *attribute)
{
    if (!attribute)
        return NULL;
    const char *text = mnl_attr_get_payload(attribute);
    return memchr(text, '\0', mnl_attr_get_payload_len(attribute)) ? text : NULL;
}
