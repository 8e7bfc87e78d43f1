/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdlib.h>
#include <unistd.h>

/* Scope-bound ownership. Never mixed with goto in one function. */
static inline void cleanup_free_(void *where)
{
    free(*(void **)where);
}
static inline void cleanup_close_(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define cleanup_free __attribute__((cleanup(cleanup_free_)))
#define cleanup_close __attribute__((cleanup(cleanup_close_)))
#define cleanup_with(done) __attribute__((cleanup(done)))

/* Hands the value over and leaves nothing to clean up behind. */
#define steal_pointer(where)                                                                                 \
    ({                                                                                                       \
        __typeof__(*(where)) taken_ = *(where);                                                              \
        *(where) = NULL;                                                                                     \
        taken_;                                                                                              \
    })
#define steal_fd(where)                                                                                      \
    ({                                                                                                       \
        int taken_ = *(where);                                                                               \
        *(where) = -1;                                                                                       \
        taken_;                                                                                              \
    })

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
