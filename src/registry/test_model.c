/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/test_model.h"

#include "base/cleanup.h"
#include "registry/test_message.h"

#include <inttypes.h>
#include <stdio.h>

#define LOAD_MAX 6000

uint32_t model_roll(uint64_t *dice, uint32_t below)
{
    uint64_t z = *dice += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % below);
}

struct model_batch model_roll_batch(const struct model *model, uint64_t *dice)
{
    struct model_batch batch = {.count = model_roll(dice, 3) ? 1 : 2 + model_roll(dice, MODEL_BATCH_MAX - 1)};
    struct model later = *model;
    batch.is_rolled_back = batch.count > 1 && model_roll(dice, 8) == 0;
    for (unsigned i = 0; i < batch.count; i++) {
        struct model_change *change = &batch.changes[i];
        *change = (struct model_change){.name = (uint8_t)model_roll(dice, MODEL_NAMES),
                                        .letter = (uint8_t)('a' + model_roll(dice, 26)),
                                        .load_size =
                                            (uint16_t)model_roll(dice, model_roll(dice, 4) ? 300 : LOAD_MAX)};
        change->is_removal = later.objects[change->name].exists && model_roll(dice, 3) == 0;
        later.objects[change->name].exists = !change->is_removal;
    }
    return batch;
}

void model_apply(struct model *model, const struct model_batch *batch)
{
    for (unsigned i = 0; i < batch->count && !batch->is_rolled_back; i++) {
        const struct model_change *change = &batch->changes[i];
        model->objects[change->name] = (struct model_object){.exists = !change->is_removal,
                                                             .letter = change->letter,
                                                             .load_size = change->load_size,
                                                             .revision = ++model->revision};
    }
}

static void fill_load(char load[LOAD_MAX + 1], uint16_t size, uint8_t letter)
{
    memset(load, letter, size);
    load[size] = '\0';
}

static int write_change(struct registry *registry, const struct model_change *change, struct err *err)
{
    cleanup_with(arena_done) struct arena arena = {0};
    char name[8], load[LOAD_MAX + 1];
    snprintf(name, sizeof(name), "n%u", change->name);
    if (change->is_removal)
        return registry_delete(registry, API_SERVICE, "default", name, NULL, err);
    fill_load(load, change->load_size, change->letter);
    return registry_put(registry, API_SERVICE, test_message(&arena, API_SERVICE, "default", name, load), NULL,
                        err);
}

int model_write(struct registry *registry, const struct model_batch *batch, struct err *err)
{
    int code = 0;
    if (batch->count == 1)
        return write_change(registry, &batch->changes[0], err);
    registry_begin(registry);
    for (unsigned i = 0; code == 0 && i < batch->count; i++)
        code = write_change(registry, &batch->changes[i], err);
    if (code == 0 && !batch->is_rolled_back)
        return registry_commit(registry, err);
    registry_rollback(registry);
    return code;
}

static bool has_object(const struct registry *registry, unsigned number, const struct model_object *known)
{
    cleanup_with(arena_done) struct arena arena = {0};
    char name[8], load[LOAD_MAX + 1], revision[24];
    snprintf(name, sizeof(name), "n%u", number);
    const struct registry_object *object = registry_get(registry, API_SERVICE, "default", name);
    if (!object || !known->exists)
        return !object && !known->exists;
    const ProtobufCMessage *message = registry_decode(object, &arena);
    fill_load(load, known->load_size, known->letter);
    snprintf(revision, sizeof(revision), "%" PRIu64, known->revision);
    return object->revision == known->revision && strcmp(test_load(message), load) == 0 &&
           strcmp(api_metadata(message)->resourceversion, revision) == 0;
}

static bool has_all(const struct registry *registry, const struct model *model)
{
    for (unsigned i = 0; i < MODEL_NAMES; i++)
        if (!has_object(registry, i, &model->objects[i])) {
            fprintf(stderr, "n%u is not what was written\n", i);
            return false;
        }
    return true;
}

enum model_verdict model_compare(const struct registry *registry, const struct model *before,
                                 const struct model *after)
{
    uint64_t revision = registry_revision(registry);
    if (revision == before->revision)
        return has_all(registry, before) ? MODEL_AS_RETURNED : MODEL_WRONG;
    if (revision == after->revision)
        return has_all(registry, after) ? MODEL_ONE_MORE : MODEL_WRONG;
    fprintf(stderr, "revision %" PRIu64 ", though %" PRIu64 " returned\n", revision, before->revision);
    return MODEL_WRONG;
}

void model_remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-journal"};
    char name[256];
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        remove(name);
    }
}
