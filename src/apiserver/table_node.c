/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table_cells.h"
#include "base/arena.h"
#include "base/cleanup.h"

#include <string.h>

static void node_roles_cell(json_t *cells, const Meta__ObjectMeta *metadata)
{
    static const char prefix[] = "node-role.kubernetes.io/";
    size_t count = 0, labels = metadata ? metadata->n_labels : 0;
    cleanup_free const char **roles = xcalloc(labels, sizeof(*roles));
    for (size_t i = 0; i < labels; i++) {
        const char *key = api_text(metadata->labels[i]->key), *value = api_text(metadata->labels[i]->value);
        if (strncmp(key, prefix, strlen(prefix)) == 0 && key[strlen(prefix)])
            roles[count++] = key + strlen(prefix);
        else if (strcmp(key, "kubernetes.io/role") == 0 && *value)
            roles[count++] = value;
    }
    struct text text = {0};
    text_join_set(roles, count, &text);
    cell_text_or(cells, text_str(&text), "<none>");
    text_done(&text);
}

static void node_address_cell(json_t *cells, const Core__NodeStatus *status, const char *type)
{
    for (size_t i = 0; i < status->n_addresses; i++)
        if (text_equal(status->addresses[i]->type, type)) {
            cell_text(cells, status->addresses[i]->address);
            return;
        }
    cell_text(cells, "<none>");
}

void table_node_cells(json_t *cells, const Core__Node *node, int64_t now)
{
    static const Core__NodeStatus no_status = CORE__NODE_STATUS__INIT;
    static const Core__NodeSystemInfo no_info = CORE__NODE_SYSTEM_INFO__INIT;
    const Core__NodeStatus *status = node->status ? node->status : &no_status;
    const Core__NodeSystemInfo *info = status->nodeinfo ? status->nodeinfo : &no_info;
    const char *readiness = "Unknown";
    for (size_t i = 0; i < status->n_conditions; i++)
        if (text_equal(status->conditions[i]->type, "Ready"))
            readiness = text_equal(status->conditions[i]->status, "True") ? "Ready" : "NotReady";
    struct text text = {0};
    text_add(&text, readiness);
    if (node->spec && node->spec->unschedulable)
        text_add(&text, ",SchedulingDisabled");
    cell_take(cells, &text);
    node_roles_cell(cells, node->metadata);
    cell_since(cells, node->metadata ? node->metadata->creationtimestamp : NULL, now);
    cell_text(cells, info->kubeletversion);
    node_address_cell(cells, status, "InternalIP");
    node_address_cell(cells, status, "ExternalIP");
    cell_text_or(cells, info->osimage, "<unknown>");
    text_add(&text, *api_text(info->kernelversion) ? info->kernelversion : "<unknown>");
    if (*api_text(info->architecture))
        text_printf(&text, " (%s)", info->architecture);
    cell_take(cells, &text);
    cell_text_or(cells, info->containerruntimeversion, "<unknown>");
}
