/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/catalog.h"

/* Two names of IPv6 lack their last letter, as kube-proxy's do: the kernel takes 31. */
static const struct {
    const char *names[FAMILY_COUNT];
    enum ipset_type type;
    bool has_marks;
    const char *comment;
} sets[SET_NAME_COUNT] = {
#define KUBE(name)                                                                                           \
    {                                                                                                        \
        "KUBE-" name, "KUBE-6-" name                                                                         \
    }
#define OURS(name)                                                                                           \
    {                                                                                                        \
        "FAIRLEAD-" name, "FAIRLEAD-6-" name                                                                 \
    }
    [SET_LOOP_BACK] = {KUBE("LOOP-BACK"), IPSET_HASH_IP_PORT_IP, false,
                       "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"},
    [SET_CLUSTER_IP] = {KUBE("CLUSTER-IP"), IPSET_HASH_IP_PORT, false,
                        "Kubernetes service cluster ip + port for masquerade purpose"},
    [SET_EXTERNAL_IP] = {KUBE("EXTERNAL-IP"), IPSET_HASH_IP_PORT, false,
                         "Kubernetes service external ip + port for masquerade and filter purpose"},
    [SET_EXTERNAL_IP_LOCAL] = {KUBE("EXTERNAL-IP-LOCAL"), IPSET_HASH_IP_PORT, false,
                               "Kubernetes service external ip + port with externalTrafficPolicy=local"},
    [SET_LOAD_BALANCER] = {KUBE("LOAD-BALANCER"), IPSET_HASH_IP_PORT, false, "Kubernetes service lb portal"},
    [SET_LOAD_BALANCER_LOCAL] =
        {KUBE("LOAD-BALANCER-LOCAL"), IPSET_HASH_IP_PORT, false,
         "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"},
    [SET_LOAD_BALANCER_FW] =
        {KUBE("LOAD-BALANCER-FW"), IPSET_HASH_IP_PORT, false,
         "Kubernetes service load balancer ip + port for load balancer with sourceRange"},
    [SET_LOAD_BALANCER_SOURCE_IP] = {KUBE("LOAD-BALANCER-SOURCE-IP"), IPSET_HASH_IP_PORT_IP, false,
                                     "Kubernetes service load balancer ip + port + source IP for packet "
                                     "filter purpose"},
    [SET_LOAD_BALANCER_SOURCE_CIDR] = {{"KUBE-LOAD-BALANCER-SOURCE-CIDR", "KUBE-6-LOAD-BALANCER-SOURCE-CID"},
                                       IPSET_HASH_IP_PORT_NET,
                                       false,
                                       "Kubernetes service load balancer ip + port + source cidr for packet "
                                       "filter purpose"},
    [SET_NODE_PORT_TCP] = {KUBE("NODE-PORT-TCP"), IPSET_BITMAP_PORT, false,
                           "Kubernetes nodeport TCP port for masquerade purpose"},
    [SET_NODE_PORT_LOCAL_TCP] = {KUBE("NODE-PORT-LOCAL-TCP"), IPSET_BITMAP_PORT, false,
                                 "Kubernetes nodeport TCP port with externalTrafficPolicy=local"},
    [SET_NODE_PORT_UDP] = {KUBE("NODE-PORT-UDP"), IPSET_BITMAP_PORT, false,
                           "Kubernetes nodeport UDP port for masquerade purpose"},
    [SET_NODE_PORT_LOCAL_UDP] = {KUBE("NODE-PORT-LOCAL-UDP"), IPSET_BITMAP_PORT, false,
                                 "Kubernetes nodeport UDP port with externalTrafficPolicy=local"},
    [SET_NODE_PORT_SCTP] =
        {KUBE("NODE-PORT-SCTP-HASH"), IPSET_HASH_IP_PORT, false,
         "Kubernetes nodeport SCTP port for masquerade purpose with type \\'hash ip:port\\'"},
    [SET_NODE_PORT_LOCAL_SCTP] = {{"KUBE-NODE-PORT-LOCAL-SCTP-HASH", "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS"},
                                  IPSET_HASH_IP_PORT,
                                  false,
                                  "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type "
                                  "\\'hash ip:port\\'"},
    [SET_HEALTH_CHECK_NODE_PORT] = {KUBE("HEALTH-CHECK-NODE-PORT"), IPSET_BITMAP_PORT, false,
                                    "Kubernetes health check node port"},
    [SET_IPVS_IPS] = {KUBE("IPVS-IPS"), IPSET_HASH_IP, false, "Addresses on the ipvs interface"},
    [SET_INSIDE] = {OURS("INSIDE"), IPSET_HASH_IP_PORT, true,
                    "fairlead: endpoints of the whole cluster for pods and the node"},
    [SET_SELF] = {OURS("SELF"), IPSET_HASH_IP_PORT, true, "fairlead: the endpoint that the node sticks to"},
    [SET_DROP] = {OURS("DROP"), IPSET_HASH_IP_PORT, false, "fairlead: no local endpoints"},
#undef KUBE
#undef OURS
};

struct ipset catalog_set(enum set_name name, enum family family)
{
    return (struct ipset){sets[name].names[family], sets[name].type, family, sets[name].has_marks};
}

const char *catalog_comment(enum set_name name)
{
    return sets[name].comment;
}
