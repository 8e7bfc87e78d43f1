/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table_cells.h"

#include "apiserver/table.h"

#include <stdlib.h>
#include <string.h>

void cell_text(json_t *cells, const char *text)
{
    json_t *cell = json_string(api_text(text));
    json_array_append_new(cells, cell ? cell : json_string(""));
}

void cell_text_or(json_t *cells, const char *text, const char *fallback)
{
    cell_text(cells, *api_text(text) ? text : fallback);
}

void cell_take(json_t *cells, struct text *text)
{
    cell_text(cells, text_str(text));
    text_done(text);
}

void cell_number(json_t *cells, int64_t number)
{
    json_array_append_new(cells, json_integer(number));
}

bool is_time_zero(const Meta__Time *time)
{
    return !time || (!time->has_seconds && !time->has_nanos);
}

void text_since_seconds(struct text *text, int64_t then, int64_t now)
{
    /* A Go duration ends at some 292 years. */
    static const int64_t most = INT64_MAX / 1000000000;
    int64_t seconds;
    if (__builtin_sub_overflow(now, then, &seconds))
        seconds = then < now ? most : -most;
    table_age(seconds > most ? most : seconds, text);
}

void text_since(struct text *text, const Meta__Time *time, int64_t now)
{
    if (is_time_zero(time))
        text_add(text, "<unknown>");
    else
        text_since_seconds(text, time->seconds, now);
}

void cell_since(json_t *cells, const Meta__Time *time, int64_t now)
{
    struct text text = {0};
    text_since(&text, time, now);
    cell_take(cells, &text);
}

void excerpt_add(struct excerpt *excerpt, const char *item)
{
    if (excerpt->count < EXCERPT_SHOWN)
        text_printf(&excerpt->text, "%s%s", excerpt->count ? "," : "", item);
    excerpt->count++;
}

void excerpt_cell(json_t *cells, struct excerpt *excerpt, const char *fallback)
{
    if (excerpt->count > EXCERPT_SHOWN)
        text_printf(&excerpt->text, " + %zu more...", excerpt->count - EXCERPT_SHOWN);
    cell_text_or(cells, text_str(&excerpt->text), fallback);
    text_done(&excerpt->text);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void text_join_set(const char **strings, size_t count, struct text *ret)
{
    qsort(strings, count, sizeof(*strings), compare_strings);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(strings[i - 1], strings[i]) != 0)
            text_printf(ret, "%s%s", ret->len ? "," : "", strings[i]);
}

void text_join_list(char *const *strings, size_t count, struct text *ret)
{
    for (size_t i = 0; i < count; i++)
        text_printf(ret, "%s%s", ret->len ? "," : "", strings[i]);
}
