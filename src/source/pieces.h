/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PURE. Cuts what an apiserver sends into what can be decoded by itself, however the bytes arrive: frames of
 * a watch (k8s.io/apimachinery, serializer/protobuf and serializer/json, their framers), and the items of a
 * list, one after another, so that a list is never held whole. Nothing is understood here: what is inside a
 * piece is for the decoder. */

enum pieces_form {
    PIECES_WATCH_PROTOBUF, /* four bytes of length, big-endian, before each frame */
    PIECES_WATCH_JSON,     /* a line each */
    PIECES_LIST_PROTOBUF,  /* the envelope; in it ListMeta metadata = 1, repeated items = 2 */
    PIECES_LIST_JSON
};

enum piece_kind {
    PIECE_EVENT,   /* a frame without its length, or a line */
    PIECE_ITEM,    /* a packed message without envelope, or a JSON object */
    PIECE_METADATA /* a packed ListMeta; of JSON the list itself with its items left out, at the end */
};

#define PIECE_MAX ((size_t)64 << 20)

/* The bytes are borrowed for the call. false: enough, pieces_feed returns -ECANCELED. */
typedef bool pieces_fn(void *context, enum piece_kind kind, const uint8_t *bytes, size_t len);

struct pieces {
    enum pieces_form form;
    size_t max; /* bytes of one piece */
    pieces_fn *take;
    void *context;
    struct text held; /* the piece that is not whole yet */
    enum { PIECES_HEADER, PIECES_HOLD, PIECES_SKIP } part;
    uint8_t header[24]; /* of the next piece, as far as it came */
    size_t header_len;
    uint64_t missing; /* of what is held or skipped */
    /* Lists in protobuf. */
    bool has_magic, is_in_list, has_list;
    uint64_t list_left;
    enum piece_kind kind;
    /* Lists in JSON. */
    struct text frame; /* everything but the items */
    unsigned depth;
    size_t string_at; /* where in frame the last string began */
    bool is_in_string, is_escaped, is_items_key, is_in_items;
};

/* For the next answer; what an earlier one left is forgotten. max: PIECE_MAX, or less in tests. */
void pieces_begin(struct pieces *pieces, enum pieces_form form, size_t max, pieces_fn *take, void *context);
/* -EMSGSIZE for a piece beyond max, -EPROTO for what is no such form, -ECANCELED. Nothing may be fed after a
 * failure. */
int pieces_feed(struct pieces *pieces, const char *bytes, size_t len, struct err *err);
/* The answer is over. -EPROTO when it ended in the middle. */
int pieces_end(struct pieces *pieces, struct err *err);
void pieces_done(struct pieces *pieces);
