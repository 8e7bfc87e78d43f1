/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"

#include "api/decode.h"
#include "api/defaults.h"
#include "api/surrogates.h"
#include "api/validate.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

struct reader {
    const char *file;
    const char *bytes;
    size_t len;
    document_fn *visit;
    void *context;
    yaml_parser_t parser;
    struct arena arena; /* of the document at hand */
    struct tape tape;
    bool is_as_written;
};

/* What a list says of its items. Its own text outlives them, hence the copies. */
struct list {
    struct arena arena;
    const char *api_version, *kind; /* of the list itself; NULL while unknown */
    uint32_t line, column;
    bool is_streamed; /* "items" was met and its items were visited */
};

static struct document start_document(const struct reader *reader, uint32_t line, uint32_t column)
{
    return (struct document){.file = reader->file, .line = (int)line, .column = (int)column};
}

static void refuse(const struct reader *reader, struct document *document, uint32_t line, uint32_t column,
                   const char *sentence)
{
    document->object = NULL;
    document->refusal = sentence;
    document->line = (int)line;
    document->column = (int)column;
    reader->visit(reader->context, document);
}

static const char *text_under(const struct tape *tape, const struct tape_node *mapping, const char *key)
{
    const struct tape_node *node = tape_get(tape, mapping, key);
    return node && node->kind == TAPE_SCALAR && tape_scalar(node).type == SCALAR_STRING ? node->text : NULL;
}

static bool is_list_kind(const char *kind)
{
    size_t len = strlen(kind);
    return len >= 4 && strcmp(kind + len - 4, "List") == 0;
}

/* Names the document as far as its text does, whatever it is. */
static void identify(const struct tape *tape, const struct list *list, struct document *document)
{
    const struct tape_node *root = tape_resolve(tape, 0);
    document->api_version = text_under(tape, root, "apiVersion");
    document->kind = text_under(tape, root, "kind");
    const struct tape_node *metadata = tape_get(tape, root, "metadata");
    if (metadata) {
        document->namespace_ = text_under(tape, metadata, "namespace");
        document->name = text_under(tape, metadata, "name");
    }
    bool is_typed = list && list->kind && strcmp(list->kind, "List") != 0;
    if (is_typed && !document->kind)
        document->kind = arena_strndup(tape->arena, list->kind, strlen(list->kind) - 4);
    if (is_typed && !document->api_version)
        document->api_version = list->api_version;
}

/* What kubectl says when it cannot tell what an object is; NULL when it can. */
static const char *missing_type(const struct document *document)
{
    bool has_version = document->api_version && *document->api_version;
    bool has_kind = document->kind && *document->kind;
    if (!has_version && !has_kind)
        return "[apiVersion not set, kind not set]";
    if (!has_version)
        return "apiVersion not set";
    return has_kind ? NULL : "kind not set";
}

/* Defaulted and judged. Returns what is wrong. */
static const char *complete(enum api_kind kind, ProtobufCMessage *message, const struct tape *tape,
                            struct arena *arena, uint32_t *ret_line, uint32_t *ret_column)
{
    defaults_apply(kind, message, arena);
    return validate_object(kind, message, tape, arena, ret_line, ret_column);
}

/* Only what it takes to find the object's place: a name, and the namespace that kubectl would fill in. */
static const char *name_only(enum api_kind kind, ProtobufCMessage *message, struct arena *arena)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    if (!metadata || !*api_text(metadata->name))
        return "metadata.name: Required value: an object of a folder needs a name";
    if (api_kind_info(kind)->is_namespaced && !*api_text(metadata->namespace_))
        metadata->namespace_ = arena_strdup(arena, "default");
    return NULL;
}

static void decode_known(struct reader *reader, struct document *document, enum api_kind kind)
{
    const struct api_kind_info *info = api_kind_info(kind);
    struct decode_result result;
    decode_message(&reader->tape, info->type, info->is_whole, &reader->arena, &result);
    document->warnings = result.warnings;
    document->warning_count = result.warning_count;
    if (!result.message) {
        refuse(reader, document, result.line, result.column, result.refusal);
        return;
    }
    uint32_t line = (uint32_t)document->line, column = (uint32_t)document->column;
    const char *fault = reader->is_as_written
                            ? name_only(kind, result.message, &reader->arena)
                            : complete(kind, result.message, &reader->tape, &reader->arena, &line, &column);
    const Meta__ObjectMeta *metadata = api_metadata(result.message);
    if (metadata && *api_text(metadata->name))
        document->name = metadata->name;
    document->namespace_ = info->is_namespaced && metadata ? metadata->namespace_ : "";
    if (fault) {
        refuse(reader, document, line, column, fault);
        return;
    }
    struct api_object object = {kind, document->namespace_, document->name, result.message};
    document->object = &object;
    reader->visit(reader->context, document);
}

/* The tape holds one whole document or list item. */
static void handle_tape(struct reader *reader, const struct list *list)
{
    struct tape *tape = &reader->tape;
    if (!tape->fault.sentence)
        merge_apply(tape);
    const struct tape_node *root = tape->count ? tape_resolve(tape, 0) : NULL;
    uint32_t line = root ? root->line : tape->fault.line, column = root ? root->column : tape->fault.column;
    struct document document = start_document(reader, line, column);
    if (tape->fault.sentence) {
        refuse(reader, &document, tape->fault.line, tape->fault.column, tape->fault.sentence);
        return;
    }
    if (root->kind != TAPE_MAPPING) {
        refuse(reader, &document, line, column, "expected an object with apiVersion and kind");
        return;
    }
    identify(tape, list, &document);
    const char *missing = missing_type(&document);
    if (missing) {
        refuse(reader, &document, line, column, missing);
        return;
    }
    enum api_kind kind;
    switch (api_kind_find(document.api_version, document.kind, &kind)) {
    case API_KIND_FOUND:
        decode_known(reader, &document, kind);
        return;
    case API_KIND_OTHER_VERSION:
        refuse(reader, &document, line, column,
               arena_printf(&reader->arena, "no matches for kind \"%s\" in version \"%s\"", document.kind,
                            document.api_version));
        return;
    case API_KIND_FOREIGN:
        break;
    }
    if (list && is_list_kind(document.kind)) {
        refuse(reader, &document, line, column, "a list cannot be an item of a list");
        return;
    }
    document.passed_over = true;
    reader->visit(reader->context, &document);
}

static bool next(struct reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event);
}

/* The items of a list, each a document of its own. The opening event was consumed. */
static bool read_items(struct reader *reader, struct list *list)
{
    yaml_event_t event;
    for (;;) {
        tape_reset(&reader->tape);
        if (!next(reader, &event))
            return false;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (!tape_add(&reader->tape, &reader->parser, &event, 2))
            return false;
        handle_tape(reader, list);
    }
    yaml_event_delete(&event);
    return true;
}

/* Keeps what the tape says of the list itself before it makes way for the items. */
static void note_list(struct reader *reader, struct list *list)
{
    const struct tape *tape = &reader->tape;
    if (tape->count == 0)
        return;
    const char *version = text_under(tape, &tape->nodes[0], "apiVersion");
    const char *kind = text_under(tape, &tape->nodes[0], "kind");
    if (version && !list->api_version)
        list->api_version = arena_strdup(&list->arena, version);
    if (kind && !list->kind)
        list->kind = arena_strdup(&list->arena, kind);
}

/* Whether "items" at the root makes a list: no kind that we read has such a field, and lists written by
 * kubectl put it before their kind. */
static bool is_list_so_far(struct reader *reader, struct list *list)
{
    if (reader->tape.fault.sentence)
        return false;
    tape_close_root(&reader->tape);
    note_list(reader, list);
    return !list->kind || is_list_kind(list->kind);
}

static bool is_items_key(const yaml_event_t *key)
{
    return key->type == YAML_SCALAR_EVENT && key->data.scalar.length == 5 &&
           memcmp(key->data.scalar.value, "items", 5) == 0;
}

static bool read_pair(struct reader *reader, struct list *list, yaml_event_t *key)
{
    bool is_items = is_items_key(key);
    yaml_event_t value;
    if (!tape_add(&reader->tape, &reader->parser, key, 1) || !next(reader, &value))
        return false;
    if (!is_items || value.type != YAML_SEQUENCE_START_EVENT || list->is_streamed)
        return tape_add(&reader->tape, &reader->parser, &value, 1);
    if (!is_list_so_far(reader, list))
        return tape_add(&reader->tape, &reader->parser, &value, 1);
    yaml_mark_t mark = value.start_mark;
    yaml_event_delete(&value);
    list->is_streamed = true;
    if (!read_items(reader, list))
        return false;
    tape_reset(&reader->tape);
    tape_open_root(&reader->tape, mark);
    return true;
}

/* After the items were visited, all that is left to say is what is wrong with the list around them. */
static void finish_list(struct reader *reader, struct list *list)
{
    struct document document = start_document(reader, list->line, list->column);
    note_list(reader, list);
    document.api_version = list->api_version;
    document.kind = list->kind;
    const char *fault = missing_type(&document);
    if (reader->tape.fault.sentence)
        fault = reader->tape.fault.sentence;
    else if (!fault && tape_get(&reader->tape, &reader->tape.nodes[0], "items"))
        fault = "items: the key is given twice";
    else if (!fault && !is_list_kind(list->kind))
        fault = arena_printf(&list->arena, "kind \"%s\" has no field \"items\"", list->kind);
    if (fault)
        refuse(reader, &document, list->line, list->column, fault);
}

static bool read_mapping(struct reader *reader, struct list *list, yaml_mark_t mark)
{
    yaml_event_t event;
    list->line = (uint32_t)mark.line + 1;
    list->column = (uint32_t)mark.column + 1;
    tape_open_root(&reader->tape, mark);
    for (;;) {
        if (!next(reader, &event))
            return false;
        if (event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!read_pair(reader, list, &event))
            return false;
    }
    yaml_event_delete(&event);
    tape_close_root(&reader->tape);
    if (list->is_streamed)
        finish_list(reader, list);
    else
        handle_tape(reader, NULL);
    return true;
}

static bool is_empty_document(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           !event->data.scalar.tag &&
           scalar_resolve((const char *)event->data.scalar.value, event->data.scalar.length).type ==
               SCALAR_NULL;
}

/* From after the document's start to before its end. */
static bool read_document(struct reader *reader)
{
    yaml_event_t event;
    tape_reset(&reader->tape);
    if (!next(reader, &event))
        return false;
    if (event.type == YAML_MAPPING_START_EVENT) {
        yaml_mark_t mark = event.start_mark;
        yaml_event_delete(&event);
        struct list list = {0};
        arena_init(&list.arena);
        bool is_read = read_mapping(reader, &list, mark);
        arena_done(&list.arena);
        return is_read;
    }
    bool is_empty = is_empty_document(&event);
    if (!tape_add(&reader->tape, &reader->parser, &event, 0))
        return false;
    if (!is_empty)
        handle_tape(reader, NULL);
    return true;
}

static bool read_stream(struct reader *reader)
{
    for (;;) {
        yaml_event_t event;
        if (!next(reader, &event))
            return false;
        yaml_event_type_t type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return true;
        if (type == YAML_DOCUMENT_START_EVENT && !read_document(reader))
            return false;
    }
}

/* Where a byte lies, for the faults that the library gives as an offset. */
static yaml_mark_t mark_of_offset(const struct reader *reader, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < reader->len; i++) {
        if (reader->bytes[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)reader->bytes[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static int report_syntax(struct reader *reader, struct err *err)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    yaml_mark_t mark = parser->problem_mark;
    const char *sentence = problem;
    if (reader->tape.is_given_up) {
        mark = (yaml_mark_t){.line = reader->tape.fault.line - 1, .column = reader->tape.fault.column - 1};
        sentence = reader->tape.fault.sentence;
    } else if (parser->error == YAML_READER_ERROR) {
        mark = mark_of_offset(reader, parser->problem_offset);
        bool is_control = strstr(problem, "control") != NULL;
        sentence = is_control ? "a control character stands in the text"
                              : arena_printf(&reader->arena, "the text is not UTF-8: %s", problem);
    } else if (parser->context) {
        sentence = arena_printf(&reader->arena, "%s %s that begins on line %zu", problem, parser->context,
                                parser->context_mark.line + 1);
    }
    struct document document = start_document(reader, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1);
    refuse(reader, &document, (uint32_t)document.line, (uint32_t)document.column, sentence);
    return err_set(err, EINVAL, "%s:%d:%d: %s", reader->file, document.line, document.column, sentence);
}

static int refuse_file(struct reader *reader, struct err *err, const char *sentence)
{
    struct document document = start_document(reader, 1, 1);
    refuse(reader, &document, 1, 1, sentence);
    return err_set(err, EINVAL, "%s: %s", reader->file, sentence);
}

static int read_documents(struct reader reader, struct err *err)
{
    const char *bytes = reader.bytes;
    size_t len = reader.len;
    if (len > DOCUMENTS_FILE_MAX)
        return refuse_file(&reader, err, "the file is larger than 256 MiB");
    if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        reader.bytes += 3;
        reader.len -= 3;
    }
    cleanup_free char *joined = surrogates_join(reader.bytes, &reader.len);
    if (joined)
        reader.bytes = joined;
    if (!yaml_parser_initialize(&reader.parser))
        return refuse_file(&reader, err, "no memory to read the file");
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.bytes, reader.len);
    arena_init(&reader.arena);
    tape_init(&reader.tape, &reader.arena);
    int status = read_stream(&reader) ? 0 : report_syntax(&reader, err);
    yaml_parser_delete(&reader.parser);
    tape_done(&reader.tape);
    arena_done(&reader.arena);
    return status;
}

int documents_read(const char *file, const char *bytes, size_t len, document_fn *visit, void *context,
                   struct err *err)
{
    return read_documents(
        (struct reader){.file = file, .bytes = bytes, .len = len, .visit = visit, .context = context}, err);
}

int documents_read_as_written(const char *file, const char *bytes, size_t len, document_fn *visit,
                              void *context, struct err *err)
{
    return read_documents((struct reader){.file = file,
                                          .bytes = bytes,
                                          .len = len,
                                          .visit = visit,
                                          .context = context,
                                          .is_as_written = true},
                          err);
}
