/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/path.h"

const char *path_format(const struct path *path, struct arena *arena)
{
    if (!path)
        return "";
    const char *up = path_format(path->parent, arena);
    if (path->name)
        return arena_printf(arena, "%s%s%s", up, *up ? "." : "", path->name);
    if (path->key)
        return arena_printf(arena, "%s[%s]", up, path->key);
    return arena_printf(arena, "%s[%zu]", up, path->index);
}
