/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config/settings.h"

#define PROXY_CONFIG_GROUP "kubeproxy.config.k8s.io/v1alpha1"
#define PROXY_CONFIG_KIND "KubeProxyConfiguration"
#define PROXY_CONFIG_MAX ((size_t)3 << 20) /* bytes of a file */

/* Decodes a file's bytes, a KubeProxyConfiguration of v1alpha1 as YAML or JSON, and puts its defaults in.
 * Unknown and duplicate fields do no harm; *ret_warning then names them all, else it is NULL. Returns NULL,
 * or the sentence about what is wrong: Go's words where Go has a word for it. Everything is in the arena. */
const char *settings_read(const char *bytes, size_t len, struct arena *arena, struct proxy_settings *ret,
                          const char **ret_warning);
