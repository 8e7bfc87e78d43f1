/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/intern.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct interned {
    uint32_t id;
    UT_hash_handle hh;
    char name[];
};

struct intern {
    struct interned *by_name;
    struct interned **by_id; /* by_id[id - 1] */
    uint32_t count, capacity;
};

struct intern *intern_new(void)
{
    return xcalloc(1, sizeof(struct intern));
}

void intern_free(struct intern *intern)
{
    if (!intern)
        return;
    HASH_CLEAR(hh, intern->by_name);
    for (uint32_t i = 0; i < intern->count; i++)
        free(intern->by_id[i]);
    free(intern->by_id);
    free(intern);
}

uint32_t intern_find(const struct intern *intern, const char *name)
{
    struct interned *found = NULL;
    if (name && *name)
        HASH_FIND_STR(intern->by_name, name, found);
    return found ? found->id : 0;
}

uint32_t intern_id(struct intern *intern, const char *name)
{
    uint32_t known = intern_find(intern, name);
    if (known || !name || !*name)
        return known;
    if (intern->count == intern->capacity) {
        intern->capacity = intern->capacity ? intern->capacity * 2 : 64;
        intern->by_id = xrealloc(intern->by_id, intern->capacity * sizeof(*intern->by_id));
    }
    size_t len = strlen(name);
    struct interned *fresh = xcalloc(1, sizeof(*fresh) + len + 1);
    memcpy(fresh->name, name, len);
    fresh->id = intern->count + 1;
    intern->by_id[intern->count++] = fresh;
    HASH_ADD_KEYPTR(hh, intern->by_name, fresh->name, len, fresh);
    return fresh->id;
}

const char *intern_text(const struct intern *intern, uint32_t id)
{
    return id == 0 || id > intern->count ? "" : intern->by_id[id - 1]->name;
}
