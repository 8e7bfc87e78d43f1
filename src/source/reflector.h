/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "source/apiserver.h"
#include "source/apiserver_decode.h"

/* PURE. How one selection is listed and watched, as client-go's reflector does
 * (k8s.io/client-go/tools/cache/reflector.go; KEP-365 paging, KEP-956 bookmarks, KEP-3157 streaming lists):
 * which call comes next, when, from which version, and which of the things told are news. Time, in
 * milliseconds, and randomness are handed in.
 *
 * A list comes as a stream where the server can do that, else in pages. Whatever goes wrong afterwards, no
 * call asks for a state older than the newest one that was seen, so that nobody is told an old state after a
 * new one, be it by another server that lags behind. Only a server that says that it cannot know so new a
 * state is asked for what it has; if that is older, its history was put back (a restored backup), and
 * everything counts as new. */

enum reflector_call {
    REFLECTOR_STREAM, /* a watch that begins with what there is; becomes a WATCH at the bookmark that ends the
                         list */
    REFLECTOR_LIST,   /* a page of a list */
    REFLECTOR_WATCH
};

struct reflector {
    const struct apiserver_selection *selection;
    unsigned page;
    enum reflector_call call; /* under way, or the next */
    uint64_t version;         /* where the watch goes on */
    uint64_t newest;          /* the newest version seen before this list; 0: none */
    uint64_t list_version;    /* of the list under way; 0 until a page was there */
    uint64_t list_newest;     /* the newest version of its objects */
    char *continue_;          /* the next page; NULL: the first */
    uint32_t round;           /* number of the list, for told.h */
    bool is_listed;           /* a list has come to its end, once at least */
    bool is_absent;           /* optional, and not served here */
    bool is_consistent;       /* the next list is to be what the server has, whatever was seen */
    bool is_whole;            /* the next list comes without pages: their token expired */
    bool refuses_streams;
    bool wants_json, refuses_protobuf;
    bool has_progress;                        /* the call has brought something */
    unsigned stream_failures, watch_failures; /* in a row */
    unsigned expirations;                     /* watches that came too late, in a row */
    uint64_t began_ms;
    uint64_t limit_ms; /* the call is given up by then */
    uint64_t step_ms;  /* of the back-off; 0 when all is well */
};

/* How a call ended. */
enum reflector_fault {
    REFLECTOR_NO_FAULT,
    REFLECTOR_GARBAGE, /* what came cannot be read, or contradicts what was seen */
    REFLECTOR_STALLED  /* nothing came for reflector_silence_ms */
};

struct reflector_end {
    int code;         /* -errno of the connection; 0 when the answer came whole */
    unsigned status;  /* HTTP's; 0: there was no answer */
    bool has_refusal; /* the status is not 200, or a frame said ERROR */
    struct refusal refusal;
    enum reflector_fault fault;
};

/* What to do after a call. */
struct reflector_next {
    uint64_t wait_ms;
    bool is_failure;      /* worth a word to people */
    bool doubts_server;   /* another one may do better */
    bool is_unauthorized; /* credentials are to be got anew */
};

void reflector_init(struct reflector *reflector, const struct apiserver_selection *selection, unsigned page,
                    bool prefers_json);
void reflector_done(struct reflector *reflector);

/* Begins the next call: appends its path, and sets *ret_accept (constant). Where a list begins, round is a
 * new one. */
void reflector_begin(struct reflector *reflector, uint64_t now_ms, uint64_t random, struct text *ret_path,
                     const char **ret_accept);
/* How long nothing may come before the call is given up; 0: any time (limit_ms holds all the same). */
uint64_t reflector_silence_ms(const struct reflector *reflector);

/* Whether an object, told last in the version told (0: never, or not known), is news in this version. */
bool reflector_is_news(const struct reflector *reflector, uint64_t version, uint64_t told);
/* An object in this version has been told, or was looked at and passed over. */
void reflector_note(struct reflector *reflector, uint64_t version);

enum reflector_verdict {
    REFLECTOR_GO_ON,
    REFLECTOR_LISTED,     /* the list is over: what it has not shown is gone */
    REFLECTOR_NEXT,       /* the next page is to be asked for */
    REFLECTOR_AGAIN,      /* give the call up, as GARBAGE */
    REFLECTOR_TURNED_BACK /* the same, and forget the versions told */
};
enum reflector_verdict reflector_bookmark(struct reflector *reflector, uint64_t version, bool is_initial_end,
                                          uint64_t now_ms);
/* At the end of a page. */
enum reflector_verdict reflector_page(struct reflector *reflector, const struct list_place *place);

/* Not for a page that came well, which is followed by the next call at once. */
struct reflector_next reflector_ended(struct reflector *reflector, const struct reflector_end *end,
                                      uint64_t now_ms, uint64_t random);

/* How many calls per second: a bucket that all selections share. Start from {0}. */
struct call_rate {
    double interval_ms; /* 0: no limit */
    double burst_ms;
    double next_ms; /* when the bucket would be full again, one call more than there is */
};
/* qps of 0 and burst of 0 mean 5 and 10; a negative qps no limit (k8s.io/client-go/util/flowcontrol). */
void call_rate_init(struct call_rate *rate, double qps, unsigned burst);
/* Takes one call from the bucket and says in how many milliseconds it may begin. */
uint64_t call_rate_take(struct call_rate *rate, uint64_t now_ms);
