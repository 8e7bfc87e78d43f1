/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "dataplane/iptables/layout.h"
#include "fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What iptables-save may say. The properties: it is refused with words, or it reads back as it is written,
 * and what it says itself needs nothing; and whatever there is, its difference to what an empty world wants
 * can be told. */

static void require(int holds, const char *what, const char *text)
{
    if (holds)
        return;
    fprintf(stderr, "%s:\n%s\n", what, text);
    abort();
}

static void check_reading_back(const struct layout *layout)
{
    struct text written = {0}, difference = {0};
    struct layout again;
    struct err err;
    layout_render(layout, &written);
    require(layout_parse(text_str(&written), &again, &err) == 0, "it does not read back", text_str(&written));
    require(layout_difference(&again, layout, &iptables_own_rules, &difference) == 0 && difference.len == 0,
            "it reads back differently", text_str(&difference));
    layout_done(&again);
    text_done(&written);
    text_done(&difference);
}

static void check_difference(const struct layout *have)
{
    const struct node_view view = {.local_detect = LOCAL_DETECT_NONE};
    const struct dataplane_node node = {.view = &view, .masquerade_mark = 1};
    struct layout want;
    struct text difference = {0};
    layout_build(&node, NULL, 0, FAMILY_IPV4, false, &want);
    layout_difference(have, &want, &iptables_own_rules, &difference);
    require(difference.len == 0 || strcmp(text_str(&difference) + difference.len - 7, "COMMIT\n") == 0,
            "no COMMIT at the end", text_str(&difference));
    layout_done(&want);
    text_done(&difference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *saved = strndup((const char *)data, size);
    struct layout layout;
    struct err err = {0};
    if (layout_parse(saved, &layout, &err) < 0) {
        require(err.text[0] != '\0', "refused without a word", saved);
        return 0;
    }
    check_reading_back(&layout);
    check_difference(&layout);
    layout_done(&layout);
    return 0;
}
