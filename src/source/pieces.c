/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/pieces.h"

#include "api/wire_format.h"

#include <errno.h>
#include <string.h>

#define KEPT_CAPACITY ((size_t)1 << 20) /* a larger buffer is given back after its piece */
#define FRAME_MAX ((size_t)1 << 20)
#define DEPTH_MAX 256
#define PREFIX_LEN 4
enum { LIST_METADATA = 1, LIST_ITEMS = 2 };

struct input {
    const char *at;
    size_t len;
};

static void consume(struct input *input, size_t len)
{
    input->at += len;
    input->len -= len;
}

static void forget(struct text *text)
{
    if (text->capacity > KEPT_CAPACITY)
        text_done(text);
    text->len = 0;
}

void pieces_done(struct pieces *pieces)
{
    text_done(&pieces->held);
    text_done(&pieces->frame);
}

void pieces_begin(struct pieces *pieces, enum pieces_form form, size_t max, pieces_fn *take, void *context)
{
    struct text held = pieces->held, frame = pieces->frame;
    forget(&held);
    forget(&frame);
    *pieces = (struct pieces){.form = form, .max = max, .take = take, .context = context};
    pieces->held = held;
    pieces->frame = frame;
}

static int too_large(const struct pieces *pieces, struct err *err)
{
    return err_set(err, EMSGSIZE, "the server sends a piece of more than %zu bytes", pieces->max);
}

static int no_protobuf(struct err *err)
{
    return err_set(err, EPROTO, "the server's answer is no Kubernetes protobuf");
}

static int give(struct pieces *pieces, enum piece_kind kind, const char *bytes, size_t len)
{
    return pieces->take(pieces->context, kind, (const uint8_t *)bytes, len) ? 0 : -ECANCELED;
}

/* Holds what is missing of the piece; one that lies in the input whole is not copied. */
static int hold(struct pieces *pieces, struct input *input)
{
    size_t len = pieces->missing < input->len ? (size_t)pieces->missing : input->len;
    const char *bytes = input->at;
    consume(input, len);
    pieces->missing -= len;
    if (pieces->held.len > 0 || pieces->missing > 0) {
        text_add_bytes(&pieces->held, bytes, len);
        if (pieces->missing > 0)
            return 0;
        bytes = pieces->held.data;
        len = pieces->held.len;
    }
    int code = give(pieces, pieces->kind, bytes, len);
    forget(&pieces->held);
    pieces->part = PIECES_HEADER;
    return code;
}

static void skip(struct pieces *pieces, struct input *input)
{
    size_t len = pieces->missing < input->len ? (size_t)pieces->missing : input->len;
    consume(input, len);
    pieces->missing -= len;
    if (pieces->missing == 0)
        pieces->part = PIECES_HEADER;
}

/* Moves bytes to the header until it has so many; true when it has. */
static bool gather(struct pieces *pieces, struct input *input, size_t wanted)
{
    size_t len = wanted - pieces->header_len;
    len = len < input->len ? len : input->len;
    memcpy(pieces->header + pieces->header_len, input->at, len);
    pieces->header_len += len;
    consume(input, len);
    return pieces->header_len == wanted;
}

static int feed_frames(struct pieces *pieces, struct input *input, struct err *err)
{
    int code = 0;
    while (code == 0 && (input->len > 0 || (pieces->part == PIECES_HOLD && pieces->missing == 0))) {
        if (pieces->part == PIECES_HOLD) {
            code = hold(pieces, input);
        } else if (gather(pieces, input, PREFIX_LEN)) {
            const uint8_t *prefix = pieces->header;
            pieces->missing =
                (uint32_t)prefix[0] << 24 | (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 | prefix[3];
            pieces->header_len = 0;
            pieces->kind = PIECE_EVENT;
            pieces->part = PIECES_HOLD;
            if (pieces->missing > pieces->max)
                return too_large(pieces, err);
        }
    }
    return code;
}

/* Reads the header as far as it came: 1 when the field's number and length are known, 0 when more is needed.
 */
static int read_header(const struct pieces *pieces, struct wire_item *ret)
{
    struct wire_reader reader = {pieces->header, pieces->header + pieces->header_len};
    uint64_t tag, value = 0;
    if (!wire_read_varint(&reader, &tag))
        return pieces->header_len >= WIRE_VARINT_MAX ? -EPROTO : 0;
    *ret = (struct wire_item){.number = (unsigned)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 3 > 536870911)
        return -EPROTO;
    switch (tag & 7) {
    case WIRE_VARINT:
    case WIRE_LENGTH:
        if (!wire_read_varint(&reader, &value))
            return pieces->header_len >= 2 * (size_t)WIRE_VARINT_MAX ? -EPROTO : 0;
        ret->value = (tag & 7) == WIRE_LENGTH ? value : 0;
        return 1;
    case WIRE_FIXED64:
        ret->value = 8;
        return 1;
    case WIRE_FIXED32:
        ret->value = 4;
        return 1;
    default:
        return -EPROTO;
    }
}

/* value is how many bytes the field has behind its header. */
static int enter_field(struct pieces *pieces, const struct wire_item *field, struct err *err)
{
    bool has_bytes = field->type == WIRE_LENGTH;
    pieces->missing = field->value;
    if (!pieces->is_in_list) {
        if (field->number == WIRE_UNKNOWN_ENCODING && field->value > 0) /* nobody compresses inside */
            return no_protobuf(err);
        if (field->number != WIRE_UNKNOWN_RAW || !has_bytes) {
            pieces->part = field->value > 0 ? PIECES_SKIP : PIECES_HEADER;
            return 0;
        }
        pieces->has_list = true;
        pieces->is_in_list = field->value > 0;
        pieces->list_left = field->value;
        return 0;
    }
    uint64_t whole = pieces->header_len + field->value;
    if (field->value > pieces->list_left || whole > pieces->list_left)
        return no_protobuf(err);
    pieces->list_left -= whole;
    if (has_bytes && (field->number == LIST_ITEMS || field->number == LIST_METADATA)) {
        pieces->kind = field->number == LIST_ITEMS ? PIECE_ITEM : PIECE_METADATA;
        pieces->part = PIECES_HOLD;
        return field->value > pieces->max ? too_large(pieces, err) : 0;
    }
    pieces->part = field->value > 0 ? PIECES_SKIP : PIECES_HEADER;
    return 0;
}

static int next_header(struct pieces *pieces, struct input *input, struct err *err)
{
    struct wire_item field;
    if (!pieces->has_magic) {
        if (!gather(pieces, input, WIRE_MAGIC_LEN))
            return 0;
        pieces->has_magic = true;
        pieces->header_len = 0;
        return memcmp(pieces->header, WIRE_MAGIC, WIRE_MAGIC_LEN) ? no_protobuf(err) : 0;
    }
    gather(pieces, input, pieces->header_len + 1);
    int code = read_header(pieces, &field);
    if (code < 0)
        return no_protobuf(err);
    if (code == 0)
        return 0;
    code = enter_field(pieces, &field, err);
    pieces->header_len = 0;
    return code;
}

static int feed_list(struct pieces *pieces, struct input *input, struct err *err)
{
    int code = 0;
    while (code == 0 && (input->len > 0 || (pieces->part == PIECES_HOLD && pieces->missing == 0))) {
        switch (pieces->part) {
        case PIECES_HOLD:
            code = hold(pieces, input);
            break;
        case PIECES_SKIP:
            skip(pieces, input);
            break;
        case PIECES_HEADER:
            code = next_header(pieces, input, err);
            break;
        }
        if (pieces->part == PIECES_HEADER && pieces->header_len == 0 && pieces->list_left == 0)
            pieces->is_in_list = false;
    }
    return code;
}

static bool is_blank(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", bytes[i]) || bytes[i] == '\0')
            return false;
    return true;
}

static int feed_lines(struct pieces *pieces, struct input *input, struct err *err)
{
    int code = 0;
    while (code == 0 && input->len > 0) {
        const char *line = input->at, *end = memchr(line, '\n', input->len);
        size_t len = end ? (size_t)(end - line) : input->len;
        consume(input, len + (end != NULL));
        if (len > pieces->max || pieces->held.len > pieces->max - len)
            return too_large(pieces, err);
        if (!end || pieces->held.len > 0) {
            text_add_bytes(&pieces->held, line, len);
            if (!end)
                return 0;
            line = pieces->held.data;
            len = pieces->held.len;
        }
        if (!is_blank(line, len))
            code = give(pieces, PIECE_EVENT, line, len);
        forget(&pieces->held);
    }
    return code;
}

static int no_json(struct err *err)
{
    return err_set(err, EPROTO, "the server's answer is no list in JSON");
}

/* Keeps the byte with its item, or with the frame around the items. */
static int keep(struct pieces *pieces, const char *byte, size_t len, struct err *err)
{
    struct text *text = pieces->is_in_items ? &pieces->held : &pieces->frame;
    size_t max = pieces->is_in_items ? pieces->max : FRAME_MAX;
    if (text->len + len > max)
        return too_large(pieces, err);
    text_add_bytes(text, byte, len);
    return 0;
}

/* A string goes up to its closing quote, or as far as it came. */
static int feed_string(struct pieces *pieces, struct input *input, struct err *err)
{
    size_t len = 0;
    while (len < input->len && pieces->is_in_string) {
        char c = input->at[len++];
        if (pieces->is_escaped)
            pieces->is_escaped = false;
        else if (c == '\\')
            pieces->is_escaped = true;
        else if (c == '"')
            pieces->is_in_string = false;
    }
    int code = keep(pieces, input->at, len, err);
    consume(input, len);
    return code;
}

static int open_level(struct pieces *pieces, const char *at, struct err *err)
{
    bool opens_items = pieces->depth == 1 && *at == '[' && pieces->is_items_key;
    if (++pieces->depth > DEPTH_MAX)
        return err_set(err, EPROTO, "the server's answer is deeper than %d levels", DEPTH_MAX);
    int code = keep(pieces, at, 1, err);
    pieces->is_in_items = pieces->is_in_items || opens_items;
    return code;
}

static int close_level(struct pieces *pieces, const char *at, struct err *err)
{
    if (pieces->depth == 0)
        return no_json(err);
    pieces->depth--;
    if (pieces->is_in_items && pieces->depth == 1) {
        pieces->is_in_items = false;
        return keep(pieces, at, 1, err);
    }
    int code = keep(pieces, at, 1, err);
    if (code == 0 && pieces->is_in_items && pieces->depth == 2) {
        code = give(pieces, PIECE_ITEM, pieces->held.data, pieces->held.len);
        forget(&pieces->held);
    }
    return code;
}

static bool is_items(const struct pieces *pieces)
{
    static const char key[] = "\"items\"";
    return pieces->frame.len >= pieces->string_at + strlen(key) &&
           memcmp(pieces->frame.data + pieces->string_at, key, strlen(key)) == 0;
}

static int feed_structure(struct pieces *pieces, struct input *input, struct err *err)
{
    const char *at = input->at;
    bool is_between = pieces->is_in_items && pieces->depth == 2;
    consume(input, 1);
    if (is_between && strchr(" \t\r\n,", *at) && *at)
        return 0;
    if (is_between && *at != '{' && *at != ']')
        return no_json(err);
    switch (*at) {
    case '"':
        if (pieces->depth == 1)
            pieces->string_at = pieces->frame.len;
        pieces->is_in_string = true;
        return keep(pieces, at, 1, err);
    case ':':
        if (pieces->depth == 1)
            pieces->is_items_key = is_items(pieces);
        return keep(pieces, at, 1, err);
    case '{':
    case '[':
        return open_level(pieces, at, err);
    case '}':
    case ']':
        return close_level(pieces, at, err);
    default:
        return keep(pieces, at, 1, err);
    }
}

static int feed_json(struct pieces *pieces, struct input *input, struct err *err)
{
    int code = 0;
    while (code == 0 && input->len > 0)
        code = pieces->is_in_string ? feed_string(pieces, input, err) : feed_structure(pieces, input, err);
    return code;
}

int pieces_feed(struct pieces *pieces, const char *bytes, size_t len, struct err *err)
{
    struct input input = {bytes, len};
    switch (pieces->form) {
    case PIECES_WATCH_PROTOBUF:
        return feed_frames(pieces, &input, err);
    case PIECES_WATCH_JSON:
        return feed_lines(pieces, &input, err);
    case PIECES_LIST_PROTOBUF:
        return feed_list(pieces, &input, err);
    case PIECES_LIST_JSON:
        return feed_json(pieces, &input, err);
    }
    return -EINVAL;
}

static bool is_whole(const struct pieces *pieces)
{
    switch (pieces->form) {
    case PIECES_WATCH_PROTOBUF:
        return pieces->part == PIECES_HEADER && pieces->header_len == 0;
    case PIECES_WATCH_JSON:
        return is_blank(text_str(&pieces->held), pieces->held.len);
    case PIECES_LIST_PROTOBUF:
        return pieces->part == PIECES_HEADER && pieces->header_len == 0 && pieces->has_list &&
               !pieces->is_in_list;
    case PIECES_LIST_JSON:
        return pieces->depth == 0 && !pieces->is_in_string && pieces->frame.len > 0;
    }
    return false;
}

int pieces_end(struct pieces *pieces, struct err *err)
{
    if (!is_whole(pieces))
        return err_set(err, EPROTO, "the server's answer ends in the middle");
    if (pieces->form == PIECES_LIST_JSON)
        return give(pieces, PIECE_METADATA, pieces->frame.data, pieces->frame.len);
    return 0;
}
