/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/strategy.h"

/* What the files of the strategy share; see strategy.h. */

/* A message with nothing in it. */
void *strategy_new(struct arena *arena, const ProtobufCMessageDescriptor *type);

/* Fields behind feature gates that are off by default in 1.36. */
void strategy_drop_disabled(Core__PodSpec *spec);
void strategy_create_pod(Core__Pod *pod, struct arena *arena);
void strategy_update_pod_status(Core__Pod *pod, const Core__Pod *old, struct arena *arena);

/* Guaranteed, Burstable or BestEffort: kubernetes pkg/apis/core/helper/qos. */
const char *strategy_pod_quality(const Core__PodSpec *spec);

void strategy_warn(struct strategy_warnings *warnings, const char *sentence);
void strategy_warn_of_pod(const Core__Pod *pod, struct arena *arena, struct strategy_warnings *ret);
