/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/names.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_CHARACTERS 16
#define SHA256_BYTES 32

static const char *const prefixes[] = {
    [SERVICE_CHAIN_CLUSTER] = "KUBE-SVC-",
    [SERVICE_CHAIN_LOCAL] = "KUBE-SVL-",
    [SERVICE_CHAIN_EXTERNAL] = "KUBE-EXT-",
    [SERVICE_CHAIN_FIREWALL] = "KUBE-FW-",
};
static const char endpoint_prefix[] = "KUBE-SEP-";

/* The hash is of all three, one after the other, in base 32 (RFC 4648, section 6). */
static const char *name_by_hash(const char *prefix, const char *port_name, enum protocol protocol,
                                const char *endpoint, char buffer[CHAIN_NAME_MAX])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char digest[SHA256_BYTES];
    struct text hashed = {0};
    text_printf(&hashed, "%s%s%s", port_name, protocol_name_lower(protocol), endpoint);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, hashed.data, hashed.len, digest) < 0)
        abort(); /* no memory: the library always has SHA-256 */
    text_done(&hashed);
    size_t at = (size_t)snprintf(buffer, CHAIN_NAME_MAX, "%s", prefix);
    for (unsigned i = 0; i < HASH_CHARACTERS; i++) {
        unsigned bit = i * 5, byte = bit / 8;
        unsigned pair = (unsigned)digest[byte] << 8 | digest[byte + 1];
        buffer[at++] = alphabet[pair >> (11 - bit % 8) & 31];
    }
    buffer[at] = '\0';
    return buffer;
}

const char *chain_name_service(enum service_chain chain, const char *port_name, enum protocol protocol,
                               char buffer[CHAIN_NAME_MAX])
{
    return name_by_hash(prefixes[chain], port_name, protocol, "", buffer);
}

const char *chain_name_endpoint(const char *port_name, enum protocol protocol, const char *endpoint,
                                char buffer[CHAIN_NAME_MAX])
{
    return name_by_hash(endpoint_prefix, port_name, protocol, endpoint, buffer);
}

bool chain_name_is_of_service(const char *name)
{
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return strncmp(name, endpoint_prefix, strlen(endpoint_prefix)) == 0;
}
