/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/core.pb-c.h"
#include "api/events.pb-c.h"
#include "base/arena.h"

/* One stored object has two faces, v1 Event and events.k8s.io/v1 Event (k8s.io/kubernetes pkg/apis/events/v1,
 * conversion.go). Each of these makes the other face in the arena; submessages and strings are shared with
 * the one given, which must live as long. */
Events__Event *event_from_core(const Core__Event *event, struct arena *arena);
Core__Event *event_to_core(const Events__Event *event, struct arena *arena);
