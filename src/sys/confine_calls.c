/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "sys/confine.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* What the daemon itself calls, by strace and by what libc, libuv, libcurl, GnuTLS, libmicrohttpd and SQLite
 * may choose on other architectures and in other versions. A name that libseccomp does not know is none of
 * this machine's. */
static const char *const used[] = {
    /* memory and threads */
    "brk",
    "madvise",
    "membarrier",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "munmap",
    "arch_prctl",
    "exit",
    "exit_group",
    "futex",
    "futex_time64",
    "get_robust_list",
    "getcpu",
    "getpid",
    "getppid",
    "gettid",
    "restart_syscall",
    "rseq",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_yield",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "tgkill",
    "prctl",
    /* the end of programs that were started, and perhaps killed, before; libuv aborts where it cannot ask */
    "wait4",
    "waitid",
    "waitpid",
    /* signals */
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "sigaction",
    "sigaltstack",
    "sigprocmask",
    "sigreturn",
    /* time */
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "gettimeofday",
    "nanosleep",
    "time",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    "times",
    /* waiting */
    "_newselect",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "inotify_add_watch",
    "inotify_init1",
    "inotify_rm_watch",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "select",
    /* files */
    "_llseek",
    "access",
    "chmod",
    "chown",
    "close",
    "copy_file_range",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "flock",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "getcwd",
    "getdents",
    "getdents64",
    "lseek",
    "lstat",
    "memfd_create",
    "lstat64",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "sync_file_range",
    "umask",
    "unlink",
    "unlinkat",
    "write",
    "writev",
    /* sockets; socket itself is below */
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socketcall",
    "socketpair",
    /* about this process and machine */
    "capget",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getrandom",
    "getrlimit",
    "getrusage",
    "getuid",
    "getuid32",
    "prlimit64",
    "setrlimit",
    "sysinfo",
    "ugetrlimit",
    "uname",
};

/* For these one answer says more than that the kernel is old. */
static const char *const refused_programs[] = {"execve", "execveat", "fork", "vfork"};

/* What no program that the daemon starts has to do. */
static const char *const refused_always[] = {
    /* mounts and namespaces; clone's flags are below */
    "chroot",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "pivot_root",
    "setns",
    "umount",
    "umount2",
    "unshare",
    /* the machine */
    "acct",
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_settime",
    "clock_settime64",
    "create_module",
    "delete_module",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "nfsservctl",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "setdomainname",
    "sethostname",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "syslog",
    "uselib",
    "vhangup",
    /* other processes */
    "kcmp",
    "migrate_pages",
    "move_pages",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    /* far into the kernel */
    "add_key",
    "bpf",
    "fanotify_init",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "keyctl",
    "lookup_dcookie",
    "modify_ldt",
    "perf_event_open",
    "personality",
    "request_key",
    "userfaultfd",
    "vm86",
    "vm86old",
};

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* Terminals' TIOCSTI and its like are not among them. */
static const unsigned long requests[] = {FIOCLEX,      FIONBIO,     FIONCLEX,    FIONREAD,   TCGETS,
                                         SIOCGIFINDEX, SIOCGIFNAME, SIOCGIFADDR, TIOCGWINSZ, TIOCOUTQ};

static const unsigned long namespace_flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                                CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

/* clone(2), "C library/kernel differences" */
#if defined(__s390__) || defined(__CRIS__)
#define CLONE_FLAGS_ARGUMENT 1
#else
#define CLONE_FLAGS_ARGUMENT 0
#endif

/* The first failure of several; libseccomp answers with -errno. */
struct filter {
    scmp_filter_ctx context;
    int code;
};

static void add_rule(struct filter *filter, uint32_t action, const char *name,
                     const struct scmp_arg_cmp *match)
{
    int number = seccomp_syscall_resolve_name(name);
    if (filter->code < 0 || number == __NR_SCMP_ERROR)
        return;
    filter->code = seccomp_rule_add_array(filter->context, action, number, match != NULL, match);
}

static void add_rules(struct filter *filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_rule(filter, action, names[i], NULL);
}

static struct scmp_arg_cmp masked(unsigned argument, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, mask, value};
}

/* Threads alone. clone3 has its flags where no filter sees them; libc falls back on clone. */
static void list_used(struct filter *filter)
{
    const struct scmp_arg_cmp thread = masked(CLONE_FLAGS_ARGUMENT, CLONE_THREAD, CLONE_THREAD);
    const struct scmp_arg_cmp process = masked(CLONE_FLAGS_ARGUMENT, CLONE_THREAD, 0);
    add_rules(filter, SCMP_ACT_ALLOW, used, ARRAY_LEN(used));
    add_rules(filter, SCMP_ACT_ERRNO(EPERM), refused_programs, ARRAY_LEN(refused_programs));
    add_rule(filter, SCMP_ACT_ALLOW, "clone", &thread);
    add_rule(filter, SCMP_ACT_ERRNO(EPERM), "clone", &process);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        const struct scmp_arg_cmp family = {0, SCMP_CMP_EQ, (scmp_datum_t)families[i], 0};
        add_rule(filter, SCMP_ACT_ALLOW, "socket", &family);
    }
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        /* The kernel looks at 32 bits of it. */
        const struct scmp_arg_cmp request = masked(1, 0xffffffff, requests[i]);
        add_rule(filter, SCMP_ACT_ALLOW, "ioctl", &request);
    }
}

static void list_refused(struct filter *filter)
{
    add_rules(filter, SCMP_ACT_ERRNO(EPERM), refused_always, ARRAY_LEN(refused_always));
    add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL);
    for (size_t i = 0; i < ARRAY_LEN(namespace_flags); i++) {
        const struct scmp_arg_cmp match =
            masked(CLONE_FLAGS_ARGUMENT, namespace_flags[i], namespace_flags[i]);
        add_rule(filter, SCMP_ACT_ERRNO(EPERM), "clone", &match);
    }
}

static void set_attribute(struct filter *filter, enum scmp_filter_attr attribute, uint32_t value)
{
    if (filter->code == 0)
        filter->code = seccomp_attr_set(filter->context, attribute, value);
}

static void close_filter(struct filter *filter)
{
    seccomp_release(filter->context);
}

int confine_calls(enum confine_programs programs, struct err *err)
{
    cleanup_with(close_filter) struct filter filter = {
        seccomp_init(programs == CONFINE_NO_PROGRAMS ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_ALLOW), 0};
    if (!filter.context)
        return err_set(err, ENOSYS, "system calls cannot be filtered: this machine has no seccomp");
    /* Calls of another architecture, 32 bit on a machine of 64 bit, have numbers of their own. */
    set_attribute(&filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    set_attribute(&filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a chain of comparisons */
    set_attribute(&filter, SCMP_FLTATR_API_SYSRAWRC, 1);
    set_attribute(&filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (programs == CONFINE_NO_PROGRAMS)
        list_used(&filter);
    else
        list_refused(&filter);
    if (filter.code == 0)
        filter.code = seccomp_load(filter.context);
    if (filter.code < 0)
        return err_set(err, -filter.code, "system calls cannot be filtered: %s", strerror(-filter.code));
    return 0;
}
