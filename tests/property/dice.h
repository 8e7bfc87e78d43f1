/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Numbers that look random and follow from a seed alone (splitmix64, Steele and others 2014). */
struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
    uint64_t z = dice->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 .. below - 1 */
static inline uint32_t dice_below(struct dice *dice, uint32_t below)
{
    return (uint32_t)(dice_next(dice) % below);
}

/* True one time in so many. */
static inline bool dice_one_in(struct dice *dice, uint32_t many)
{
    return dice_below(dice, many) == 0;
}
