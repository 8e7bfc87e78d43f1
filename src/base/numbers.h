/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdint.h>

/* Numbers for names: a name keeps its number, and no other name gets it, until all are forgotten together.
 * Start from {0}; free with numbers_done. */
struct numbers {
    struct number *by_name, *by_number;
};

/* The number of the name, from 1 to max, which is a power of two less one and more than there are names.
 * hash is the name's: a new name gets its lowest bits or the next number that is free, so a process that
 * numbers the same names after another gives nearly all of them the same numbers. */
uint32_t numbers_get(struct numbers *numbers, const char *name, uint64_t hash, uint32_t max);
void numbers_done(struct numbers *numbers);
