/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/gates.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *name, const void *gate)
{
    return strcmp(name, ((const struct gate *)gate)->name);
}

const struct gate *gate_get(const char *name)
{
    return bsearch(name, gate_table, gate_count, sizeof(gate_table[0]), compare);
}

bool gate_is_gone(const char *name)
{
    static const char *const gone[] = {
        "CloudDualStackNodeIPs",
        "EndpointSlice",
        "EndpointSliceNodeName",
        "EndpointSliceProxying",
        "EndpointSliceTerminatingCondition",
        "IPTablesOwnershipCleanup",
        "IPv6DualStack", /* kubeadm wrote it into the ConfigMap of 1.21 */
        "KubeProxyDrainingTerminatingNodes",
        "LoadBalancerIPMode",
        "MinimizeIPTablesRestore",
        "MixedProtocolLBService",
        "ProxyTerminatingEndpoints",
        "SCTPSupport",
        "ServiceAppProtocol",
        "ServiceIPStaticSubrange",
        "ServiceInternalTrafficPolicy",
        "ServiceLBNodePortControl",
        "ServiceLoadBalancerClass",
        "ServiceNodePortStaticSubrange",
        "ServiceTopology",
        "ServiceTrafficDistribution",
        "SupportIPVSProxyMode",
        "TopologyAwareHints",
        "WindowsEndpointSliceProxying",
    };
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (strcmp(gone[i], name) == 0)
            return true;
    return false;
}
