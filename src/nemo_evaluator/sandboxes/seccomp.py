"""A seccomp filter for untrusted programs: raw BPF for bubblewrap, a profile for Docker.

Namespaces, dropped capabilities and no_new_privs already forbid most of this; the filter is the
second wall: it keeps programs away from the kernel's wide interfaces (mounting, tracing, keys,
bpf, io_uring, new namespaces) and from socket families that no network namespace confines
(vsock reaches the hypervisor). Denied calls fail with EPERM, ``clone3`` with ENOSYS, upon which
libc falls back to ``clone``, whose flags can be looked at. Calls of a foreign architecture kill.
Numbers are those of the kernel's tables arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h. Other machines get no filter (`build` returns None).
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Sequence
from typing import NamedTuple

from ..types import Json

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24
"""Offsets in struct seccomp_data (the low words of the first two arguments)."""

_NEW_NAMESPACES = 0x7E020080
"""CLONE_NEW{USER,PID,NET,IPC,UTS,CGROUP,NS} and CLONE_NEWTIME."""
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK."""


class _Table(NamedTuple):
    arch: int
    x32: bool
    clone: int
    socket: int
    ioctl: int
    unix_only: dict[str, int]


_SHARED = {
    "pidfd_getfd": 438, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "mount_setattr": 442, "quotactl_fd": 443,
}  # fmt: skip
_X86 = {
    "ptrace": 101, "syslog": 103, "personality": 135, "pivot_root": 155, "chroot": 161,
    "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167,
    "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172,
    "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179, "lookup_dcookie": 212,
    "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "unshare": 272, "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
}  # fmt: skip
_ARM = {
    "lookup_dcookie": 18, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51,
    "quotactl": 60, "acct": 89, "personality": 92, "unshare": 97, "kexec_load": 104,
    "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117,
    "reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "add_key": 217,
    "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225, "perf_event_open": 241,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
    "kexec_file_load": 294,
}  # fmt: skip
_HIDDEN_MEMORY = {"x86_64": (29, 319, 447), "aarch64": (194, 279, 447)}
"""shmget, memfd_create, memfd_secret: memory that only a cgroup would count."""
_CLONE3 = 435
_TABLES = {
    "x86_64": _Table(0xC000003E, True, 56, 41, 16, _X86),
    "aarch64": _Table(0xC00000B7, False, 220, 198, 29, _ARM),
}


Argument = dict[str, int | str]
"""What an argument of a system call must be for a rule to apply."""


def build(*, memory_counted: bool, machine: str | None = None) -> bytes | None:
    """The filter for this machine, as an array of struct sock_filter; None if there is none.

    ``memory_counted``: a cgroup bounds memory. Without one, memory outside the address space of
    a process (System V segments, memfd) is denied too, since no rlimit counts it.
    """
    name = machine or platform.machine()
    if (table := _TABLES.get(name)) is None:
        return None
    denied = sorted({*_SHARED.values(), *table.unix_only.values()})
    if not memory_counted:
        denied += _HIDDEN_MEMORY[name]
    deny = [_op(_RETURN, _ERRNO | errno.EPERM)]
    program = [
        _op(_LOAD, _ARCH),
        _op(_EQUAL, table.arch, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
    ]
    if table.x32:
        program += [_op(_AT_LEAST, 0x40000000, 0, 1), _op(_RETURN, _KILL)]
    program += [_op(_EQUAL, _CLONE3, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    for number in denied:
        program += [_op(_EQUAL, number, 0, 1), *deny]
    program += _if_call(table.clone, _ARG0, [_op(_ANY_BIT, _NEW_NAMESPACES, 0, 1), *deny])
    program += _if_call(table.ioctl, _ARG1, _any_of((_TIOCSTI, _TIOCLINUX), deny))
    allowed = [_op(_EQUAL, family, len(_FAMILIES) - i, 0) for i, family in enumerate(_FAMILIES)]
    program += _if_call(table.socket, _ARG0, [*allowed, *deny])
    program.append(_op(_RETURN, _ALLOW))
    return b"".join(program)


_OF_A_CONTAINER = {
    "ptrace", "chroot", "personality", "process_vm_readv", "process_vm_writev", "kcmp", "acct",
}  # fmt: skip
"""Calls that a container has which is nothing but one: for debuggers and installers."""


def profile(*, plain: bool = False) -> dict[str, Json]:
    """The same rules as a Docker profile, for engines whose own lets programs reach a hypervisor.

    It is for every architecture; runc skips the names that a kernel does not know. ``plain``:
    without what Docker itself lets a container do.
    """

    def refuse(names: list[str], *args: Argument, errno_ret: int = errno.EPERM) -> Json:
        return {
            "names": names,
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": errno_ret,
            "args": list(args),
        }

    bits = [1 << n for n in range(32) if _NEW_NAMESPACES >> n & 1]
    masked: list[Argument] = [
        {"index": 0, "value": b, "valueTwo": b, "op": "SCMP_CMP_MASKED_EQ"} for b in bits
    ]
    equal: list[Argument] = [
        {"index": 0, "value": n, "op": "SCMP_CMP_EQ"} for n in range(46) if n not in _FAMILIES
    ]
    beyond: Argument = {"index": 0, "value": 46, "op": "SCMP_CMP_GE"}
    typed: list[Argument] = [
        {"index": 1, "value": n, "op": "SCMP_CMP_EQ"} for n in (_TIOCSTI, _TIOCLINUX)
    ]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            refuse(sorted({*_SHARED, *_X86, *_ARM} - (_OF_A_CONTAINER if plain else set()))),
            refuse(["clone3"], errno_ret=errno.ENOSYS),
            *(refuse(["clone"], arg) for arg in masked),
            *(refuse(["socket"], arg) for arg in (*equal, beyond)),
            *(refuse(["ioctl"], arg) for arg in typed),
        ],
    }


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _any_of(values: Sequence[int], then: list[bytes]) -> list[bytes]:
    return [line for value in values for line in (_op(_EQUAL, value, 0, 1), *then)]


def _if_call(number: int, argument: int, body: list[bytes]) -> list[bytes]:
    """Run ``body`` with an argument of one call loaded; then load the call's number again."""
    lines = [_op(_LOAD, argument), *body, _op(_LOAD, _NUMBER)]
    return [_op(_EQUAL, number, 0, len(lines)), *lines]
