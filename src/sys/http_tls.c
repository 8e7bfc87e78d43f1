/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/http_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

/* Of one certificate's subject. A group that does not fit would be a group that is silently missing, so such
 * a certificate is refused. */
#define ORGANIZATIONS_MAX 64
#define SUBJECT_VALUE_MAX 256

/* Ephemeral keys and authenticated ciphers alone, the cheapest first; what is left is what crypto/tls of Go
 * offers. */
const char http_tls_priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:%SERVER_PRECEDENCE";

static gnutls_datum_t datum_of(const char *pem)
{
    return (gnutls_datum_t){.data = (unsigned char *)pem, .size = (unsigned)strlen(pem)};
}

static void credentials_done(gnutls_certificate_credentials_t *credentials)
{
    if (*credentials)
        gnutls_certificate_free_credentials(*credentials);
}

int http_tls_check(const struct http_tls *tls, struct err *err)
{
    cleanup_with(credentials_done) gnutls_certificate_credentials_t credentials = NULL;
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return err_set(err, ENOTSUP, "libmicrohttpd was built without TLS");
    if (gnutls_certificate_allocate_credentials(&credentials) < 0)
        return err_set(err, ENOMEM, "out of memory");
    gnutls_datum_t certificate = datum_of(tls->certificate_pem), key = datum_of(tls->key_pem);
    int code = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return err_set(err, EINVAL, "the server's certificate and key: %s", gnutls_strerror(code));
    if (!tls->client_ca_pem)
        return 0;
    gnutls_datum_t authority = datum_of(tls->client_ca_pem);
    code = gnutls_certificate_set_x509_trust_mem(credentials, &authority, GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return err_set(err, EINVAL, "the clients' certificate authority: %s", gnutls_strerror(code));
    return code > 0 ? 0 : err_set(err, EINVAL, "the clients' certificate authority: it has no certificate");
}

gnutls_session_t http_tls_session(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

/* UTF8String, PrintableString, IA5String (ITU-T X.680, 8.6). */
static bool is_plain_text(unsigned long tag)
{
    return tag == 12 || tag == 19 || tag == 22;
}

/* The value as it is: gnutls's own getters escape it for RFC 4514. NULL when it is none that we take, be it
 * for a NUL that would hide its end. */
static char *subject_value(const gnutls_x509_ava_st *part)
{
    const gnutls_datum_t *value = &part->value;
    if (!is_plain_text(part->value_tag) || value->size > SUBJECT_VALUE_MAX ||
        memchr(value->data, '\0', value->size))
        return NULL;
    char *text = xcalloc(value->size + 1, 1);
    memcpy(text, value->data, value->size);
    return text;
}

static bool is_oid(const gnutls_x509_ava_st *part, const char *oid)
{
    size_t len = strlen(oid);
    return part->oid.size >= len && memcmp(part->oid.data, oid, len) == 0 &&
           (part->oid.size == len || part->oid.data[len] == '\0');
}

/* Of several names the last counts, as in crypto/x509/pkix of Go. */
static bool subject_take(const gnutls_x509_ava_st *part, struct http_peer *peer, char **organizations,
                         size_t *count)
{
    bool is_name = is_oid(part, GNUTLS_OID_X520_COMMON_NAME);
    if (!is_name && !is_oid(part, GNUTLS_OID_X520_ORGANIZATION_NAME))
        return true;
    char *value = *count < ORGANIZATIONS_MAX ? subject_value(part) : NULL;
    if (!value)
        return false;
    if (!is_name) {
        organizations[(*count)++] = value;
        return true;
    }
    free((char *)peer->common_name);
    peer->common_name = value;
    return true;
}

static bool subject_read(gnutls_x509_crt_t certificate, struct http_peer *peer)
{
    gnutls_x509_dn_t subject;
    gnutls_x509_ava_st part;
    char **organizations = xcalloc(ORGANIZATIONS_MAX + 1, sizeof(*organizations));
    size_t count = 0;
    peer->organizations = (const char *const *)organizations;
    if (gnutls_x509_crt_get_subject(certificate, &subject) < 0)
        return false;
    /* Sets within a sequence; each level ends with an error. */
    for (int set = 0; gnutls_x509_dn_get_rdn_ava(subject, set, 0, &part) == 0; set++)
        for (int i = 0; gnutls_x509_dn_get_rdn_ava(subject, set, i, &part) == 0; i++)
            if (!subject_take(&part, peer, organizations, &count))
                return false;
    return true;
}

static bool is_verified(gnutls_session_t session)
{
    gnutls_typed_vdata_st wanted = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                    .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned faults;
    return gnutls_certificate_verify_peers(session, &wanted, 1, &faults) == 0 && faults == 0;
}

static void certificate_done(gnutls_x509_crt_t *certificate)
{
    if (*certificate)
        gnutls_x509_crt_deinit(*certificate);
}

static const char *const no_organizations[] = {NULL};

void http_tls_forget_peer(struct http_peer *peer)
{
    free((char *)peer->common_name);
    if (peer->organizations && peer->organizations != no_organizations) {
        for (const char *const *each = peer->organizations; *each; each++)
            free((char *)*each);
        free((char **)peer->organizations);
    }
    peer->common_name = NULL;
    peer->organizations = no_organizations;
}

void http_tls_identify(gnutls_session_t session, struct http_peer *peer)
{
    cleanup_with(certificate_done) gnutls_x509_crt_t certificate = NULL;
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    http_tls_forget_peer(peer);
    if (!chain || count == 0)
        return;
    peer->is_certificate_refused = !is_verified(session) || gnutls_x509_crt_init(&certificate) < 0 ||
                                   gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) < 0 ||
                                   !subject_read(certificate, peer);
    /* A name that is empty is none, and then nobody is in any group. */
    if (peer->is_certificate_refused || !peer->common_name || !*peer->common_name)
        http_tls_forget_peer(peer);
}
