/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/uid.h"

#include <inttypes.h>

char *uid_make(uint64_t high, uint64_t low, struct arena *arena)
{
    high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    return arena_printf(arena, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
                        high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48,
                        low & UINT64_C(0xffffffffffff));
}
