/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/verbs.h"
#include "source/source.h"

/* The folder of manifests as a field manager of its own (KEP-555): each object of the folder is applied as it
 * is written, and what somebody else has changed stays changed, and is said. What leaves the folder is
 * deleted. */

#define APPLIER_MANAGER "fairlead-manifests"

struct applier;

/* complain as in source_sink. */
struct applier *applier_new(const struct world *world,
                            void (*complain)(void *context, bool is_refusal, const char *sentence),
                            void *context);
void applier_free(struct applier *applier);
/* What the folder tells: objects as written, neither defaulted nor judged. */
struct source_sink applier_sink(struct applier *applier);
/* After the first listing: deletes what the folder of an earlier run had and this one has not. A folder that
 * is empty takes nothing away. */
void applier_finish_listing(struct applier *applier);
/* There is news in the registry: says which of the folder's objects somebody else changed. */
void applier_pull(struct applier *applier);
