"""Hostile programs on the real engines: none escapes, none stalls, nothing is left behind.

A program prints ESCAPED when something forbidden worked. What it may know of the host (a secret
file, a process, a listening port, sockets) comes in its environment, as the worst case.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nemo_evaluator.sandboxes import Backend, ExecResult, Limits, SandboxPool, SandboxSpec, cgroups

LIMITS = Limits(
    timeout=4, memory_mb=128, pids=32, cpus=1.0, disk_mb=16, output_bytes=1 << 16, lifetime=120
)
SLACK = 12.0
"""Seconds beyond the time limit for start, kill and removal on a busy machine."""


@dataclass(frozen=True)
class Hostile:
    """A program, and what must be true of its result besides not having escaped."""

    program: str
    check: Callable[[ExecResult], bool] = field(default=lambda result: True)


def ended(result: ExecResult) -> bool:
    return not result.timed_out


def never_ok(result: ExecResult) -> bool:
    return not result.ok


def timed_out(result: ExecResult) -> bool:
    return result.timed_out and result.exit_code == 124


def said(text: str) -> Callable[[ExecResult], bool]:
    return lambda result: text in result.stdout


PROGRAMS = {
    "fork bomb": Hostile(
        "import os\nwhile True:\n try: os.fork()\n except OSError: pass", timed_out
    ),
    "shell fork bomb": Hostile(
        "import os\nos.execvp('bash', ['bash', '-c', 'f(){ f|f& };f; sleep 60'])"
    ),
    "thread bomb": Hostile(
        "import threading, time\nn = 0\n"
        "try:\n while n < 5000:\n"
        "  threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\n"
        "except RuntimeError: pass\n"
        "print('ESCAPED' if n > 200 else 'bounded', flush=True)\nimport os; os._exit(0)",
        said("bounded"),
    ),
    "memory bomb": Hostile("b = []\nwhile True: b.append(bytearray(1 << 22))", never_ok),
    "memory bomb by forks": Hostile(
        "import os, time\nfor _ in range(16):\n"
        " if os.fork() == 0:\n  b = bytearray(48 << 20); time.sleep(60)\n"
        "time.sleep(60)",
        never_ok,
    ),
    "anonymous mappings": Hostile(
        "import mmap\nm = []\n"
        "while True:\n x = mmap.mmap(-1, 1 << 24); x.write(b'x' * (1 << 24)); m.append(x)",
        never_ok,
    ),
    "shared memory without a file": Hostile(
        "import os\nfds = []\n"
        "while True:\n f = os.memfd_create('x'); os.write(f, b'x' * (1 << 23)); fds.append(f)",
        never_ok,
    ),
    "disk filler": Hostile(
        "import os\ntotal = 0\n"
        "for folder in ('/workspace', '/tmp', '/dev/shm', '/dev', '/', '/run', '/var/tmp', '/etc',"
        " '/dev/mqueue', '/proc', '/sys'):\n"
        " try:\n"
        "  with open(folder + '/big', 'wb', buffering=0) as f:\n"
        "   while True: total += f.write(b'x' * (1 << 20))\n"
        " except OSError: pass\n"
        "print('ESCAPED' if total > 49 << 20 else 'bounded', total)",
    ),
    "one sparse file": Hostile(
        "try: open('/tmp/s', 'wb').truncate(1 << 44); print('ESCAPED')\n"
        "except OSError: print('refused')",
    ),
    "all inodes": Hostile(
        "import os\nn = 0\n"
        "try:\n while True: open(f'/tmp/{n}', 'w').close(); n += 1\n"
        "except OSError: print('ESCAPED' if n > 5000 else 'bounded')",
        said("bounded"),
    ),
    "deep directories": Hostile(
        "import os\nn = 0\n"
        "try:\n while True: os.mkdir('d' * 200); os.chdir('d' * 200); n += 1\n"
        "except OSError: print('bounded', n)",
        said("bounded"),
    ),
    "network call": Hostile(
        "import socket\n"
        "for host in ('127.0.0.1', '172.17.0.1', '8.8.8.8', '169.254.169.254'):\n"
        " try:\n  socket.create_connection((host, int(__import__('os').environ['PORT'])), 1)\n"
        "  print('ESCAPED')\n"
        " except OSError as e: print(e)",
        ended,
    ),
    "name look-up": Hostile(
        "import socket\n"
        "try: print('ESCAPED', socket.getaddrinfo('example.com', 80))\n"
        "except OSError as e: print(e)"
    ),
    "udp and multicast": Hostile(
        "import os, socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for host in ('127.0.0.1', '224.0.0.1', '10.0.0.1'):\n"
        " try: s.sendto(b'out', (host, int(os.environ['PORT'])))\n"
        " except OSError as e: print(e)",
    ),
    "raw and packet sockets": Hostile(
        "import socket\n"
        "for family, kind in ((socket.AF_INET, socket.SOCK_RAW), (socket.AF_PACKET,"
        " socket.SOCK_RAW)):\n"
        " try: socket.socket(family, kind, 1); print('ESCAPED')\n"
        " except OSError as e: print(e)",
    ),
    "socket to the hypervisor": Hostile(
        "import socket\n"
        "try:\n s = socket.socket(socket.AF_VSOCK); print('ESCAPED'); s.settimeout(1)\n"
        " s.connect((2, 22))\n"
        "except OSError as e: print(e)",
    ),
    "sockets of the host": Hostile(
        "import os, socket\n"
        "for path in ('/var/run/docker.sock', '/run/docker.sock', os.environ['SOCK'],"
        " '\\0' + os.environ['ABSTRACT'], '/proc/1/root' + os.environ['SOCK']):\n"
        " try: socket.socket(socket.AF_UNIX).connect(path); print('ESCAPED', path)\n"
        " except OSError as e: print(e)",
    ),
    "files of the host": Hostile(
        "import os\n"
        "for path in (os.environ['SECRET'], '/etc/shadow', '/root/.bashrc', '/home', '/work',"
        " '/proc/1/root' + os.environ['SECRET'], '/proc/self/root' + os.environ['SECRET'],"
        " '/proc/1/cwd/' + os.environ['SECRET'], '/dev/vda', '/dev/sda', '/dev/mem',"
        " '/proc/kcore', '/oldroot' + os.environ['SECRET']):\n"
        " try: print('found', open(path, 'rb').read(100))\n"
        " except OSError: pass\n"
        "try: print('home', os.listdir('/root'))\n"
        "except OSError: pass",
    ),
    "environment of the host": Hostile(
        "import glob, os\n"
        "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/task/*/environ'):\n"
        " try: print(open(path, 'rb').read())\n"
        " except OSError: pass\n"
        "print(os.environ)",
    ),
    "processes of the host": Hostile(
        "import os\npids = [int(p) for p in os.listdir('/proc') if p.isdigit()]\n"
        "names = [open(f'/proc/{p}/comm').read().strip() for p in pids]\n"
        "print('ESCAPED' if len(pids) > 8 or 'pytest' in names else names)",
    ),
    "writing outside": Hostile(
        "import os\n"
        "for path in ('/x', '/usr/x', '/etc/passwd', '/usr/bin/python3', '/bin/sh', '/lib/x',"
        " '/root/x', '/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/sys/x',"
        " '/proc/1/oom_score_adj', '/dev/x', os.environ['SECRET']):\n"
        " try:\n  with open(path, 'ab') as f: f.write(b'x'); f.flush(); print('ESCAPED', path)\n"
        " except OSError: pass",
    ),
    "killing by number": Hostile(
        "import os\nfor pid in [int(os.environ['VICTIM']), os.getppid(), 1]:\n"
        " try: os.kill(pid, 9)\n except OSError as e: print(e)\n"
        "print('still here')",
    ),
    "killing everything": Hostile(
        "import os, signal\nsignal.signal(15, signal.SIG_IGN)\nos.kill(-1, 15)\n"
        "os.kill(-1, 9)\nos.killpg(0, 9)",
        ended,
    ),
    "killing the process group of the parent": Hostile(
        "import os\n"
        "for n in range(1, 400):\n"
        " try: os.killpg(n, 9)\n except OSError: pass\n"
        "print('done')"
    ),
    "ignoring signals": Hostile(
        "import signal, time\n"
        "for n in range(1, 65):\n"
        " try: signal.signal(n, signal.SIG_IGN)\n except (OSError, ValueError): pass\n"
        "time.sleep(60)",
        timed_out,
    ),
    "stopping itself": Hostile("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", never_ok),
    "stopping the parents": Hostile(
        "import os, signal\nfor p in (os.getppid(), 1, -1):\n"
        " try: os.kill(p, signal.SIGSTOP)\n except OSError: pass\n"
        "import time; time.sleep(60)",
        never_ok,
    ),
    "output without end": Hostile(
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        lambda r: timed_out(r) and r.stdout_truncated and len(r.stdout) == 1 << 16,
    ),
    "errors without end": Hostile(
        "import os\nwhile True: os.write(2, b'x' * 65536)",
        lambda r: timed_out(r) and r.stderr_truncated and len(r.stderr) == 1 << 16,
    ),
    "one line without end in both": Hostile(
        "import os\nos.fork()\nwhile True: os.write(1, b'\\xff'); os.write(2, b'\\0')", timed_out
    ),
    "binary output": Hostile(
        "import os\nos.write(1, bytes(range(256)) * 16); os.write(1, b'\\x1b]0;title\\x07')", ended
    ),
    "zombies": Hostile(
        "import os, time\nn = 0\n"
        "try:\n while n < 1000:\n  if os.fork() == 0: os._exit(0)\n  n += 1\n"
        "except OSError: pass\n"
        "print('ESCAPED' if n >= 1000 else 'bounded')",
    ),
    "sleeping past the limit": Hostile("import time\ntime.sleep(600)", timed_out),
    "spinning": Hostile("while True: pass", never_ok),
    "reading from nowhere": Hostile("import os\nr, w = os.pipe()\nos.read(r, 1)", timed_out),
    "a daemon by double fork": Hostile(
        "import os, time\n"
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        "  [os.close(n) for n in range(3)]\n  time.sleep(600)\n os._exit(0)\n"
        "print('left')",
        said("left"),
    ),
    "a daemon that keeps the output": Hostile(
        "import os, time\n"
        "if os.fork() == 0:\n os.setsid(); time.sleep(600)\nprint('left', flush=True)",
        said("left"),
    ),
    "a daemon that forks on": Hostile(
        "import os, sys\n"
        "if os.fork():\n print('left'); sys.exit()\nos.setsid()\n"
        "while True:\n"
        " try:\n  if os.fork(): os._exit(0)\n"
        " except OSError: pass",
        said("left"),
    ),
    "changing the root": Hostile(
        "import os\ntry: os.chroot('/tmp'); print('ESCAPED')\nexcept OSError as e: print(e)",
    ),
    "mounting": Hostile(
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for what, where, kind in ((b'proc', b'/tmp', b'proc'), (b'/dev/vda', b'/tmp', b'ext4'),"
        " (b'tmpfs', b'/tmp', b'tmpfs'), (b'/', b'/tmp', None)):\n"
        " print('ESCAPED' if libc.mount(what, where, kind, 4096 if kind is None else 0, None) == 0"
        " else ctypes.get_errno())\n"
        "print('ESCAPED' if libc.umount2(b'/workspace', 2) == 0 else 'no')",
    ),
    "new namespaces": Hostile(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x02000000):\n"
        " print('ESCAPED' if libc.unshare(flag) == 0 else ctypes.get_errno())\n"
        "for n in (56, 435):\n"
        " buffer = ctypes.create_string_buffer((0x10000000).to_bytes(8, 'little') + b'\\0' * 80)\n"
        " pid = libc.syscall(n, 0x10000000 | 17, 0, 0, 0, 0) if n == 56 else"
        " libc.syscall(n, buffer, 88)\n"
        " if pid == 0: print('ESCAPED', n, flush=True); libc._exit(0)\n",
    ),
    "joining other namespaces": Hostile(
        "import ctypes, glob, os\nlibc = ctypes.CDLL(None)\n"
        "for path in glob.glob('/proc/[0-9]*/ns/*'):\n"
        " try: fd = os.open(path, os.O_RDONLY)\n except OSError: continue\n"
        " if libc.setns(fd, 0) == 0: print('ESCAPED', path)",
    ),
    "tracing": Hostile(
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print('ESCAPED' if libc.ptrace(16, 1, 0, 0) == 0 else ctypes.get_errno())\n"
        "try:\n with open('/proc/1/mem', 'r+b') as f: f.seek(4096); f.read(1); print('ESCAPED')\n"
        "except (OSError, ValueError) as e: print(e)",
    ),
    "kernel keys, bpf, perf, io_uring, userfaultfd": Hostile(
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "b = ctypes.create_string_buffer(256)\n"
        "for n in (250, 321, 298, 425, 323, 175, 246, 169, 304):\n"
        " r = libc.syscall(n, 0, b, 120 if n != 250 else 0, 0, 0)\n"
        " print(n, 'ESCAPED' if r >= 0 else ctypes.get_errno())",
    ),
    "typing into the terminal": Hostile(
        "import fcntl, os\n"
        "for path in ('/dev/tty', '/dev/console', '/dev/pts/0'):\n"
        " try: fcntl.ioctl(os.open(path, os.O_RDWR), 0x5412, b'x'); print('ESCAPED', path)\n"
        " except OSError as e: print(e)",
    ),
    "links to the host": Hostile(
        "import os\n"
        "os.symlink(os.environ['SECRET'], 'l'); os.symlink('/proc/1/root', 'r')\n"
        "os.symlink('l2', 'l2')\n"
        "for p in ('l', 'r' + os.environ['SECRET'], 'l2', '../..' + os.environ['SECRET']):\n"
        " try: print(open(p).read())\n except OSError as e: print(e)\n"
        "try: os.link('/etc/shadow', 'h')\nexcept OSError as e: print(e)",
    ),
    "descriptors that were left open": Hostile(
        "import os\n"
        "for fd in os.listdir('/proc/self/fd'):\n"
        " try: print(fd, os.readlink('/proc/self/fd/' + fd))\n except OSError: pass\n"
        " if int(fd) > 2:\n"
        "  try: os.fchdir(int(fd)); print('ESCAPED', os.listdir('.')[:3]) if os.getcwd() not in"
        " ('/proc', ) and not os.getcwd().startswith('/proc') else None\n"
        "  except OSError: pass",
    ),
    "descriptors of the init": Hostile(
        "import os\n"
        "for fd in range(64):\n"
        " for flags in (os.O_RDWR, os.O_RDONLY):\n"
        "  try: f = os.open(f'/proc/1/fd/{fd}', flags | os.O_NONBLOCK)\n"
        "  except OSError: continue\n"
        "  try: print(os.read(f, 200)); os.write(f, b'{\"exit-code\": 0}')\n"
        "  except OSError: pass\n"
        "raise SystemExit(9)",
        lambda r: r.exit_code == 9,
    ),
    "closing everything": Hostile(
        "import os, time\nos.closerange(0, 4096)\ntime.sleep(0.5)", ended
    ),
    "a huge argument vector": Hostile(
        "import os\n"
        "try: os.execvp('true', ['true'] + ['x' * 100000] * 1000)\n"
        "except OSError as e: print(e)",
        ended,
    ),
    "becoming root": Hostile(
        "import os, subprocess\n"
        "for f in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):\n"
        " try: f(); print('ESCAPED')\n except OSError as e: print(e)\n"
        "for argv in (['su', '-c', 'id'], ['sudo', '-n', 'id'], ['mount', '-a']):\n"
        " try:\n"
        "  r = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)\n"
        "  print('ESCAPED' if 'uid=0' in r.stdout else r.returncode)\n"
        " except OSError as e: print(e)",
    ),
    "a set-user-id program": Hostile(
        "import os, shutil, subprocess\nshutil.copy('/usr/bin/id', '/tmp/id')\n"
        "os.chmod('/tmp/id', 0o6755)\nprint(subprocess.run(['/tmp/id'], capture_output=True,"
        " text=True).stdout)\n"
        "try: os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0)); print('ESCAPED')\n"
        "except OSError as e: print(e)",
    ),
    "raising its own limits": Hostile(
        "import os, resource\n"
        "for what in (resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_NOFILE,"
        " resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):\n"
        " soft, hard = resource.getrlimit(what)\n"
        " if hard == -1: continue\n"
        " try: resource.setrlimit(what, (hard + 1, hard + 1)); print('ESCAPED', what)\n"
        " except (OSError, ValueError): pass\n"
        "try: os.nice(-5); print('ESCAPED')\n"
        "except OSError: pass",
    ),
    "leaving the cgroup": Hostile(
        "import glob, os\n"
        "for path in glob.glob('/sys/fs/cgroup/**/cgroup.procs', recursive=True)[:50]:\n"
        " try:\n  with open(path, 'w') as f: f.write(str(os.getpid())); print('ESCAPED', path)\n"
        " except OSError: pass\n"
        "for path in glob.glob('/sys/fs/cgroup/**/*max', recursive=True)[:50]:\n"
        " try:\n  with open(path, 'w') as f: f.write('max'); print('ESCAPED', path)\n"
        " except OSError: pass",
    ),
    "message queues and semaphores": Hostile(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "ids = [libc.shmget(0, 1 << 26, 0o1600) for _ in range(64)]\n"
        "for i in ids:\n"
        " if i < 0: continue\n"
        " libc.shmat.restype = ctypes.c_void_p\n p = libc.shmat(i, None, 0)\n"
        " if p not in (None, 2**64 - 1): ctypes.memset(p, 1, 1 << 26); libc.shmdt(p)\n"
        "print('ESCAPED' if all(i >= 0 for i in ids) else 'bounded')",
    ),
    "a core dump": Hostile(
        "import os\nx = bytearray(32 << 20)\nos.abort()", lambda r: r.exit_code == 134
    ),
    "a crash in C": Hostile(
        "import ctypes\nctypes.string_at(0)", lambda r: r.killed_by == "signal 11"
    ),
    "replacing the interpreter": Hostile(
        "import os, site, sys\n"
        "for folder in {*sys.path, os.path.dirname(os.__file__), '/usr/local/bin'}:\n"
        " if not folder or folder.startswith(('/workspace', '/tmp')): continue\n"
        " try: open(folder + '/sitecustomize.py', 'w'); print('ESCAPED', folder)\n"
        " except OSError: pass",
    ),
    "time of the machine": Hostile(
        "import time\n"
        "try: time.clock_settime(time.CLOCK_REALTIME, 0); print('ESCAPED')\n"
        "except OSError as e: print(e)",
    ),
}


@dataclass(frozen=True)
class Host:
    """What of the host a program might reach for."""

    env: dict[str, str]
    secret: Path
    victim: subprocess.Popen[bytes]
    connections: list[object]

    def unharmed(self) -> bool:
        return (
            self.secret.read_text() == "canary-of-the-host"
            and self.victim.poll() is None
            and not self.connections
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    secret = tmp_path_factory.mktemp("host") / "secret"
    secret.write_text("canary-of-the-host")
    secret.chmod(0o666)
    for parent in secret.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o777)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    tcp = socket.create_server(("127.0.0.1", 0))
    named, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    path, name = f"/tmp/nel-{os.getpid()}.sock", f"nel-{os.getpid()}"
    named.bind(path)
    os.chmod(path, 0o777)
    abstract.bind(f"\0{name}")
    connections: list[object] = []

    def listen(server: socket.socket) -> None:
        try:
            while True:
                connections.append(server.accept())
        except OSError:
            return

    for server in (tcp, named, abstract):
        server.listen()
        threading.Thread(target=listen, args=(server,), daemon=True).start()
    env = {"SECRET": str(secret), "VICTIM": str(victim.pid), "SOCK": path, "ABSTRACT": name}
    env["PORT"] = str(tcp.getsockname()[1])
    os.environ["HOST_CANARY"] = "canary-of-the-environment"
    yield Host(env, secret, victim, connections)
    del os.environ["HOST_CANARY"]
    victim.kill()
    victim.wait()
    for server in (tcp, named, abstract):
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for connection in connections:
        connection[0].close()  # type: ignore[index]
    os.unlink(path)


@pytest.fixture(params=["local", "local with rlimits only", "docker"])
async def hostile_pool(
    request: pytest.FixtureRequest,
    backend_of: Callable[..., Backend],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[SandboxPool]:
    engine = str(request.param)
    if "rlimits" in engine:
        monkeypatch.setattr(cgroups, "find", lambda: None)
    async with SandboxPool(backend_of(engine.split()[0]), limit=1) as opened:
        yield opened


def _marked(mark: str) -> list[str]:
    """Processes, zombies aside, with the mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_hostile_program_does_no_harm(
    hostile_pool: SandboxPool, host: Host, name: str
) -> None:
    hostile = PROGRAMS[name]
    mark = f"MARK_{os.getpid()}_{time.monotonic_ns()}"
    spec = SandboxSpec(
        limits=LIMITS, env={**host.env, mark: "1"}, files={"p.py": hostile.program.encode()}
    )
    begin = time.monotonic()
    async with hostile_pool.acquire(spec) as box:
        result = await box.exec(["python3", "p.py"])
        took = time.monotonic() - begin
    told = result.stdout + result.stderr
    assert "ESCAPED" not in told, told[:3000]
    assert "canary" not in told, told[:3000]
    assert not {"SyntaxError", "NameError", "IndentationError"} & set(told.split(":")), told
    assert hostile.check(result), result
    assert took < LIMITS.timeout + SLACK
    assert host.unharmed()
    assert await asyncio.to_thread(_marked, mark) == []


async def test_an_agent_goes_on_after_a_command_that_did_not_end(
    hostile_pool: SandboxPool, host: Host
) -> None:
    """Files stay; what the stuck command had started is gone."""
    async with hostile_pool.acquire(SandboxSpec(limits=LIMITS)) as box:
        stuck = await box.exec("echo 1 > f; (setsid sleep 600 &); sleep 600", timeout=1)
        assert stuck.timed_out
        after = await box.exec("cat f; pgrep -u 65534 sleep || echo none")
        assert after.stdout == "1\nnone\n"


async def test_programs_that_fail_leave_room_for_the_next(
    hostile_pool: SandboxPool, host: Host
) -> None:
    for program in ("import os\nwhile True: os.fork()", "x = bytearray(1 << 40)", "1/0"):
        async with hostile_pool.acquire(SandboxSpec(limits=LIMITS)) as box:
            await box.exec(["python3", "-c", program], timeout=2)
    async with hostile_pool.acquire(SandboxSpec(limits=LIMITS)) as box:
        assert (await box.exec("echo fine")).stdout == "fine\n"
