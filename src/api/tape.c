/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/tape.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define TAG_PREFIX "tag:yaml.org,2002:"

void tape_init(struct tape *tape, struct arena *arena)
{
    *tape = (struct tape){.arena = arena};
}

void tape_done(struct tape *tape)
{
    free(tape->nodes);
    tape->nodes = NULL;
}

void tape_reset(struct tape *tape)
{
    arena_reset(tape->arena);
    tape->count = tape->anchor_count = tape->weight = 0;
    tape->bytes = 0;
    tape->has_merge = false;
    tape->fault = (struct tape_fault){0};
}

void tape_fail(struct tape *tape, yaml_mark_t mark, const char *sentence)
{
    if (!tape->fault.sentence)
        tape->fault = (struct tape_fault){sentence, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

struct tape_node *tape_push(struct tape *tape, enum tape_kind kind, yaml_mark_t mark)
{
    if (tape->count == tape->capacity) {
        tape->capacity = tape->capacity ? tape->capacity * 2 : 256;
        tape->nodes = xrealloc(tape->nodes, tape->capacity * sizeof(*tape->nodes));
    }
    struct tape_node *node = &tape->nodes[tape->count++];
    *node = (struct tape_node){.kind = (uint8_t)kind,
                               .end = tape->count,
                               .line = (uint32_t)mark.line + 1,
                               .column = (uint32_t)mark.column + 1};
    return node;
}

void tape_open_root(struct tape *tape, yaml_mark_t mark)
{
    assert(tape->count == 0);
    tape_push(tape, TAPE_MAPPING, mark);
}

/* The merge keys among the root's own pairs are not seen by the builder, which starts below it. */
void tape_close_root(struct tape *tape)
{
    struct tape_node *root = &tape->nodes[0];
    uint32_t children = 0;
    for (uint32_t child = 1; child < tape->count; child = tape->nodes[child].end, children++) {
        const struct tape_node *node = &tape->nodes[child];
        if (children % 2 == 0 && node->kind == TAPE_SCALAR && node->is_plain && strcmp(node->text, "<<") == 0)
            root->has_merge = tape->has_merge = true;
    }
    root->count = children / 2;
    root->end = tape->count;
}

static bool add_weight(struct tape *tape, yaml_mark_t mark, uint32_t weight)
{
    if (weight > TAPE_NODES_MAX - tape->weight) {
        tape_fail(tape, mark,
                  "the document has more than 1000000 values, counting each alias with what it stands for");
        return false;
    }
    tape->weight += weight;
    return true;
}

/* Names node for later aliases; -1 when it has no anchor. */
static int add_anchor(struct tape *tape, const yaml_event_t *event, const yaml_char_t *name)
{
    if (!name)
        return -1;
    if (tape->anchor_count == TAPE_ANCHORS_MAX) {
        tape_fail(tape, event->start_mark, "the document has more than 256 anchors");
        return -1;
    }
    tape->anchors[tape->anchor_count] =
        (struct tape_anchor){arena_strdup(tape->arena, (const char *)name), tape->count - 1, 0};
    return (int)tape->anchor_count++;
}

static void add_alias(struct tape *tape, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (uint32_t i = tape->anchor_count; i-- > 0;) {
        const struct tape_anchor *anchor = &tape->anchors[i];
        if (strcmp(anchor->name, name) != 0)
            continue;
        if (anchor->weight == 0)
            tape_fail(tape, event->start_mark,
                      arena_printf(tape->arena, "alias \"%s\" stands inside its own anchor", name));
        else if (add_weight(tape, event->start_mark, anchor->weight))
            tape_push(tape, TAPE_ALIAS, event->start_mark)->count = anchor->node;
        return;
    }
    tape_fail(tape, event->start_mark,
              arena_printf(tape->arena, "alias \"%s\" has no anchor before it in this document", name));
}

/* Whether a tag leaves the scalar's type to its text. Tags that contradict the text, and tags of
 * applications, are refused: nothing in a Kubernetes object needs them. */
static bool scalar_tag(struct tape *tape, const yaml_event_t *event, bool *ret_is_plain)
{
    static const char *const names[] = {
        [SCALAR_STRING] = "str",  [SCALAR_NULL] = "null",  [SCALAR_BOOLEAN] = "bool",
        [SCALAR_INTEGER] = "int", [SCALAR_REAL] = "float", [SCALAR_MERGE] = "merge"};
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    *ret_is_plain = is_plain;
    if (!tag)
        return true;
    if (strcmp(tag, "!") == 0 || strcmp(tag, TAG_PREFIX "str") == 0) {
        *ret_is_plain = false;
        return true;
    }
    struct scalar scalar = scalar_resolve((const char *)event->data.scalar.value, event->data.scalar.length);
    if (is_plain && strncmp(tag, TAG_PREFIX, strlen(TAG_PREFIX)) == 0 &&
        strcmp(tag + strlen(TAG_PREFIX), names[scalar.type]) == 0)
        return true;
    tape_fail(tape, event->start_mark, arena_printf(tape->arena, "tag \"%s\" is not supported here", tag));
    return false;
}

static void add_scalar(struct tape *tape, const yaml_event_t *event)
{
    size_t len = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;
    bool is_plain;
    if (!scalar_tag(tape, event, &is_plain))
        return;
    if (memchr(value, '\0', len)) {
        tape_fail(tape, event->start_mark, "a value contains a NUL character");
        return;
    }
    if (len > TAPE_BYTES_MAX - tape->bytes) {
        tape_fail(tape, event->start_mark, "the document is larger than 16 MiB");
        return;
    }
    if (!add_weight(tape, event->start_mark, 1))
        return;
    tape->bytes += len;
    char *text = arena_strndup(tape->arena, value, len);
    struct tape_node *node = tape_push(tape, TAPE_SCALAR, event->start_mark);
    node->text = text;
    node->len = (uint32_t)len;
    node->is_plain = is_plain;
    int anchor = add_anchor(tape, event, event->data.scalar.anchor);
    if (anchor >= 0)
        tape->anchors[anchor].weight = 1;
}

struct open_node {
    uint32_t node, children, weight_before;
    int anchor;
    bool at_key;
};

/* Storing stops at the first fault, but the structure is followed to its end. */
struct builder {
    struct tape *tape;
    unsigned depth, outer;
    struct open_node open[TAPE_DEPTH_MAX];
};

static void open_container(struct builder *builder, const yaml_event_t *event)
{
    struct tape *tape = builder->tape;
    bool is_mapping = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *name =
        is_mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const char *tag =
        (const char *)(is_mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    unsigned depth = builder->depth++;
    if (builder->outer + depth >= TAPE_DEPTH_MAX)
        tape_fail(tape, event->start_mark, "nested deeper than 64 levels");
    if (tag && strcmp(tag, "!") != 0 && strcmp(tag, is_mapping ? TAG_PREFIX "map" : TAG_PREFIX "seq") != 0)
        tape_fail(tape, event->start_mark,
                  arena_printf(tape->arena, "tag \"%s\" is not supported here", tag));
    uint32_t weight_before = tape->weight;
    if (tape->fault.sentence || !add_weight(tape, event->start_mark, 1))
        return;
    tape_push(tape, is_mapping ? TAPE_MAPPING : TAPE_SEQUENCE, event->start_mark);
    builder->open[depth] = (struct open_node){.node = tape->count - 1,
                                              .weight_before = weight_before,
                                              .anchor = add_anchor(tape, event, name),
                                              .at_key = is_mapping};
}

static void close_container(struct builder *builder)
{
    struct tape *tape = builder->tape;
    builder->depth--;
    if (tape->fault.sentence)
        return;
    const struct open_node *open = &builder->open[builder->depth];
    struct tape_node *node = &tape->nodes[open->node];
    node->end = tape->count;
    node->count = node->kind == TAPE_MAPPING ? open->children / 2 : open->children;
    if (open->anchor >= 0)
        tape->anchors[open->anchor].weight = tape->weight - open->weight_before;
}

/* Before a child of the container that is open. */
static void count_child(struct builder *builder, const yaml_event_t *event)
{
    struct tape *tape = builder->tape;
    if (builder->depth == 0 || tape->fault.sentence)
        return;
    struct open_node *open = &builder->open[builder->depth - 1];
    open->children++;
    if (tape->nodes[open->node].kind != TAPE_MAPPING)
        return;
    if (open->at_key && event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 2 &&
        event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && memcmp(event->data.scalar.value, "<<", 2) == 0)
        tape->nodes[open->node].has_merge = tape->has_merge = true;
    open->at_key = !open->at_key;
}

static void add_event(struct builder *builder, const yaml_event_t *event)
{
    struct tape *tape = builder->tape;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        count_child(builder, event);
        if (!tape->fault.sentence)
            add_scalar(tape, event);
        break;
    case YAML_ALIAS_EVENT:
        count_child(builder, event);
        if (!tape->fault.sentence)
            add_alias(tape, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        count_child(builder, event);
        open_container(builder, event);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_container(builder);
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        assert(!"not inside a node");
        break;
    }
}

bool tape_add(struct tape *tape, yaml_parser_t *parser, yaml_event_t *event, unsigned depth)
{
    struct builder builder;
    builder.tape = tape;
    builder.depth = 0;
    builder.outer = depth;
    for (;;) {
        add_event(&builder, event);
        yaml_event_delete(event);
        if (builder.depth == 0)
            return true;
        tape->is_given_up = builder.depth > TAPE_GIVE_UP_DEPTH;
        if (tape->is_given_up)
            return false;
        if (!yaml_parser_parse(parser, event))
            return false;
    }
}

const struct tape_node *tape_resolve(const struct tape *tape, uint32_t node)
{
    const struct tape_node *at = &tape->nodes[node];
    while (at->kind == TAPE_ALIAS)
        at = &tape->nodes[at->count];
    return at;
}

static const struct tape_node *find(const struct tape *tape, const struct tape_node *node, const char *key,
                                    int (*compare)(const char *, const char *))
{
    if (node->kind != TAPE_MAPPING)
        return NULL;
    uint32_t at = tape_index(tape, node) + 1;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct tape_node *name = tape_resolve(tape, at);
        uint32_t value = tape_next(tape, at);
        if (name->kind == TAPE_SCALAR && compare(name->text, key) == 0)
            return tape_resolve(tape, value);
        at = tape_next(tape, value);
    }
    return NULL;
}

const struct tape_node *tape_get(const struct tape *tape, const struct tape_node *node, const char *key)
{
    return find(tape, node, key, strcmp);
}

/* Case does not count: upstream's path for loadBalancerSourceRanges has a capital L. */
static const struct tape_node *locate_child(const struct tape *tape, const struct tape_node *up,
                                            const struct path *path)
{
    if (path->name || path->key)
        return find(tape, up, path->name ? path->name : path->key, strcasecmp);
    if (up->kind != TAPE_SEQUENCE || path->index >= up->count)
        return NULL;
    uint32_t at = tape_index(tape, up) + 1;
    for (size_t i = 0; i < path->index; i++)
        at = tape_next(tape, at);
    return tape_resolve(tape, at);
}

const struct tape_node *tape_locate(const struct tape *tape, const struct path *path)
{
    if (tape->count == 0)
        return NULL;
    if (!path)
        return tape_resolve(tape, 0);
    const struct tape_node *up = tape_locate(tape, path->parent);
    const struct tape_node *found = locate_child(tape, up, path);
    return found ? found : up;
}

struct scalar tape_scalar(const struct tape_node *node)
{
    if (!node->is_plain)
        return (struct scalar){.type = SCALAR_STRING};
    return scalar_resolve(node->text, node->len);
}

const char *tape_key(const struct tape_node *key, struct arena *arena)
{
    if (key->kind != TAPE_SCALAR)
        return NULL;
    struct scalar scalar = tape_scalar(key);
    switch (scalar.type) {
    case SCALAR_BOOLEAN:
        return scalar.boolean ? "true" : "false";
    case SCALAR_INTEGER:
        return arena_printf(arena, "%lld", (long long)scalar.integer);
    case SCALAR_NULL:
        return NULL;
    case SCALAR_STRING:
    case SCALAR_REAL:
    case SCALAR_MERGE:
        break;
    }
    return key->text;
}
