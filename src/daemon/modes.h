/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config/proxy_config.h"
#include "dataplane/dataplane.h"

#include <stddef.h>

/* The dataplanes, by the names that --proxy-mode has for them. */

#define MODE_AUTO "auto"
#define MODE_KUBE_PROXY "kube-proxy" /* what kube-proxy does where nobody names a mode */

/* The dataplane that mode asks for, when this machine can do it: "auto" is the first that it can of nftables
 * and iptables, MODE_KUBE_PROXY of iptables and nftables. Where that is not the first choice, passed says
 * why; else its text is empty. -errno with the reason. */
int modes_choose(const char *mode, const struct dataplane_ops **ret, struct err *passed, struct err *err);

/* What one of the words for a mode comes to on this machine. */
#define MODE_CHOICES_MAX 3
struct mode_finding {
    const char *mode;
    const char *choices[MODE_CHOICES_MAX]; /* the dataplanes that stand for it, the best first */
    size_t choice_count;
    const struct dataplane_ops *serves; /* the first of these that can; NULL: none */
    struct err reason;                  /* why not the first choice, and where none can why none; else "" */
};
typedef void mode_visit_fn(void *context, const struct mode_finding *finding);
/* All of them, with the rights that this process has: auto and MODE_KUBE_PROXY too. */
void modes_probe(mode_visit_fn *visit, void *context);

/* Its number among kube-proxy's modes. PURE. */
enum proxy_mode modes_number(const struct dataplane_ops *mode);
/* The dataplane of that name, whether this machine can do it or not; NULL: there is none. PURE. */
const struct dataplane_ops *modes_named(const char *name);
/* Whether there is a dataplane of that name, or it is "auto". PURE. */
bool modes_has(const char *mode);
/* "nftables, iptables, ipvs, userspace, auto": the names that modes_has knows. */
const char *modes_list(void);
/* The word that modes_choose has for what a configuration of kube-proxy asks for. PURE. */
const char *modes_of_config(const struct proxy_config *config);
