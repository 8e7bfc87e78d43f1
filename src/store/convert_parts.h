/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "store/convert.h"

/* Between the files of convert alone. */

/* NULL for a slice that no proxy reads: FQDN addresses, or of a headless service. The block is the caller's.
 */
struct slice *convert_slice(struct store *store, const struct api_object *object, struct arena *scratch);

static inline const char *convert_label(const Meta__ObjectMeta *meta, const char *key)
{
    return meta ? api_entry(meta->labels, meta->n_labels, key) : NULL;
}

static inline const char *convert_annotation(const Meta__ObjectMeta *meta, const char *key)
{
    return meta ? api_entry(meta->annotations, meta->n_annotations, key) : NULL;
}
