/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config/proxy_config.h"
#include "dataplane/dataplane.h"

/* The dataplanes, by the names that --proxy-mode has for them. */

#define MODE_AUTO "auto"
#define MODE_KUBE_PROXY "kube-proxy" /* what kube-proxy does where nobody names a mode */

/* The dataplane that mode asks for, when this machine can do it: "auto" is the first that it can of nftables
 * and iptables, MODE_KUBE_PROXY of iptables and nftables. Where that is not the first choice, passed says
 * why; else its text is empty. -errno with the reason. */
int modes_choose(const char *mode, const struct dataplane_ops **ret, struct err *passed, struct err *err);
/* Its number among kube-proxy's modes. PURE. */
enum proxy_mode modes_number(const struct dataplane_ops *mode);
/* Whether there is a dataplane of that name, or it is "auto". PURE. */
bool modes_has(const char *mode);
/* "nftables, iptables, userspace, auto" */
const char *modes_list(void);
/* The word that modes_choose has for what a configuration of kube-proxy asks for; MODE_KUBE_PROXY and
 * *ret_is_missing where that mode is not in this version. PURE. */
const char *modes_of_config(const struct proxy_config *config, bool *ret_is_missing);
