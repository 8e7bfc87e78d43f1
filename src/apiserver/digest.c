/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/digest.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>

void digest_sha256(const void *bytes, size_t len, uint8_t ret[32])
{
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, len, ret) < 0)
        abort(); /* a library without SHA-256 could not speak TLS either */
}

void digest_hex(const void *bytes, size_t len, char ret[65])
{
    uint8_t digest[32];
    digest_sha256(bytes, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 2 * i, 3, "%02X", digest[i]);
}
