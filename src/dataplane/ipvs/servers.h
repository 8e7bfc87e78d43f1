/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "forwarding/entry.h"

/* IPVS' virtual and real servers by generic netlink (the kernel's net/netfilter/ipvs/ip_vs_ctl.c; ipvsadm(8)
 * for the words). Changes are gathered, and take effect with servers_flush in the order in which they were
 * said. */

/* Either of an address, a port and a protocol, or of packets with a mark. Padding is zero, so that they can
 * be compared as bytes. */
struct virtual_server {
    struct address address;
    uint32_t mark; /* 0: by address; else address, port and protocol are zero */
    uint16_t port; /* host order */
    uint8_t protocol;
    uint8_t family; /* enum family */
};

/* What a virtual server is set to. */
struct server_settings {
    char scheduler[16];        /* "rr" */
    uint32_t persistence_s;    /* 0: none */
    bool has_source_hash_port; /* the flag sh-port of sh and mh (IP_VS_SVC_F_SCHED_SH_PORT) */
};

struct real_server {
    struct backend backend;
    uint32_t weight;
    uint32_t connections; /* active and inactive; of listing alone */
};

struct servers;
/* -ENOENT and a sentence where this kernel has no IPVS, or its module is not loaded. */
int servers_open(struct servers **ret, struct err *err);
void servers_close(struct servers *servers); /* NULL is allowed */

/* A virtual server that is there already, or real server that is: its settings are replaced; one that is not
 * is added. is_new says which is expected, that is quicker. One that is gone already is removed already.
 * Forwarding is by masquerading (ipvsadm -m), the netmask of persistence is one address. */
void servers_set(struct servers *servers, const struct virtual_server *virtual,
                 const struct server_settings *settings, bool is_new);
void servers_remove(struct servers *servers, const struct virtual_server *virtual);
void servers_set_real(struct servers *servers, const struct virtual_server *virtual,
                      const struct backend *backend, uint32_t weight, bool is_new);
void servers_remove_real(struct servers *servers, const struct virtual_server *virtual,
                         const struct backend *backend);
/* The first failure, which names the server ("the virtual server TCP 10.96.0.10:80 cannot be added: ..." with
 * the scheduler where that is not there); all that does not depend on it has taken effect. Nothing is waiting
 * afterwards either way. */
int servers_flush(struct servers *servers, struct err *err);

/* Every virtual server of the kernel; then every real server of one. What visit is given is borrowed. Virtual
 * servers of other protocols, and real servers of another forwarding method, are told as well. */
int servers_list(struct servers *servers,
                 void (*visit)(void *context, const struct virtual_server *virtual,
                               const struct server_settings *settings),
                 void *context, struct err *err);
/* -ENOENT where the virtual server is gone. */
int servers_list_real(struct servers *servers, const struct virtual_server *virtual,
                      void (*visit)(void *context, const struct real_server *real), void *context,
                      struct err *err);

/* Seconds; 0 leaves what is there (ipvsadm --set). At once. */
int servers_set_timeouts(struct servers *servers, uint32_t tcp_s, uint32_t tcp_fin_s, uint32_t udp_s,
                         struct err *err);
/* Whether virtual servers with this scheduler can be made: tries with one that no packet can reach, and
 * removes it, which also makes the kernel load the module. -errno and a sentence that names the scheduler. */
int servers_probe_scheduler(struct servers *servers, const char *scheduler, struct err *err);

/* "TCP 10.96.0.10:80", "FWM 4711", "FWM 4711 IPv6", as ipvsadm -Ln begins its lines. PURE. */
#define VIRTUAL_SERVER_TEXT_MAX (SOCKET_ADDRESS_TEXT_MAX + 8)
const char *virtual_server_format(const struct virtual_server *virtual, char buffer[VIRTUAL_SERVER_TEXT_MAX]);

/* The servers in the answers to dumps. For fuzzing; neither reads past len. */
void servers_parse(const void *bytes, size_t len,
                   void (*visit)(void *context, const struct virtual_server *virtual,
                                 const struct server_settings *settings),
                   void *context);
void servers_parse_real(const void *bytes, size_t len,
                        void (*visit)(void *context, const struct real_server *real), void *context);
