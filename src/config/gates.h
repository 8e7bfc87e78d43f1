/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* The feature gates that kube-proxy 1.36 knows: those of every component, since its binary links them all
 * (pkg/features, k8s.io/apiserver, k8s.io/client-go, k8s.io/component-base and others). */
enum gate_stage { GATE_ALPHA, GATE_BETA, GATE_GA, GATE_DEPRECATED };

struct gate {
    const char *name;
    enum gate_stage stage;
    bool is_on;     /* by default */
    bool is_locked; /* to its default */
};

/* Sorted by name. */
extern const struct gate gate_table[];
extern const size_t gate_count;

/* NULL for an unknown name. */
const struct gate *gate_get(const char *name);

/* Whether a release from 1.20 on had the gate for Service networking, and 1.36 has it no more: its outcome is
 * settled, and a configuration that still names it means no harm. */
bool gate_is_gone(const char *name);
