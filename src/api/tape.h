/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/path.h"
#include "api/scalar.h"
#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

/* Bounds on what one document may make us hold; a document past one of them is refused, the next is read. */
#define TAPE_DEPTH_MAX 64
#define TAPE_NODES_MAX 1000000 /* aliases counted with what they stand for */
#define TAPE_BYTES_MAX ((size_t)16 << 20)
#define TAPE_ANCHORS_MAX 256
/* libyaml's time grows with depth times length, so beyond this the file is given up. */
#define TAPE_GIVE_UP_DEPTH 128

enum tape_kind { TAPE_SCALAR, TAPE_SEQUENCE, TAPE_MAPPING, TAPE_ALIAS };

/* One document as a flat run of nodes in document order: a container is followed by what it holds. */
struct tape_node {
    const char *text;      /* scalar: NUL-terminated, never with a NUL inside */
    uint32_t len;          /* scalar: bytes of text */
    uint32_t count;        /* mapping: pairs; sequence: items; alias: the node that it stands for */
    uint32_t end;          /* the node after this one and all that it holds */
    uint32_t line, column; /* from 1 */
    uint8_t kind;          /* enum tape_kind */
    bool is_plain;         /* scalar: unquoted and untagged, so its type follows from its text */
    bool has_merge;        /* mapping: a "<<" key stands in it */
};

struct tape_anchor {
    const char *name;
    uint32_t node;
    uint32_t weight; /* nodes that an alias adds; 0 while the node is still open */
};

/* A fault of the document, not of the file: the rest of the file is still read. */
struct tape_fault {
    const char *sentence; /* NULL for none */
    uint32_t line, column;
};

struct tape {
    struct arena *arena; /* the scalars' text */
    struct tape_node *nodes;
    uint32_t count, capacity;
    struct tape_anchor anchors[TAPE_ANCHORS_MAX];
    uint32_t anchor_count;
    uint32_t weight;
    bool has_merge;
    size_t bytes; /* of text */
    struct tape_fault fault;
    bool is_given_up; /* past TAPE_GIVE_UP_DEPTH */
};

/* nodes is kept from document to document; tape_done frees it. */
void tape_init(struct tape *tape, struct arena *arena);
void tape_done(struct tape *tape);
/* Empties the tape and its arena for the next document. */
void tape_reset(struct tape *tape);
/* Notes the first fault alone. */
void tape_fail(struct tape *tape, yaml_mark_t mark, const char *sentence);

/* Appends the node that begins with event, and everything in it, reading on from the parser; event is
 * consumed. depth is the number of containers around it. Returns false on a syntax error, which stays in the
 * parser, and past TAPE_GIVE_UP_DEPTH, with is_given_up and the fault set. A fault of the document goes to
 * tape->fault and reading goes on, storing nothing. */
bool tape_add(struct tape *tape, yaml_parser_t *parser, yaml_event_t *event, unsigned depth);
/* Appends one node; for those who build a tape without a parser. The caller keeps count and end of
 * containers. */
struct tape_node *tape_push(struct tape *tape, enum tape_kind kind, yaml_mark_t mark);
/* Opens the mapping at the root of a document by hand; the caller adds keys and values and then closes it. */
void tape_open_root(struct tape *tape, yaml_mark_t mark);
void tape_close_root(struct tape *tape);

/* Follows an alias to the node that it stands for; other nodes are returned as they are. */
const struct tape_node *tape_resolve(const struct tape *tape, uint32_t node);
static inline uint32_t tape_next(const struct tape *tape, uint32_t node)
{
    return tape->nodes[node].end;
}
static inline uint32_t tape_index(const struct tape *tape, const struct tape_node *node)
{
    return (uint32_t)(node - tape->nodes);
}
/* The value under a key in a mapping, NULL when node is no mapping or has no such key. */
const struct tape_node *tape_get(const struct tape *tape, const struct tape_node *node, const char *key);
/* The node at a path, or the deepest that there is on the way to it. NULL for an empty tape. */
const struct tape_node *tape_locate(const struct tape *tape, const struct path *path);
/* What the scalar means; STRING for quoted ones. */
struct scalar tape_scalar(const struct tape_node *node);
/* What a mapping's key is in JSON, where keys are strings; YAML's booleans and numbers become the text that
 * sigs.k8s.io/yaml gives them. NULL for what is no key. In the arena or the tape's own. */
const char *tape_key(const struct tape_node *key, struct arena *arena);

/* Replaces each mapping that has "<<" keys with what it amounts to: its own keys win, then the first merged
 * mapping that has the key (https://yaml.org/type/merge.html). Faults go to tape->fault. */
void merge_apply(struct tape *tape);
