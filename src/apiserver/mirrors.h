/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/verbs.h"

/* Keeps the EndpointSlices of selectorless Services as mirror.h would have them: follows the registry's
 * history, writes through the verbs. */

struct mirrors;

/* Looks at everything that the registry has; what cannot be written goes to report. */
struct mirrors *mirrors_new(const struct world *world, void (*report)(void *context, const char *sentence),
                            void *context);
void mirrors_free(struct mirrors *mirrors);
/* There is news in the registry. */
void mirrors_pull(struct mirrors *mirrors);
