/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>

/* PURE. Which of several forms of an answer a client wants most: the Accept header (RFC 9110, 12.5.1) with
 * the parameters that Kubernetes puts into it: g, v and as ask for the answer turned into another kind
 * (KEP-3352, and Tables). */

/* A form that can be given. Strings are static. */
struct accept_offer {
    const char *type;                 /* "application/json" */
    const char *group, *version, *as; /* "meta.k8s.io", "v1", "Table"; NULL: the kind itself */
};

/* The index of the offer to give, or -1 when the client takes none of them. Of equal weight the client's
 * earlier one counts, and what it names rather than wildcards; within one, the earlier offer. accept NULL or
 * "": the first offer. Parameters of other names are ignored. At most 64 items of the header are looked at.
 */
int accept_choose(const char *accept, const struct accept_offer *offers, size_t count);
