/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "net/address.h"

/* The forms of names and addresses that Kubernetes knows, each noting what is wrong in the apiserver's words
 * (k8s.io/apimachinery: pkg/util/validation, pkg/api/validate/content). They return whether all is well. */

/* RFC 1123 label: 63 of [-a-z0-9], ends alphanumeric. */
bool check_dns_label(struct faults *faults, const struct path *path, const char *value);
/* RFC 1123 subdomain: labels joined by dots, 253 at most. */
bool check_dns_subdomain(struct faults *faults, const struct path *path, const char *value);
/* A subdomain of two labels or more, a trailing dot allowed: EndpointSlice's FQDN addresses. */
bool check_fqdn(struct faults *faults, const struct path *path, const char *value);
/* "name" or "prefix.example/name", as label keys, finalizers and appProtocol are. */
bool check_qualified_name(struct faults *faults, const struct path *path, const char *value);
/* The same for an annotation's key, whose case does not count. */
bool check_annotation_key(struct faults *faults, const struct path *path, const char *value);
bool check_label_value(struct faults *faults, const struct path *path, const char *value);
/* IANA service name: 15 of [-a-z0-9], a letter among them. */
bool check_port_name(struct faults *faults, const struct path *path, const char *value);
/* 1..65535 */
bool check_port_number(struct faults *faults, const struct path *path, long long value);

/* An address in the strict form that new objects need since 1.36 (gate StrictIPCIDRValidation): no leading
 * zeros, not IPv4-mapped. *ret is set when it returns true. */
bool check_address(struct faults *faults, const struct path *path, const char *value, struct address *ret);
/* Not unspecified, loopback, link-local or link-local multicast: endpoints and external IPs. */
bool check_endpoint_address(struct faults *faults, const struct path *path, const char *value,
                            const struct address *address);
/* A prefix, strict likewise and without host bits. */
bool check_prefix(struct faults *faults, const struct path *path, const char *value, struct prefix *ret);
