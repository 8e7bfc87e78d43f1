/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table_cells.h"

#include <ctype.h>
#include <string.h>

/* The age of the first of the two that is set. */
static void event_age(struct text *text, const Meta__Time *time, const Meta__MicroTime *precise, int64_t now)
{
    if (!is_time_zero(time) || !precise || !precise->has_seconds)
        text_since(text, time, now);
    else
        text_since_seconds(text, precise->seconds, now);
}

static void event_object_cell(json_t *cells, const Core__ObjectReference *object)
{
    struct text text = {0};
    for (const char *c = object ? api_text(object->kind) : ""; *c; c++)
        text_printf(&text, "%c", tolower((unsigned char)*c));
    if (object && *api_text(object->name))
        text_printf(&text, "/%s", object->name);
    cell_take(cells, &text);
}

static void event_source_cell(json_t *cells, const Core__Event *event)
{
    const Core__EventSource *source = event->source;
    bool has_component = source && *api_text(source->component), has_host = source && *api_text(source->host);
    const char *host = has_host ? source->host : api_text(event->reportinginstance);
    struct text text = {0};
    text_add(&text, has_component ? source->component : api_text(event->reportingcomponent));
    if (*host)
        text_printf(&text, ", %s", host);
    cell_take(cells, &text);
}

static void event_message_cell(json_t *cells, const char *message)
{
    static const char blank[] = " \t\n\v\f\r";
    struct text text = {0};
    message += strspn(message, blank);
    size_t len = strlen(message);
    while (len > 0 && strchr(blank, message[len - 1]))
        len--;
    text_add_bytes(&text, message, len);
    cell_take(cells, &text);
}

void table_event_cells(json_t *cells, const Core__Event *event, int64_t now)
{
    struct text first = {0}, last = {0};
    event_age(&first, event->firsttimestamp, event->eventtime, now);
    if (event->series)
        event_age(&last, NULL, event->series->lastobservedtime, now);
    else if (is_time_zero(event->lasttimestamp))
        text_add(&last, first.data);
    else
        text_since(&last, event->lasttimestamp, now);
    cell_take(cells, &last);
    cell_text(cells, event->type);
    cell_text(cells, event->reason);
    event_object_cell(cells, event->involvedobject);
    cell_text(cells, event->involvedobject ? event->involvedobject->fieldpath : NULL);
    event_source_cell(cells, event);
    event_message_cell(cells, api_text(event->message));
    cell_take(cells, &first);
    /* The newer API counts in the series alone. */
    cell_number(cells, event->series ? event->series->count : event->count ? event->count : 1);
    cell_text(cells, event->metadata ? event->metadata->name : NULL);
}
