/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/text.h"

#include <jansson.h>

/* Inside table*.c: what makes single cells. */

/* NULL is "". */
void cell_text(json_t *cells, const char *text);
/* fallback stands for NULL and "". */
void cell_text_or(json_t *cells, const char *text, const char *fallback);
/* The string's memory is taken. */
void cell_take(json_t *cells, struct text *text);
void cell_number(json_t *cells, int64_t number);
/* How long ago; "<unknown>" for no time. */
void cell_since(json_t *cells, const Meta__Time *time, int64_t now);
void text_since(struct text *text, const Meta__Time *time, int64_t now);
void text_since_seconds(struct text *text, int64_t then, int64_t now);
/* Absent, or a message without content as Go writes its zero time. */
bool is_time_zero(const Meta__Time *time);

/* The first three of many: "a,b,c + 4 more...". */
#define EXCERPT_SHOWN 3
struct excerpt {
    struct text text;
    size_t count;
};
void excerpt_add(struct excerpt *excerpt, const char *item);
/* Ends it. */
void excerpt_cell(json_t *cells, struct excerpt *excerpt, const char *fallback);

/* Appends the strings with commas: sorted and each once; or as they are. */
void text_join_set(const char **strings, size_t count, struct text *ret);
void text_join_list(char *const *strings, size_t count, struct text *ret);

/* The cells of one object behind its name; those without now leave the age to the caller. An Event's begin
 * with its age. */
void table_service_cells(json_t *cells, const Core__Service *service, int64_t now);
void table_endpoint_slice_cells(json_t *cells, const Discovery__EndpointSlice *slice);
void table_endpoints_cell(json_t *cells, const Core__Endpoints *endpoints);
void table_service_cidr_cell(json_t *cells, const Networking__ServiceCIDR *range);
void table_node_cells(json_t *cells, const Core__Node *node, int64_t now);
void table_pod_cells(json_t *cells, const Core__Pod *pod, int64_t now);
void table_event_cells(json_t *cells, const Core__Event *event, int64_t now);
