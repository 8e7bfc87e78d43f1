/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/confine.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* What is given up stays so: each test has a process of its own, which ends without a word when all is well.
 */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", __FILE__, __LINE__, #condition,               \
                    strerror(errno));                                                                        \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)
#define CHECK_REFUSED(code, call)                                                                            \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        CHECK((call) < 0 && errno == (code));                                                                \
    } while (0)

static void run(void (*test)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        test();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int run_program(const char *command)
{
    char *argv[] = {"sh", "-c", (char *)command, NULL};
    char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    pid_t pid;
    int status;
    int code = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environment);
    if (code != 0)
        return -code;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static void *thread_main(void *context)
{
    *(int *)context = 7;
    return NULL;
}

/* What a daemon of the network does all day. */
static void check_daily_work(void)
{
    struct addrinfo *found = NULL;
    struct epoll_event event = {.events = EPOLLIN};
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int ends[2], got = 0, pending;
    char path[] = "/tmp/fairlead-confine-XXXXXX";
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, thread_main, &got) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && got == 7);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(send(ends[0], "x", 1, 0) == 1);
    CHECK(ioctl(ends[1], FIONREAD, &pending) == 0 && pending == 1);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    CHECK(loop >= 0 && epoll_ctl(loop, EPOLL_CTL_ADD, ends[1], &event) == 0);
    CHECK(epoll_wait(loop, &event, 1, 0) == 1);
    CHECK(getaddrinfo("localhost", "80", &hints, &found) == 0);
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && unlink(path) == 0);
    CHECK(socket(AF_NETLINK, SOCK_RAW, 12) >= 0 || errno == EPROTONOSUPPORT);
    CHECK(access("/proc/self/status", R_OK) == 0);
    CHECK(memfd_create("confine", MFD_CLOEXEC) >= 0);
}

static void without_programs(void)
{
    struct err err;
    CHECK(confine_calls(CONFINE_NO_PROGRAMS, &err) == 0);
    check_daily_work();
    CHECK_REFUSED(ENOSYS, mount("none", "/mnt", "tmpfs", 0, NULL));
    CHECK_REFUSED(ENOSYS, umount("/proc"));
    CHECK_REFUSED(ENOSYS, ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    CHECK_REFUSED(ENOSYS, unshare(CLONE_FILES));
    CHECK_REFUSED(ENOSYS, setns(0, 0));
    CHECK_REFUSED(ENOSYS, chroot("/"));
    CHECK_REFUSED(ENOSYS, kill(getpid(), 0));
    CHECK_REFUSED(ENOSYS, syscall(SYS_kexec_load, 0, 0, NULL, 0));
    CHECK_REFUSED(ENOSYS, syscall(SYS_bpf, 0, NULL, 0));
    CHECK_REFUSED(ENOSYS, syscall(SYS_io_uring_setup, 1, NULL));
    CHECK_REFUSED(ENOSYS, syscall(100000));
    CHECK_REFUSED(ENOSYS, socket(AF_PACKET, SOCK_RAW, 0));
    CHECK_REFUSED(ENOSYS, ioctl(0, TIOCSTI, "x"));
    CHECK_REFUSED(ENOSYS, syscall(SYS_ioctl, 0, TIOCSTI | 1ull << 32, "x"));
    CHECK_REFUSED(EPERM, execl("/bin/true", "true", NULL));
    CHECK_REFUSED(EPERM, fork());
    CHECK(run_program("true") == -EPERM);
}

static void with_programs(void)
{
    struct err err;
    CHECK(confine_calls(CONFINE_PROGRAMS, &err) == 0);
    check_daily_work();
    CHECK(run_program("cat /proc/self/status >/dev/null && exit 3") == 3);
    CHECK_REFUSED(EPERM, mount("none", "/mnt", "tmpfs", 0, NULL));
    CHECK_REFUSED(EPERM, ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    CHECK_REFUSED(EPERM, unshare(CLONE_FILES));
    CHECK_REFUSED(EPERM, syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL));
    CHECK_REFUSED(EPERM, syscall(SYS_bpf, 0, NULL, 0));
    CHECK_REFUSED(EPERM, syscall(SYS_io_uring_setup, 1, NULL));
    /* The programs are under it as well. */
    CHECK(run_program("grep -q 'Seccomp:.*2' /proc/self/status") == 0);
    CHECK(run_program("unshare --user true 2>/dev/null") == 1);
    CHECK(run_program("f=$(mktemp -u) && mkfifo $f && rm $f") == 0);
}

/* --- capabilities --- */

static uint64_t status_of(const char *field)
{
    char line[256];
    unsigned long long value = UINT64_MAX;
    FILE *status = fopen("/proc/self/status", "re");
    CHECK(status);
    while (fgets(line, sizeof(line), status))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            value = strtoull(line + strlen(field) + 1, NULL, 16);
    fclose(status);
    return value;
}

#define BIT(capability) (1ull << (capability))
#define KEPT (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_DAC_READ_SEARCH))
#define OVERRIDE BIT(CAP_DAC_OVERRIDE)

static char theirs[64], secret[80], deeper[96];

static void make_folders(void)
{
    snprintf(theirs, sizeof(theirs), "/tmp/fairlead-confine-XXXXXX");
    assert_non_null(mkdtemp(theirs));
    snprintf(secret, sizeof(secret), "%s/secret", theirs);
    snprintf(deeper, sizeof(deeper), "%s/not/there", theirs);
    int fd = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chown(secret, 65534, 65534), 0);
    assert_int_equal(chown(theirs, 65534, 65534), 0);
}

static void remove_folders(void)
{
    unlink(secret);
    rmdir(theirs);
}

static void check_kept(uint64_t want)
{
    CHECK(status_of("CapEff") == want);
    CHECK(status_of("CapPrm") == want);
    CHECK(status_of("CapInh") == 0);
    CHECK(status_of("CapAmb") == 0);
    CHECK(status_of("NoNewPrivs") == 1);
}

static void of_the_daemon(void)
{
    const char *const writable[] = {"/run/not/there", "/", "relative/not/there", NULL};
    uint64_t had = status_of("CapPrm"), bound = status_of("CapBnd");
    struct err err;
    CHECK(chdir("/") == 0);
    CHECK(confine_capabilities(writable, CONFINE_PROGRAMS, &err) == 0);
    check_kept(had & KEPT);
    CHECK(status_of("CapBnd") == (bound & KEPT));
    CHECK_REFUSED(EPERM, chroot("/"));
    CHECK_REFUSED(EACCES, open(secret, O_WRONLY));
    CHECK(open(secret, O_RDONLY) >= 0);
    CHECK(run_program("test $(sed -n s/CapBnd:.//p /proc/self/status) = $(sed -n s/CapEff:.//p "
                      "/proc/self/status)") == 0);
}

static void where_folders_belong_to_others(void)
{
    const char *const writable[] = {"/", deeper, NULL};
    uint64_t had = status_of("CapPrm");
    struct err err;
    CHECK(confine_capabilities(writable, CONFINE_PROGRAMS, &err) == 0);
    check_kept(had & (KEPT | OVERRIDE));
    CHECK(open(secret, O_WRONLY) >= 0);
}

static void of_nobody(void)
{
    const char *const writable[] = {"/", NULL};
    struct err err;
    CHECK(setuid(65534) == 0);
    CHECK(confine_capabilities(writable, CONFINE_PROGRAMS, &err) == 0);
    check_kept(0);
    CHECK(confine_calls(CONFINE_NO_PROGRAMS, &err) == 0);
    CHECK_REFUSED(EPERM, fork());
}

/* A container's runtime may leave little to give up. */
static void without_setpcap(void)
{
    const char *const writable[] = {NULL};
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const uint32_t some = (uint32_t)(BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW));
    const struct __user_cap_data_struct data[2] = {{.effective = some, .permitted = some}};
    struct err err;
    CHECK(syscall(SYS_capset, &header, data) == 0);
    CHECK(confine_capabilities(writable, CONFINE_PROGRAMS, &err) == 0);
    check_kept(BIT(CAP_NET_ADMIN));
    CHECK(run_program("grep -q 'CapEff:.*0000000000001000' /proc/self/status") == 0);
}

static pthread_barrier_t barrier;

/* It was there when less was given up. */
static void *old_thread(void *context)
{
    pthread_barrier_wait(&barrier);
    errno = 0;
    *(bool *)context = umount("/proc") < 0 && errno == ENOSYS;
    return NULL;
}

/* As the daemon does it: more is given up later. */
static void by_and_by(void)
{
    const char *const writable[] = {"/", NULL};
    uint64_t had = status_of("CapPrm");
    pthread_t thread;
    bool is_refused = false;
    int status;
    struct err err;
    CHECK(confine_capabilities(writable, CONFINE_PACKET_PROGRAMS, &err) == 0);
    CHECK(confine_calls(CONFINE_PACKET_PROGRAMS, &err) == 0);
    check_kept(had & (KEPT | BIT(CAP_NET_RAW)));
    CHECK(run_program("true") == 0);
    pid_t early = fork();
    if (early == 0)
        _exit(7);
    CHECK_REFUSED(EPERM, umount("/proc"));
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, old_thread, &is_refused) == 0);
    CHECK(confine_capabilities(writable, CONFINE_NO_PROGRAMS, &err) == 0);
    CHECK(confine_calls(CONFINE_NO_PROGRAMS, &err) == 0);
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0 && is_refused);
    check_kept(had & KEPT);
    CHECK(run_program("true") == -EPERM);
    CHECK(waitpid(early, &status, 0) == early && WEXITSTATUS(status) == 7);
    CHECK_REFUSED(ENOSYS, umount("/proc"));
    check_daily_work();
}

static void calls_of_the_daemon(void **state)
{
    run(without_programs);
}

static void calls_of_programs(void **state)
{
    run(with_programs);
}

static void capabilities(void **state)
{
    if (geteuid() != 0) {
        puts("needs root");
        skip();
    }
    make_folders();
    run(of_the_daemon);
    run(where_folders_belong_to_others);
    run(of_nobody);
    run(without_setpcap);
    run(by_and_by);
    remove_folders();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_the_daemon),
        cmocka_unit_test(calls_of_programs),
        cmocka_unit_test(capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
