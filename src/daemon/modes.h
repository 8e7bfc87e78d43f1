/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "config/proxy_config.h"
#include "dataplane/dataplane.h"

#include <stddef.h>

/* The dataplanes, by the names that --proxy-mode has for them. */

#define MODE_AUTO "auto"
#define MODE_KUBE_PROXY "kube-proxy" /* what kube-proxy does where nobody names a mode */

#define MODE_CHOICES_MAX 3

/* What one of the words for a mode comes to on this machine. */
struct mode_finding {
    const char *mode;
    const char *choices[MODE_CHOICES_MAX]; /* the dataplanes that stand for it, the best first */
    size_t choice_count;
    const struct dataplane_ops *serves; /* the first of these that can; NULL: none */
    bool lacks_rights;                  /* one that was passed over would need more than this process has */
    struct err reason;                  /* why those before it were passed over; "" for the first choice */
};

/* Asks the machine, with the rights that this process has: "auto" is the first that it can of nftables and
 * iptables, MODE_KUBE_PROXY of iptables and nftables. -errno with the reasons where nothing serves. */
int modes_choose(const char *mode, struct mode_finding *ret, struct err *err);
/* All of them: auto and MODE_KUBE_PROXY too. */
typedef void mode_visit_fn(void *context, const struct mode_finding *finding);
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
