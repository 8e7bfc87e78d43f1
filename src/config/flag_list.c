/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/flag_list.h"

#include <errno.h>
#include <string.h>

struct reader {
    const char *text, *at;
    unsigned line;
    const char *line_start;
    struct arena *arena;
};

static int refuse(const struct reader *reader, const char *at, const char *what, struct err *err)
{
    return err_set(err, EINVAL, "parse error on line %u, column %zu: %s", reader->line,
                   (size_t)(at - reader->line_start) + 1, what);
}

static bool is_line_end(const char *at)
{
    return *at == '\n' || (*at == '\r' && (at[1] == '\n' || !at[1]));
}

/* A value in quotes, in which two stand for one and a line may end. */
static int read_quoted(struct reader *reader, const char **ret, struct err *err)
{
    static const char misplaced[] = "extraneous or missing \" in quoted-field";
    char *value = arena_alloc(reader->arena, strlen(reader->at) + 1);
    size_t len = 0;
    for (reader->at++; *reader->at; reader->at++) {
        if (*reader->at == '"' && reader->at[1] != '"')
            break;
        reader->at += *reader->at == '"';
        value[len++] = *reader->at;
        if (*reader->at == '\n') {
            reader->line++;
            reader->line_start = reader->at + 1;
        }
    }
    if (!*reader->at)
        return refuse(reader, reader->at, misplaced, err);
    const char *close = reader->at++;
    if (*reader->at && *reader->at != ',' && !is_line_end(reader->at))
        return refuse(reader, close, misplaced, err);
    value[len] = '\0';
    *ret = value;
    return 0;
}

static int read_bare(struct reader *reader, const char **ret, struct err *err)
{
    const char *start = reader->at;
    while (*reader->at && *reader->at != ',' && !is_line_end(reader->at)) {
        if (*reader->at == '"')
            return refuse(reader, reader->at, "bare \" in non-quoted-field", err);
        reader->at++;
    }
    *ret = arena_strndup(reader->arena, start, (size_t)(reader->at - start));
    return 0;
}

int flag_list_parse(const char *text, struct arena *arena, struct text_list *ret, struct err *err)
{
    struct reader reader = {.text = text, .at = text, .line = 1, .line_start = text, .arena = arena};
    size_t most = 1, count = 0;
    *ret = (struct text_list){0};
    if (!*text)
        return 0;
    for (const char *at = text; *at; at++)
        most += *at == ',';
    const char **items = arena_array(arena, const char *, most);
    for (;; reader.at++) {
        int code = *reader.at == '"' ? read_quoted(&reader, &items[count++], err)
                                     : read_bare(&reader, &items[count++], err);
        if (code < 0)
            return code;
        if (*reader.at != ',')
            break;
    }
    *ret = (struct text_list){items, count};
    return 0;
}
