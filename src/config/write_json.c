/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_config.h"

#include "api/wire.h"

#include <stdlib.h>

void config_write_json(const struct proxy_config *config, struct text *ret)
{
    struct text yaml = {0};
    config_write(config, &yaml);
    json_t *tree = wire_tree_from_yaml(text_str(&yaml), yaml.len, NULL);
    char *json = tree ? json_dumps(tree, JSON_COMPACT) : NULL;
    /* Every text that config_write makes reads back: only memory can be missing. */
    if (!json)
        abort();
    text_add(ret, json);
    free(json);
    json_decref(tree);
    text_done(&yaml);
}
