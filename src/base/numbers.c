/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/numbers.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct number {
    uint32_t number;
    UT_hash_handle by_name_hh, by_number_hh;
    char name[];
};

uint32_t numbers_get(struct numbers *numbers, const char *name, uint64_t hash, uint32_t max)
{
    size_t len = strlen(name);
    struct number *found;
    HASH_FIND(by_name_hh, numbers->by_name, name, len, found);
    if (found)
        return found->number;
    uint32_t number = (uint32_t)hash & max;
    for (;; number = (number + 1) & max) {
        if (number == 0)
            continue;
        HASH_FIND(by_number_hh, numbers->by_number, &number, sizeof(number), found);
        if (!found)
            break;
    }
    struct number *fresh = xcalloc(1, sizeof(*fresh) + len + 1);
    memcpy(fresh->name, name, len);
    fresh->number = number;
    HASH_ADD_KEYPTR(by_name_hh, numbers->by_name, fresh->name, len, fresh);
    HASH_ADD(by_number_hh, numbers->by_number, number, sizeof(fresh->number), fresh);
    return number;
}

void numbers_done(struct numbers *numbers)
{
    struct number *number, *next;
    HASH_CLEAR(by_number_hh, numbers->by_number);
    HASH_ITER (by_name_hh, numbers->by_name, number, next) {
        HASH_DELETE(by_name_hh, numbers->by_name, number);
        free(number);
    }
}
