/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "net/address.h"
#include "sys/pki.h"

/* kubeconfig files (clientcmd/api/v1) for the embedded API server, with everything inside. */

/* Writes the administrator's file anew (mode 0600, by rename). */
int kubeconfig_write_admin(const char *path, const char *data_dir, const struct socket_address *server,
                           bool is_plain, const struct pki *pki, struct err *err);
/* Appends one for a user who has a token. */
void kubeconfig_for_token(const char *server, const char *ca_certificate_pem, size_t ca_len, const char *user,
                          const char *token, struct text *ret);
