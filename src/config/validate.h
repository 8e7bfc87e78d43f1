/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "config/settings.h"

/* Judging settings in kube-proxy's paths and words (1.36, pkg/proxy/apis/config/validation). */

/* Gates that nobody knows or that are locked: a sentence, or NULL. */
const char *settings_check_gates(const struct proxy_settings *settings, struct arena *arena);
/* k8s.io/component-base logs/api/v1, Validate. */
void settings_check_logging(const struct proxy_settings *settings, struct faults *faults);
/* All the rest, of completed settings. */
void settings_check(const struct proxy_settings *settings, struct faults *faults);
