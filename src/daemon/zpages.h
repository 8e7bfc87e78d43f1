/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PURE. /statusz and /flagz of Kubernetes' components (KEP-4827, KEP-4828): as text for people, and as an
 * object of config.k8s.io for who asks for one in Accept. */

struct zpage {
    unsigned status;
    const char *content_type;
    const char *warning; /* for the header of that name; NULL: none */
    struct text body;
};

struct statusz {
    const char *component; /* "kube-proxy" */
    int64_t started_s, now_s;
    const char *version, *emulated; /* our own; of Kubernetes, "1.36" */
    const char *const *paths;       /* that one may look at further */
    size_t path_count;
};

/* accept NULL: nothing is asked for. What cannot be given is refused with 406. */
struct zpage statusz_answer(const struct statusz *facts, const char *accept);

struct flagz_entry {
    const char *name, *value;
};
/* entries come in any order and are sorted. */
struct zpage flagz_answer(const char *component, struct flagz_entry *entries, size_t count,
                          const char *accept);
