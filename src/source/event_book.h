/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was said of an object and has to be written to an apiserver as events.k8s.io/v1, as upstream's
 * recorder does it (k8s.io/client-go/tools/events): the first of equal events is created; the second makes it
 * a series by a patch; further ones are counted here and written when the series has ended, or every half
 * hour. PURE: time and randomness are handed in, and somebody else sends. */

struct event_subject {
    const char *api_version, *kind, *namespace, *name; /* namespace "": an object that has none */
};

struct event {
    bool is_warning;             /* else Normal */
    const char *reason, *action; /* words in CamelCase */
    const char *note;            /* for people; of more than 1024 bytes the first */
    struct event_subject regarding;
};

struct event_time {
    int64_t wall_ns; /* since 1970 */
    uint64_t ms;     /* of a clock that only goes on */
};

#define EVENT_BOOK_MAX 256 /* different events at once */
#define EVENT_TRIES_MAX 12
#define EVENT_RETRY_MS 10000      /* and up to a quarter more */
#define EVENT_OVER_MS (6 * 60000) /* without another one a series has ended, and a single event is alone */
#define EVENT_REFRESH_MS (30 * 60000)

struct event_book;

/* reportingController and reportingInstance, copied. */
struct event_book *event_book_new(const char *controller, const char *instance);
/* NULL is allowed. */
void event_book_free(struct event_book *book);
/* Events are equal when all but the note is. false: the book is full and this one is forgotten. */
bool event_book_post(struct event_book *book, const struct event *event, struct event_time now);

/* A request to the apiserver; the texts are the book's until its next call. */
struct event_write {
    const char *method, *path, *content_type, *body;
};
/* The write that is due, which event_book_ended then has to be told of. false: none, *ret_wait_ms from now
 * there may be one (UINT64_MAX: after a post). */
bool event_book_next(struct event_book *book, struct event_time now, struct event_write *ret,
                     uint64_t *ret_wait_ms);

enum event_outcome {
    EVENT_WRITTEN,
    EVENT_RETRIED,  /* later: the server is away or busy */
    EVENT_REFUSED,  /* the server would say the same again: forgotten */
    EVENT_GIVEN_UP, /* too many tries: forgotten */
    EVENT_ABSENT,   /* there is no such API: forgotten, and so will be the others */
};
/* The write ended: the HTTP status, 0 for no answer. ret_what, when not NULL, gets "Starting of Node a" in
 * the book's memory. */
enum event_outcome event_book_ended(struct event_book *book, unsigned status, unsigned retry_after_s,
                                    struct event_time now, uint64_t random, const char **ret_what);
