/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "store/store.h"

/* Puts a decoded, defaulted and validated object into the store in its compact form. Kinds that forwarding
 * does not read (Endpoints, Pod, Namespace) leave no trace. */
void store_put(struct store *store, const struct api_object *object);
void store_remove(struct store *store, enum api_kind kind, const char *namespace_, const char *name);
