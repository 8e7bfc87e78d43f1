/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"

/* Fills what a writer may leave out, as the apiserver does before it stores an object (kubernetes
 * pkg/apis/core/v1/defaults.go, pkg/apis/discovery/v1/defaults.go, and ipFamilies as in
 * pkg/registry/core/service/storage/alloc.go; the default family is that of clusterIPs, else IPv4).
 * Afterwards metadata and spec are not NULL. Idempotent; additions live in the arena. */
void defaults_apply(enum api_kind kind, ProtobufCMessage *message, struct arena *arena);
