"""The seccomp filter, run by an interpreter of its BPF as the kernel would."""

from __future__ import annotations

import errno
import struct

import pytest

from nemo_evaluator.sandboxes import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
DENY = 0x00050000 | errno.EPERM
X86, ARM = 0xC000003E, 0xC00000B7


def decide(program: bytes, number: int, *args: int, arch: int = X86) -> int:
    """What the kernel would do with one call."""
    words = [*args, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=iIQ6Q", number, arch, 0, *words)
    lines = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, value = lines[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x45:
                at += if_true if accumulator & value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.fixture(params=[True, False])
def x86(request: pytest.FixtureRequest) -> bytes:
    program = seccomp.build(memory_counted=request.param, machine="x86_64")
    assert program is not None
    return program


def test_ordinary_calls_are_allowed(x86: bytes) -> None:
    for number in (0, 1, 2, 9, 39, 57, 59, 60, 62, 231, 257, 318):
        assert decide(x86, number) == ALLOW


def test_wide_interfaces_are_denied(x86: bytes) -> None:
    for number in (101, 165, 166, 155, 161, 246, 250, 272, 298, 304, 308, 310, 321, 323, 425, 428):
        assert decide(x86, number) == DENY


def test_foreign_architectures_and_x32_kill(x86: bytes) -> None:
    assert decide(x86, 1, arch=0x40000003) == KILL
    assert decide(x86, 0x40000001) == KILL


def test_clone_makes_threads_and_no_namespaces(x86: bytes) -> None:
    thread = 0x3D0F00
    assert decide(x86, 56, thread) == ALLOW
    assert decide(x86, 56, 17) == ALLOW
    for flag in (0x10000000, 0x20000000, 0x40000000, 0x02000000, 0x00020000, 0x08000000):
        assert decide(x86, 56, thread | flag) == DENY
    assert decide(x86, 435) == 0x00050000 | errno.ENOSYS


def test_sockets_stay_in_network_namespaces(x86: bytes) -> None:
    for family in (1, 2, 10, 16):
        assert decide(x86, 41, family) == ALLOW
    for family in (0, 17, 38, 40, 44, 99):
        assert decide(x86, 41, family) == DENY


def test_nothing_is_typed_into_terminals(x86: bytes) -> None:
    assert decide(x86, 16, 0, 0x5401) == ALLOW
    assert decide(x86, 16, 0, 0x5412) == DENY
    assert decide(x86, 16, 0, 0x1_0000_5412) == DENY


def test_uncounted_memory_is_denied_without_a_cgroup() -> None:
    counted = seccomp.build(memory_counted=True, machine="x86_64")
    alone = seccomp.build(memory_counted=False, machine="x86_64")
    assert counted is not None and alone is not None
    for number in (29, 319, 447):
        assert (decide(counted, number), decide(alone, number)) == (ALLOW, DENY)


def test_arm_has_its_own_numbers() -> None:
    program = seccomp.build(memory_counted=True, machine="aarch64")
    assert program is not None
    assert decide(program, 117, arch=ARM) == DENY
    assert decide(program, 40, arch=ARM) == DENY
    assert decide(program, 64, arch=ARM) == ALLOW
    assert decide(program, 198, 40, arch=ARM) == DENY
    assert decide(program, 220, 0x10000000, arch=ARM) == DENY
    assert decide(program, 117, arch=X86) == KILL


def test_other_machines_have_no_filter() -> None:
    assert seccomp.build(memory_counted=True, machine="riscv64") is None


def test_the_profile_for_docker_says_the_same() -> None:
    rules = seccomp.profile()["syscalls"]
    plain = next(rule["names"] for rule in rules if not rule["args"] and len(rule["names"]) > 1)
    assert {"ptrace", "mount", "bpf", "keyctl", "unshare", "io_uring_setup"} <= set(plain)
    families = {a["value"] for r in rules if r["names"] == ["socket"] for a in r["args"]}
    assert 40 in families and not families & {1, 2, 10, 16}
    bits = {a["value"] for r in rules if r["names"] == ["clone"] for a in r["args"]}
    assert {0x10000000, 0x40000000} <= bits and 0x100 not in bits
