/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/tape.h"

#include "base/cleanup.h"

#include <string.h>

/* Keys are compared pair by pair, so this also bounds the time. */
#define MERGED_PAIRS_MAX 256

/* Pairs gathered for one mapping: indexes into the tape. */
struct gathered {
    struct tape *tape;
    uint32_t *keys, *values;
    uint32_t count;
};

static void fail_at(struct tape *tape, const struct tape_node *node, const char *sentence)
{
    yaml_mark_t mark = {.line = node->line - 1, .column = node->column - 1};
    tape_fail(tape, mark, sentence);
}

static bool is_merge_key(const struct tape_node *key)
{
    return key->kind == TAPE_SCALAR && key->is_plain && strcmp(key->text, "<<") == 0;
}

static bool is_gathered(const struct gathered *gathered, const struct tape_node *key)
{
    for (uint32_t i = 0; i < gathered->count; i++) {
        const struct tape_node *other = tape_resolve(gathered->tape, gathered->keys[i]);
        if (other->kind == TAPE_SCALAR && key->kind == TAPE_SCALAR && strcmp(other->text, key->text) == 0)
            return true;
    }
    return false;
}

/* Takes the pairs of a mapping. Its own keys are taken even twice, so that the decoder sees the duplicate; a
 * merged mapping's only where the key is new. */
static void gather(struct gathered *gathered, const struct tape_node *mapping, bool is_merged)
{
    struct tape *tape = gathered->tape;
    uint32_t at = tape_index(tape, mapping) + 1;
    for (uint32_t i = 0; i < mapping->count; i++) {
        uint32_t key = at, value = tape_next(tape, key);
        at = tape_next(tape, value);
        const struct tape_node *name = tape_resolve(tape, key);
        if (is_merge_key(name) || (is_merged && is_gathered(gathered, name)))
            continue;
        if (gathered->count == MERGED_PAIRS_MAX) {
            fail_at(tape, mapping, "a mapping with \"<<\" has more than 256 keys");
            return;
        }
        gathered->keys[gathered->count] = key;
        gathered->values[gathered->count++] = value;
    }
}

static void apply_to(struct tape *tape, uint32_t index);

static void gather_source(struct gathered *gathered, uint32_t source)
{
    struct tape *tape = gathered->tape;
    /* An inline mapping comes after the one that holds it; one behind an alias came before and is done. */
    if (tape->nodes[source].kind == TAPE_MAPPING && tape->nodes[source].has_merge)
        apply_to(tape, source);
    const struct tape_node *mapping = tape_resolve(tape, source);
    if (mapping->kind == TAPE_MAPPING)
        gather(gathered, mapping, true);
    else
        fail_at(tape, mapping, "\"<<\" wants a mapping or a list of mappings");
}

static void gather_sources(struct gathered *gathered, uint32_t mapping)
{
    struct tape *tape = gathered->tape;
    uint32_t at = mapping + 1, pairs = tape->nodes[mapping].count;
    for (uint32_t i = 0; i < pairs && !tape->fault.sentence; i++) {
        uint32_t value = tape_next(tape, at);
        if (is_merge_key(tape_resolve(tape, at))) {
            const struct tape_node *source = tape_resolve(tape, value);
            if (source->kind == TAPE_SEQUENCE) {
                uint32_t item = tape_index(tape, source) + 1, items = source->count;
                for (uint32_t j = 0; j < items; j++, item = tape_next(tape, item))
                    gather_source(gathered, item);
            } else {
                gather_source(gathered, value);
            }
        }
        at = tape_next(tape, value);
    }
}

static void append_alias(struct tape *tape, uint32_t target)
{
    if (tape->count == tape->capacity) {
        tape->capacity *= 2;
        tape->nodes = xrealloc(tape->nodes, tape->capacity * sizeof(*tape->nodes));
    }
    struct tape_node *node = &tape->nodes[tape->count++];
    *node = tape->nodes[target];
    node->kind = TAPE_ALIAS;
    node->count = target;
    node->end = tape->count;
}

/* The mapping becomes an alias of a new one at the end of the tape, whose keys and values are aliases. */
static void apply_to(struct tape *tape, uint32_t index)
{
    cleanup_free uint32_t *pairs = xcalloc(2 * (size_t)MERGED_PAIRS_MAX, sizeof(*pairs));
    struct gathered gathered = {.tape = tape, .keys = pairs, .values = pairs + MERGED_PAIRS_MAX};
    tape->nodes[index].has_merge = false;
    gather(&gathered, &tape->nodes[index], false);
    gather_sources(&gathered, index);
    if (tape->fault.sentence)
        return;
    if (tape->count > TAPE_NODES_MAX) {
        fail_at(tape, &tape->nodes[index], "\"<<\" makes the document larger than 1000000 values");
        return;
    }
    uint32_t flat = tape->count;
    append_alias(tape, index);
    tape->nodes[flat].kind = TAPE_MAPPING;
    tape->nodes[flat].count = gathered.count;
    for (uint32_t i = 0; i < gathered.count; i++) {
        append_alias(tape, gathered.keys[i]);
        append_alias(tape, gathered.values[i]);
    }
    tape->nodes[flat].end = tape->count;
    tape->nodes[index].kind = TAPE_ALIAS;
    tape->nodes[index].count = flat;
}

void merge_apply(struct tape *tape)
{
    uint32_t count = tape->count;
    for (uint32_t i = 0; tape->has_merge && i < count && !tape->fault.sentence; i++)
        if (tape->nodes[i].kind == TAPE_MAPPING && tape->nodes[i].has_merge)
            apply_to(tape, i);
}
