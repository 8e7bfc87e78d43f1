/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "net/address.h"

#include <stddef.h>
#include <stdint.h>

/* A certificate authority of one folder, and what the stand-alone API server needs of it: ca.crt, server.crt
 * and admin.crt (0644), and ca.key, server.key and admin.key (0600). Keys are ECDSA P-256. */

/* PEM texts; freed by pki_done. */
struct pki {
    char *ca_certificate, *server_certificate, *server_key, *admin_certificate, *admin_key;
};

/* Makes the folder (0700; its parent exists) and what is missing in it; renews, with the keys that are there,
 * a certificate that ends within 30 days, and the server's when it lacks one of the addresses or names. The
 * authority lasts 10 years, the others a year. The admin is CN kubernetes-admin, O system:masters, as with
 * kubeadm. names ends in NULL and may be NULL.
 * Files change by rename alone. One that is damaged, or that this authority did not issue, is never
 * overwritten: -EINVAL and a sentence that names it. An authority of the operator's own (any key that gnutls
 * signs with) is used, and never renewed. */
int pki_prepare(const char *dir, const struct address *addresses, size_t address_count,
                const char *const *names, struct pki *ret, struct err *err);
/* A client certificate of the same authority with a key of its own, for nodes and users, not kept in any
 * file: PEM texts, the caller's to free(). It ends after seconds (positive), or with the authority.
 * organizations ends in NULL and may be NULL. -errno and a sentence. */
int pki_issue_client(const char *dir, const char *common_name, const char *const *organizations,
                     int64_t seconds, char **ret_certificate, char **ret_key, struct err *err);
/* Safe on a zeroed one. */
void pki_done(struct pki *pki);
