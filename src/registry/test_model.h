/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: random writes, and what a registry has to hold after them, to be compared with one that
 * was opened after a death. */
#include "registry/registry.h"

#include <stdbool.h>

#define MODEL_NAMES 24
#define MODEL_BATCH_MAX 6

/* One write, or several in a batch. */
struct model_batch {
    unsigned count;
    bool is_rolled_back;
    struct model_change {
        bool is_removal;
        uint8_t name, letter;
        uint16_t load_size;
    } changes[MODEL_BATCH_MAX];
};

struct model {
    uint64_t revision;
    struct model_object {
        bool exists;
        uint8_t letter;
        uint16_t load_size;
        uint64_t revision;
    } objects[MODEL_NAMES];
};

/* Numbers below a bound that follow from *dice alone (splitmix64, Steele and others 2014). */
uint32_t model_roll(uint64_t *dice, uint32_t below);
/* Removes only what is there by then. */
struct model_batch model_roll_batch(const struct model *model, uint64_t *dice);
void model_apply(struct model *model, const struct model_batch *batch);
/* The same to a registry. */
int model_write(struct registry *registry, const struct model_batch *batch, struct err *err);

enum model_verdict { MODEL_AS_RETURNED, MODEL_ONE_MORE, MODEL_WRONG };
/* The registry is as before (all that returned), or as after (the batch under way too), or what is wrong is
 * on stderr. */
enum model_verdict model_compare(const struct registry *registry, const struct model *before,
                                 const struct model *after);
/* The file and what SQLite puts beside it. */
void model_remove_files(const char *path);
