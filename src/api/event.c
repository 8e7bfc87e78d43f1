/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/event.h"

Events__Event *event_from_core(const Core__Event *event, struct arena *arena)
{
    Events__Event *face = arena_new(arena, Events__Event);
    events__event__init(face);
    face->metadata = event->metadata;
    face->eventtime = event->eventtime;
    face->reportingcontroller = event->reportingcomponent;
    face->reportinginstance = event->reportinginstance;
    face->action = event->action;
    face->reason = event->reason;
    face->regarding = event->involvedobject;
    face->related = event->related;
    face->note = event->message;
    face->type = event->type;
    face->deprecatedsource = event->source;
    face->deprecatedfirsttimestamp = event->firsttimestamp;
    face->deprecatedlasttimestamp = event->lasttimestamp;
    face->has_deprecatedcount = event->has_count;
    face->deprecatedcount = event->count;
    if (event->series) {
        face->series = arena_new(arena, Events__EventSeries);
        events__event_series__init(face->series);
        face->series->has_count = event->series->has_count;
        face->series->count = event->series->count;
        face->series->lastobservedtime = event->series->lastobservedtime;
    }
    return face;
}

Core__Event *event_to_core(const Events__Event *event, struct arena *arena)
{
    Core__Event *face = arena_new(arena, Core__Event);
    core__event__init(face);
    face->metadata = event->metadata;
    face->eventtime = event->eventtime;
    face->reportingcomponent = event->reportingcontroller;
    face->reportinginstance = event->reportinginstance;
    face->action = event->action;
    face->reason = event->reason;
    face->involvedobject = event->regarding;
    face->related = event->related;
    face->message = event->note;
    face->type = event->type;
    face->source = event->deprecatedsource;
    face->firsttimestamp = event->deprecatedfirsttimestamp;
    face->lasttimestamp = event->deprecatedlasttimestamp;
    face->has_count = event->has_deprecatedcount;
    face->count = event->deprecatedcount;
    if (event->series) {
        face->series = arena_new(arena, Core__EventSeries);
        core__event_series__init(face->series);
        face->series->has_count = event->series->has_count;
        face->series->count = event->series->count;
        face->series->lastobservedtime = event->series->lastobservedtime;
    }
    return face;
}
