/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/schema.h"

#define FRONTEND FIELD_DADDR, FIELD_PROTOCOL, FIELD_DPORT
#define NODE_PORT FIELD_PROTOCOL, FIELD_DPORT

#define VALUES DATA_VALUE
#define NODE .is_for_node_port = true
#define LEADS_TO(picks, sources) .verdicts = (picks), .source_verdicts = (sources)

static const struct set_schema schemas[SET_COUNT] = {
    [SET_SERVICES] = {"services", {FRONTEND}, VALUES, LEADS_TO(SET_VERDICTS, SET_SOURCE_VERDICTS)},
    [SET_NODE_PORTS] =
        {"node-ports", {NODE_PORT}, VALUES, NODE, LEADS_TO(SET_NODE_VERDICTS, SET_SOURCE_VERDICTS)},
    [SET_GUARDED] = {"guarded",
                     {FRONTEND},
                     VALUES,
                     LEADS_TO(SET_GUARDED_VERDICTS, SET_SOURCE_GUARDED_VERDICTS)},
    [SET_LOCALS] = {"locals", {FRONTEND}, VALUES, LEADS_TO(SET_PICK_VERDICTS, 0)},
    [SET_NODE_LOCALS] = {"node-locals", {NODE_PORT}, VALUES, NODE, LEADS_TO(SET_NODE_PICK_VERDICTS, 0)},
    [SET_SHORTCUTS] = {"shortcuts", {FRONTEND}, VALUES, LEADS_TO(SET_PICK_VERDICTS, 0)},
    [SET_NODE_SHORTCUTS] = {"node-shortcuts", {NODE_PORT}, VALUES, NODE, LEADS_TO(SET_NODE_PICK_VERDICTS, 0)},
    [SET_ENDPOINTS] = {"endpoints", {FRONTEND, FIELD_SLOT}, DATA_ENDPOINT},
    [SET_NODE_ENDPOINTS] = {"node-endpoints", {NODE_PORT, FIELD_SLOT}, DATA_ENDPOINT, NODE},
    [SET_VERDICTS] = {"verdicts", {FIELD_VALUE}, DATA_VERDICT},
    [SET_NODE_VERDICTS] = {"node-verdicts", {FIELD_VALUE}, DATA_VERDICT, NODE},
    [SET_GUARDED_VERDICTS] = {"guarded-verdicts", {FIELD_VALUE}, DATA_VERDICT},
    [SET_PICK_VERDICTS] = {"pick-verdicts", {FIELD_VALUE}, DATA_VERDICT},
    [SET_NODE_PICK_VERDICTS] = {"node-pick-verdicts", {FIELD_VALUE}, DATA_VERDICT, NODE},
    [SET_SOURCE_VERDICTS] = {"source-verdicts", {FIELD_VALUE}, DATA_VERDICT},
    [SET_SOURCE_GUARDED_VERDICTS] = {"source-guarded-verdicts", {FIELD_VALUE}, DATA_VERDICT},
    [SET_SOURCE_RANGES] = {"source-ranges", {FRONTEND, FIELD_SADDR}, DATA_NONE, .is_interval = true},
    [SET_AFFINITY_IDS] = {"affinity-ids", {FRONTEND}, VALUES},
    [SET_NODE_AFFINITY_IDS] = {"node-affinity-ids", {NODE_PORT}, VALUES, NODE},
    [SET_SHORTCUT_AFFINITY_IDS] = {"shortcut-affinity-ids", {FRONTEND}, VALUES},
    [SET_NODE_SHORTCUT_AFFINITY_IDS] = {"node-shortcut-affinity-ids", {NODE_PORT}, VALUES, NODE},
    [SET_AFFINITY_LEARNS] = {"affinity-learns", {FIELD_VALUE}, DATA_VERDICT},
    [SET_AFFINITY] = {"affinity",
                      {FIELD_SADDR, FIELD_PROTOCOL, FIELD_VALUE},
                      DATA_ENDPOINT,
                      .is_dynamic = true,
                      .size = 1u << 20},
    [SET_CLUSTER_IPS] = {"cluster-ips", {FIELD_DADDR}, DATA_NONE},
    [SET_NODE_IPS] = {"node-ips", {FIELD_DADDR}, DATA_NONE},
    [SET_HAIRPIN] = {"hairpin", {FIELD_SADDR, FIELD_DADDR}, DATA_NONE},
    [SET_SERVICE_CIDRS] = {"service-cidrs", {FIELD_DADDR}, DATA_NONE, .is_interval = true},
};

bool set_is_source_verdicts(enum set_id set)
{
    return set == SET_SOURCE_VERDICTS || set == SET_SOURCE_GUARDED_VERDICTS;
}

const struct set_schema *set_schema(enum set_id set)
{
    return &schemas[set];
}

unsigned field_len(enum field field, enum family family)
{
    switch (field) {
    case FIELD_NONE:
        return 0;
    case FIELD_DADDR:
    case FIELD_SADDR:
    case FIELD_ORIGINAL_DADDR:
        return family == FAMILY_IPV4 ? 4 : 16;
    case FIELD_PROTOCOL:
    case FIELD_DPORT:
    case FIELD_SLOT:
    case FIELD_VALUE:
    case FIELD_ORIGINAL_DPORT:
        return 4; /* in a concatenation every field is padded to a register of four bytes */
    }
    return 0;
}

unsigned set_key_len(enum set_id set, enum family family)
{
    unsigned len = 0;
    for (int i = 0; i < KEY_FIELDS_MAX; i++)
        len += field_len(schemas[set].key[i], family);
    return len;
}

unsigned set_data_len(enum set_id set, enum family family)
{
    switch (schemas[set].data) {
    case DATA_NONE:
    case DATA_VERDICT:
        return 0;
    case DATA_VALUE:
        return 4;
    case DATA_ENDPOINT:
        return field_len(FIELD_DADDR, family) + 4;
    }
    return 0;
}
