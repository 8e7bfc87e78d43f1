/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/host_port.h"

#include "api/names.h"

#include <stdio.h>
#include <string.h>

static const char *bracket_fault(const char *after, const char *colon)
{
    if (after == colon)
        return NULL;
    return *after == ':' ? "too many colons in address" : "missing port in address";
}

const char *host_port_fault(const char *text)
{
    const char *colon = strrchr(text, ':'), *close = strchr(text, ']');
    bool has_brackets = *text == '[';
    if (!colon)
        return "missing port in address";
    if (has_brackets && !close)
        return "missing ']' in address";
    const char *fault = has_brackets ? bracket_fault(close + 1, colon) : NULL;
    if (fault)
        return fault;
    if (!has_brackets && strchr(text, ':') != colon)
        return "too many colons in address";
    if (strchr(text + has_brackets, '['))
        return "unexpected '[' in address";
    return strchr(has_brackets ? close + 1 : text, ']') ? "unexpected ']' in address" : NULL;
}

bool host_port_split(const char *text, struct arena *arena, const char **ret_host, const char **ret_port)
{
    if (host_port_fault(text))
        return false;
    const char *colon = strrchr(text, ':'), *host = text + (*text == '['), *end = colon - (*text == '[');
    *ret_host = arena_strndup(arena, host, (size_t)(end - host));
    *ret_port = arena_strdup(arena, colon + 1);
    return true;
}

bool prefix_parse_loosely(const char *text, struct arena *arena, struct prefix *ret)
{
    const char *slash = strchr(text, '/');
    char address_text[ADDRESS_TEXT_MAX];
    struct address address;
    if (!slash || slash - text > 64 ||
        !address_parse_loosely(arena_strndup(arena, text, (size_t)(slash - text)), arena, &address))
        return false;
    size_t digits = strspn(slash + 1, "0123456789");
    if (digits == 0 || slash[1 + digits])
        return false;
    const char *len = slash + 1 + strspn(slash + 1, "0");
    if (strlen(len) > 3)
        return false;
    const char *strict =
        arena_printf(arena, "%s/%s", address_format(&address, address_text), *len ? len : "0");
    return prefix_parse(strict, ret, NULL) == 0;
}
