/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api_reply.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_HERE 8192

/* A line without its end, as far as it has come; true when it is whole. */
static bool line_take(struct reply *reply, const char *bytes, size_t len, size_t *ret_taken)
{
    const char *end = memchr(bytes, '\n', len);

    *ret_taken = end ? (size_t)(end - bytes) + 1 : len;
    text_add_bytes(&reply->line, bytes, end ? (size_t)(end - bytes) : len);
    if (end && reply->line.len && reply->line.data[reply->line.len - 1] == '\r')
        reply->line.data[--reply->line.len] = '\0';
    return end;
}

static void line_drop(struct reply *reply)
{
    reply->line.len = 0;
    if (reply->line.data)
        reply->line.data[0] = '\0';
}

static int status_line(struct reply *reply, const char *line, struct err *err)
{
    if (strncmp(line, "HTTP/1.1 ", 9) != 0)
        return err_set(err, EPROTO, "\"%.40s\" begins no reply of HTTP/1.1", line);
    reply->status = (unsigned)strtoul(line + 9, NULL, 10);
    if (reply->status < 200 || reply->status > 599)
        return err_set(err, EPROTO, "the status %u is not expected", reply->status);
    return 0;
}

static void head_end(struct reply *reply)
{
    reply->stage = reply->is_chunked ? REPLY_CHUNK_HEAD : reply->left ? REPLY_SIZED : REPLY_DONE;
}

static int head_line(struct reply *reply, struct err *err)
{
    const char *line = text_str(&reply->line);

    if (!reply->status)
        return status_line(reply, line, err);
    if (!*line)
        head_end(reply);
    else if (strncasecmp(line, "Content-Length:", 15) == 0)
        reply->left = strtoull(line + 15, NULL, 10);
    else if (strcasecmp(line, "Transfer-Encoding: chunked") == 0)
        reply->is_chunked = true;
    return 0;
}

static int chunk_line(struct reply *reply, struct err *err)
{
    char *end;

    reply->left = strtoull(text_str(&reply->line), &end, 16);
    if (end == text_str(&reply->line) || (*end && *end != ';'))
        return err_set(err, EPROTO, "\"%.40s\" is no length of a chunk", text_str(&reply->line));
    reply->stage = reply->left ? REPLY_CHUNK : REPLY_TRAILER;
    return 0;
}

static int whole_line(struct reply *reply, struct err *err)
{
    switch (reply->stage) {
    case REPLY_HEAD:
        return head_line(reply, err);
    case REPLY_CHUNK_HEAD:
        return chunk_line(reply, err);
    case REPLY_CHUNK_END:
        reply->stage = REPLY_CHUNK_HEAD;
        return 0;
    case REPLY_TRAILER:
        if (!reply->line.len)
            reply->stage = REPLY_DONE;
        return 0;
    case REPLY_SIZED:
    case REPLY_CHUNK:
    case REPLY_DONE:
        break;
    }
    return 0;
}

static size_t body_take(struct reply *reply, const char *bytes, size_t len, struct text *ret_body)
{
    size_t taken = len < reply->left ? len : (size_t)reply->left;

    text_add_bytes(ret_body, bytes, taken);
    reply->left -= taken;
    if (!reply->left)
        reply->stage = reply->stage == REPLY_SIZED ? REPLY_DONE : REPLY_CHUNK_END;
    return taken;
}

int64_t reply_take(struct reply *reply, const char *bytes, size_t len, struct text *ret_body, struct err *err)
{
    size_t at = 0;

    while (at < len && reply->stage != REPLY_DONE) {
        size_t taken;
        int result = 0;

        if (reply->stage == REPLY_SIZED || reply->stage == REPLY_CHUNK) {
            at += body_take(reply, bytes + at, len - at, ret_body);
            continue;
        }
        if (line_take(reply, bytes + at, len - at, &taken)) {
            result = whole_line(reply, err);
            line_drop(reply);
        } else if (reply->line.len > LINE_MAX_HERE) {
            result = err_set(err, EPROTO, "a line of the reply does not end");
        }
        if (result < 0)
            return result;
        at += taken;
    }
    return (int64_t)at;
}
