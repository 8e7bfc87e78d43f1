/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/faults.h"
#include "net/address.h"

/* The forms of names and addresses that Kubernetes knows, each noting what is wrong in the apiserver's words
 * (k8s.io/apimachinery: pkg/util/validation, pkg/api/validate/content). They return whether all is well. */

/* What is wrong with a name: how many details, and the details, which are constant. */
#define NAME_DETAILS_MAX 3
typedef size_t name_rule(const char *value, const char *ret[NAME_DETAILS_MAX]);
name_rule dns_label_rule, dns_subdomain_rule, label_value_rule;
/* What may stand between two slashes of a URL's path: every object's name. */
name_rule path_segment_rule;
/* A fault for each detail. */
bool check_rule(struct faults *faults, const struct path *path, const char *value, name_rule *rule);
/* The same for the beginning of a name, which may end in a dash (generateName). */
bool check_prefix_rule(struct faults *faults, const struct path *path, const char *value, name_rule *rule);
/* All details in one, with ";" between them; NULL when all is well. */
const char *join_rule(const char *value, name_rule *rule, struct arena *arena);

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
bool check_range(struct faults *faults, const struct path *path, long long value, long long first,
                 long long last);
bool check_not_negative(struct faults *faults, const struct path *path, long long value);
/* A key of a ConfigMap or Secret: a file's name of [-._a-zA-Z0-9]. */
bool check_config_key(struct faults *faults, const struct path *path, const char *value);
/* Printable ASCII without "=" (gate RelaxedEnvironmentVariableValidation, GA in 1.34). */
bool check_environment_name(struct faults *faults, const struct path *path, const char *value);
bool check_header_name(struct faults *faults, const struct path *path, const char *value);
/* A resolver's search path: a subdomain that may hold underscores, or "." (gate RelaxedDNSSearchValidation).
 */
bool check_search_path(struct faults *faults, const struct path *path, const char *value);

/* An address in the strict form that new objects need since 1.36 (gate StrictIPCIDRValidation): no leading
 * zeros, not IPv4-mapped. *ret is set when it returns true. */
bool check_address(struct faults *faults, const struct path *path, const char *value, struct address *ret);
/* Not unspecified, loopback, link-local or link-local multicast: endpoints and external IPs. */
bool check_endpoint_address(struct faults *faults, const struct path *path, const char *value,
                            const struct address *address);
/* A prefix, strict likewise and without host bits. */
bool check_prefix(struct faults *faults, const struct path *path, const char *value, struct prefix *ret);
/* The same two in the one canonical form, as fields of newer APIs want them. */
bool check_canonical_address(struct faults *faults, const struct path *path, const char *value,
                             struct address *ret);
bool check_canonical_prefix(struct faults *faults, const struct path *path, const char *value,
                            struct prefix *ret);

/* Any form that Kubernetes ever took, leading zeros and IPv4-mapped ones included. */
bool address_parse_loosely(const char *value, struct arena *arena, struct address *ret);
/* The sentence with which the apiserver warns of a form that it takes but does not like (GetWarningsForIP,
 * GetWarningsForCIDR), NULL for none. */
const char *address_warning(const struct path *path, const char *value, struct arena *arena);
const char *prefix_warning(const struct path *path, const char *value, struct arena *arena);
