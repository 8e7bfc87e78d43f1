# SPDX-License-Identifier: GPL-2.0-or-later
"""Has a running process make one system call that its own code would never make, and says what the kernel answers: by
ptrace(2), in the main thread, which has to be waiting in a system call of its own."""
import contextlib
import ctypes
import errno
import os
import platform
import signal
import time

import pytest

PEEKTEXT, CONT, SINGLESTEP, GETREGS, SETREGS, ATTACH, DETACH = 1, 7, 9, 12, 13, 16, 17
WALL = 0x40000000
NUMBERS = {"getpid": 39, "execve": 59, "ptrace": 101, "mount": 165, "init_module": 175, "kexec_load": 246,
           "unshare": 272, "setns": 308, "bpf": 321}  # arch/x86/entry/syscalls/syscall_64.tbl
SYSCALL = b"\x0f\x05"
# What a call holds that a signal has come into the middle of, before the kernel decides whether it is made again: EINTR, and
# ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK of include/linux/errno.h. Any other is a result.
INTERRUPTED = {-errno.EINTR, -512, -513, -514, -516}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    """struct user_regs_struct, sys/user.h"""
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es "
        "fs gs").split()]


def _ptrace(request, pid, address=None, data=None):
    ctypes.set_errno(0)
    value = _libc.ptrace(request, pid, address, data)
    if ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request}: {os.strerror(ctypes.get_errno())}")
    return value


def _wait(pid):
    _, status = os.waitpid(pid, WALL)
    assert os.WIFSTOPPED(status), f"process {pid} ended under our hands with status {status}"
    return os.WSTOPSIG(status)


@contextlib.contextmanager
def _held(pid):
    try:
        _ptrace(ATTACH, pid)
    except PermissionError:
        pytest.skip("needs ptrace (CAP_SYS_PTRACE)")
    try:
        while (stopped_by := _wait(pid)) != signal.SIGSTOP:
            _ptrace(CONT, pid, data=stopped_by)
        yield
    finally:
        _ptrace(DETACH, pid)


def _is_waiting(pid, registers):
    """In a call, which is not over. One that is over has done something, and who made it has to hear what."""
    word = _ptrace(PEEKTEXT, pid, registers.rip - 2) & 0xFFFF
    return (word.to_bytes(2, "little") == SYSCALL and ctypes.c_longlong(registers.orig_rax).value >= 0
            and ctypes.c_longlong(registers.rax).value in INTERRUPTED)


def call(pid, name, *arguments):
    """What the call returns there: a number, or the name of its error."""
    if platform.machine() != "x86_64":
        pytest.skip("needs x86_64: the registers of no other machine are known here")
    for _ in range(100):
        with _held(pid):
            saved, registers = Registers(), Registers()
            _ptrace(GETREGS, pid, data=ctypes.byref(saved))
            if _is_waiting(pid, saved):
                ctypes.pointer(registers)[0] = saved
                registers.rip -= 2
                registers.rax, registers.orig_rax = NUMBERS[name], ctypes.c_ulonglong(-1).value
                for register, argument in zip("rdi rsi rdx r10 r8".split(), arguments):
                    setattr(registers, register, argument)
                _ptrace(SETREGS, pid, data=ctypes.byref(registers))
                _ptrace(SINGLESTEP, pid)
                assert _wait(pid) == signal.SIGTRAP
                _ptrace(GETREGS, pid, data=ctypes.byref(registers))
                _ptrace(SETREGS, pid, data=ctypes.byref(saved))  # the call that it was in goes on, or says EINTR
                result = ctypes.c_longlong(registers.rax).value
                return errno.errorcode[-result] if result < 0 else result
        time.sleep(0.02)
    raise AssertionError(f"process {pid} never waits in a system call")
