/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "source/pieces.h"
#include "source/reflector.h"
#include "source/told.h"

/* One selection of an apiserver's objects without its connection: the calls that it wants, and what becomes
 * of the answers' bytes. Reads no clock and does no I/O; the sink is told as the bytes come in. */

struct selection {
    const struct source_sink *sink;
    struct source_status *status; /* counts of all selections */
    enum api_kind kind;
    struct reflector reflector;
    struct told told;
    struct pieces pieces;
    struct arena scratch; /* the piece at hand */
    bool has_told;        /* the sink was told something; for the owner to clear */
    /* The list has shown an object whose name cannot be read: it cannot say what is gone. */
    bool has_nameless;
    /* What cannot be read is looked at twice, in case that the bytes were harmed on their way: the list has
     * shown such a thing for the first time; and the list under way is the second look. */
    bool has_doubts, is_second_look;
    /* The call under way. */
    bool is_protobuf;
    unsigned retry_after_s;  /* the header's */
    uint64_t heard_ms;       /* when something came last */
    struct text refusal;     /* the body of an answer that is not 200 */
    struct list_place place; /* of a page; its continue_ is the text */
    struct text continue_;
    struct reflector_end end;
    struct err err;      /* about end */
    char complaint[512]; /* said last; "" when all is well again */
};

/* All arguments outlive it. */
void selection_init(struct selection *selection, const struct apiserver_selection *what, unsigned page,
                    bool prefers_json, const struct source_sink *sink, struct source_status *status);
void selection_done(struct selection *selection);

/* The next call: appends its path. *ret_accept is constant. */
void selection_begin(struct selection *selection, uint64_t now_ms, uint64_t random, struct text *ret_path,
                     const char **ret_accept);
void selection_headers(struct selection *selection, const struct http_call_headers *headers, uint64_t now_ms);
/* false: the call is to be given up; selection_ended follows all the same. */
bool selection_data(struct selection *selection, const char *bytes, size_t len, uint64_t now_ms);
/* Whether the call has been silent for too long or goes on for too long; if not, *ret_wait_ms says when to
 * ask again. If so, it is to be cancelled, and selection_ended called with -ETIMEDOUT. */
bool selection_is_overdue(struct selection *selection, uint64_t now_ms, uint64_t *ret_wait_ms);
/* code and err as http_call_ops.ended has them. */
struct reflector_next selection_ended(struct selection *selection, int code, const struct err *err,
                                      uint64_t now_ms, uint64_t random);
/* Everything has been told once, or the kind is not served here. */
static inline bool selection_is_settled(const struct selection *selection)
{
    return selection->reflector.is_listed || selection->reflector.is_absent;
}
/* A list is under way: what was told of it is half of the truth. */
static inline bool selection_is_listing(const struct selection *selection)
{
    return selection->reflector.call != REFLECTOR_WATCH &&
           (selection->end.status == 200 || selection->reflector.continue_);
}
