/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/host_port.h"

#include "api/names.h"

#include <stdio.h>
#include <string.h>

bool host_port_split(const char *text, struct arena *arena, const char **ret_host, const char **ret_port)
{
    const char *colon = strrchr(text, ':'), *host = text, *end = colon;
    if (!colon)
        return false;
    if (*text == '[') {
        end = strchr(text, ']');
        host = text + 1;
        if (!end || end + 1 != colon)
            return false;
    } else if (strchr(text, ':') != colon) {
        return false;
    }
    if (strchr(host, '[') || strchr(*text == '[' ? end + 1 : text, ']'))
        return false;
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
