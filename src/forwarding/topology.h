/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "forwarding/view.h"
#include "store/object.h"

/* Where nodes and endpoints are, by topology key (KEP-536, spec.topologyKeys of Kubernetes 1.17 to 1.21). A
 * key is a label's name; zone and region are known under their names from before 1.17 too. All texts are
 * borrowed from the store. Pure. */

#define TOPOLOGY_KEY_ANY "*"

/* This node's value for key; NULL when its Node object has no such label, or is not there. */
const char *topology_of_node(const struct node_view *node, const char *key);
/* An endpoint's, NULL when nothing tells it: its node's name for the host name, its zone, what its slice says
 * in deprecatedTopology, else the label of its Node object. */
const char *topology_of_endpoint(const struct node_view *node, const struct slice *slice,
                                 const struct endpoint *endpoint, const char *key);
