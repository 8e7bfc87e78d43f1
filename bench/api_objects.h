/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"

/* Objects as controllers write them, by number: Service svc-N, and its EndpointSlice of OBJECT_ENDPOINTS
 * ready endpoints with node, zone and Pod. All in JSON. */

#define OBJECT_NAMESPACE "bench"
#define OBJECT_ENDPOINTS 10
#define OBJECT_MARK "mark-" /* and eight digits: which write it was */
#define OBJECT_MARK_DIGITS 8

void object_namespace(struct text *ret);
void object_service(unsigned number, struct text *ret);
/* The first endpoint's address follows mark. */
void object_slice(unsigned number, unsigned mark, struct text *ret);
/* A JSON merge patch to what object_slice gives with that mark. */
void object_slice_patch(unsigned number, unsigned mark, struct text *ret);
/* A path below the server, without a query. */
void object_slice_path(unsigned number, struct text *ret);
