/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config.pb-c.h"
#include "config/settings.h"

/* Puts what the file gave over the defaults, and where it gave a zero that counts as absent, leaves those
 * (config/v1alpha1, defaults.go and conversion.go). Strings stay the message's. Returns NULL, or the sentence
 * about a duration that is none. */
const char *settings_from_message(struct proxy_settings *settings,
                                  const Config__KubeProxyConfiguration *message, struct arena *arena);
