/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "registry/registry.h"

/* The largest object, packed. etcd's bound on a request is 1.5 MiB; this is the first power of two above it.
 */
#define PACKED_MAX ((size_t)2 << 20)

/* The object that message says, with one reference for the caller, in one block: struct, names, bytes. Sets
 * metadata.resourceVersion to text inside the block. -E2BIG, or -EINVAL without a name; message is as it was
 * then. */
int packed_new(struct registry_object **ret, enum api_kind kind, ProtobufCMessage *message, uint64_t revision,
               size_t max, struct err *err);
/* The same from bytes that were packed before, as they are. */
struct registry_object *packed_from_bytes(enum api_kind kind, const char *namespace_, const char *name,
                                          uint64_t revision, const void *bytes, size_t len);

/* The number of the object's row in the file; travels from one state of an object to the next. */
int64_t packed_row(const struct registry_object *object);
void packed_set_row(struct registry_object *object, int64_t row);
/* Bytes that the block takes. */
size_t packed_size(const struct registry_object *object);
