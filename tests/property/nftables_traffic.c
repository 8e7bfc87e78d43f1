/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run.h"
#include "simple.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* New connections to a service, as fast as they go, while its endpoints change thousands of times: none may
 * fail, and none may wait for a SYN to be sent again (a second). All on the loopback of a namespace of its
 * own; every endpoint answers at all times, so that whatever fails is the dataplane's doing. */

#define ENDPOINTS 24 /* some counts have a chain at all times, others get theirs when they come up */
#define CLIENTS 2
#define LATE_NS 900000000

static atomic_bool is_over;
static atomic_ulong connections, failures, late;
static struct sockaddr_in service_address;
static int server_fd;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void end(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void set_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        end("lo");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        end("lo");
    close(fd);
}

static void *serve(void *unused)
{
    (void)unused;
    while (!atomic_load(&is_over)) {
        int connection = accept(server_fd, NULL, NULL);
        if (connection >= 0)
            close(connection);
    }
    return NULL;
}

static void listen_everywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    server_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (server_fd < 0 || bind(server_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(server_fd, 4096) < 0)
        end("listen");
}

static void connect_once(void)
{
    const struct timeval patience = {.tv_usec = 950000};
    const struct linger at_once = {.l_onoff = 1};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    int64_t began = now_ns();
    int code = connect(fd, (struct sockaddr *)&service_address, sizeof(service_address));
    if (code < 0 && atomic_fetch_add(&failures, 1) < 5)
        fprintf(stderr, "connection %lu: %s\n", atomic_load(&connections), strerror(errno));
    if (now_ns() - began > LATE_NS)
        atomic_fetch_add(&late, 1);
    atomic_fetch_add(&connections, 1);
    close(fd);
}

static void *hammer(void *unused)
{
    (void)unused;
    while (!atomic_load(&is_over))
        connect_once();
    return NULL;
}

#define TURNS_MIN 1000

struct churn {
    struct run *run;
    struct dice dice;
    struct address addresses[ENDPOINTS];
    int64_t collect_at_ns; /* 0: nothing to collect */
    unsigned turns, collections;
};

static bool take_turn(struct churn *churn)
{
    struct sync_result result;
    struct err err = {0};
    if (sync_turn(&churn->run->sync, &result, &err) < 0) {
        fprintf(stderr, "turn %u: %s\n", churn->turns, err.text);
        return false;
    }
    int delay_ms = churn->run->dataplane->ops->collect_delay_ms(churn->run->dataplane);
    if (delay_ms >= 0 && churn->collect_at_ns == 0)
        churn->collect_at_ns = now_ns() + (int64_t)delay_ms * 1000000;
    churn->turns++;
    return true;
}

static bool collect_when_due(struct churn *churn)
{
    struct dataplane_result result;
    struct err err = {0};
    if (churn->collect_at_ns == 0 || now_ns() < churn->collect_at_ns)
        return true;
    if (churn->run->dataplane->ops->collect(churn->run->dataplane, &result, &err) < 0) {
        fprintf(stderr, "collect: %s\n", err.text);
        return false;
    }
    int delay_ms = churn->run->dataplane->ops->collect_delay_ms(churn->run->dataplane);
    churn->collect_at_ns = delay_ms < 0 ? 0 : now_ns() + (int64_t)delay_ms * 1000000;
    churn->collections++;
    return true;
}

/* Some of the endpoints, from one to all; now and then with affinity; now and then a comparison of
 * everything. */
static bool change(struct churn *churn)
{
    struct dice *dice = &churn->dice;
    unsigned count = 1 + dice_below(dice, ENDPOINTS);
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        unsigned other = i + dice_below(dice, ENDPOINTS - i);
        struct address moved = churn->addresses[i];
        churn->addresses[i] = churn->addresses[other];
        churn->addresses[other] = moved;
    }
    struct address cluster_ip;
    address_parse("127.1.0.1", &cluster_ip, NULL);
    simple_put(churn->run->store, "s", &cluster_ip, dice_one_in(dice, 3) ? 60 : 0, churn->addresses, count);
    if (dice_one_in(dice, 20))
        churn->run->sync.needs_load = true;
    return take_turn(churn) && collect_when_due(churn);
}

static bool run_churn(struct churn *churn, double seconds)
{
    pthread_t server, clients[CLIENTS];
    int64_t end_ns = now_ns() + (int64_t)(seconds * 1e9);
    bool is_fine = change(churn);
    listen_everywhere();
    pthread_create(&server, NULL, serve, NULL);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, hammer, NULL);
    /* So many turns on any machine: a busy one takes longer. */
    while (is_fine && (now_ns() < end_ns || churn->turns < TURNS_MIN))
        is_fine = change(churn);
    atomic_store(&is_over, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    shutdown(server_fd, SHUT_RDWR); /* wakes the server */
    pthread_join(server, NULL);
    close(server_fd);
    return is_fine;
}

int main(int argc, char **argv)
{
    static struct world world;
    struct run run;
    double seconds = argc == 3 && strcmp(argv[1], "--seconds") == 0 ? strtod(argv[2], NULL) : 5;
    if (!enter_namespace())
        return 77;
    signal(SIGPIPE, SIG_IGN);
    set_loopback_up();
    service_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, "127.1.0.1", &service_address.sin_addr);
    world_init(&world, 1);
    world.interfaces.count = 0;
    run_init(&run, &world);
    run.options.local_detect = LOCAL_DETECT_NONE; /* the loopback has no address to masquerade with */
    struct churn churn = {.run = &run, .dice = {.state = 1}};
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "127.0.0.%u", i + 2);
        address_parse(text, &churn.addresses[i], NULL);
    }
    bool is_fine = run_churn(&churn, seconds);
    run_done(&run);
    printf("%lu connections over %u turns and %u collections: %lu failed, %lu late\n", connections,
           churn.turns, churn.collections, failures, late);
    return is_fine && failures == 0 && late == 0 && connections > 0 && churn.turns >= TURNS_MIN
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}
