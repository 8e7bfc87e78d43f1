/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"
#include <stdbool.h>
#include <stdint.h>

/* One reply of an HTTP/1.1 server, taken apart as its bytes come (RFC 9112). Begin each with {0}, but keep
 * line: it is empty again when a reply is done. */
enum reply_stage {
    REPLY_HEAD,
    REPLY_SIZED,
    REPLY_CHUNK_HEAD,
    REPLY_CHUNK,
    REPLY_CHUNK_END,
    REPLY_TRAILER,
    REPLY_DONE
};

struct reply {
    enum reply_stage stage;
    unsigned status; /* 0 until the first line is whole */
    bool is_chunked;
    uint64_t left; /* of the body, or of the chunk in hand */
    struct text line;
};

/* Takes bytes in and appends those of the body to ret_body. Returns how many were taken: all of them, unless
 * the reply is done before. -EPROTO with a sentence for what is no reply that this reader knows. */
int64_t reply_take(struct reply *reply, const char *bytes, size_t len, struct text *ret_body,
                   struct err *err);
