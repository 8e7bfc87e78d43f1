/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/pace.h"

uint64_t pace_delay_ms(const struct pace *pace, uint64_t now_ms, uint64_t min_ms)
{
    uint64_t passed_ms = now_ms - pace->wrote_ms;
    return pace->has_written && passed_ms < min_ms ? min_ms - passed_ms : 0;
}

void pace_note(struct pace *pace, uint64_t now_ms)
{
    *pace = (struct pace){.wrote_ms = now_ms, .has_written = true};
}
