"""What a program may try, and what holds it. Each runs for real, in each tier."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.test_sandbox.conftest import Run

import smidgen
from smidgen.errors import InvalidRequest
from smidgen.tools.sandbox import MIB, Job, Limits
from smidgen.tools.sandbox.box import Sandbox

TRY = """
import sys
try:
    result = ({act})
except (OSError, ValueError) as error:
    print("held:", type(error).__name__)
else:
    print("done:", result)
"""


def attempt(act: str) -> str:
    return TRY.format(act=act)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the workspace."""
    file = tmp_path / "secret.txt"
    file.write_text("outside")
    return file


async def test_the_workspace_can_be_read_and_nothing_beside_it(python: Run, secret: Path) -> None:
    assert "done: inside" in (await python(attempt("open('notes.txt').read()"))).output
    for path in (str(secret), "../secret.txt", f"/proc/self/root{secret}", f"/proc/self/cwd/../{secret.name}"):
        finished = await python(attempt(f"open({path!r}).read()"))
        assert "held:" in finished.output, path


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/var/log", "/home", "/proc/1/environ"]
)
async def test_the_system_s_own_files_are_out_of_reach(python: Run, path: str) -> None:
    source = f"""
import os
if os.path.isdir({path!r}):
    print(os.listdir({path!r}))
else:
    print(open({path!r}, "rb").read())
"""
    finished = await python("print('on', flush=True)" + source)
    assert finished.output.removeprefix("on\n").strip() in ("", "[]", "b''"), finished
    assert finished.output.startswith("on\n")


async def test_the_home_folder_is_masked(python: Run) -> None:
    home = Path.home()
    planted = home / f".smidgen-test-{os.getpid()}"
    planted.write_text("a key")
    try:
        finished = await python(attempt(f"open({str(planted)!r}).read()"))
        listed = await python(attempt(f"__import__('os').listdir({str(home)!r})"))
    finally:
        planted.unlink()
    assert "held:" in finished.output
    assert planted.name not in listed.output
    assert str(home) != (await python("import os; print(os.path.expanduser('~'))")).output.strip()


async def test_a_link_that_leads_out_leads_nowhere(python: Run, workspace: Path, secret: Path) -> None:
    (workspace / "link").symlink_to(secret)
    (workspace / "up").symlink_to("..")
    for path in ("link", f"up/{secret.name}"):
        assert "held:" in (await python(attempt(f"open({path!r}).read()"))).output
    made = f"__import__('os').symlink({str(secret)!r}, 'own') or open('own').read()"
    assert "held:" in (await python(attempt(made), writable=True)).output
    hard = f"__import__('os').link({str(secret)!r}, 'hard') or open('hard').read()"
    assert "held:" in (await python(attempt(hard), writable=True)).output


async def test_files_change_only_where_they_may(python: Run, workspace: Path, secret: Path) -> None:
    assert "held:" in (await python(attempt("open('new.txt', 'w').write('x')"))).output
    assert "held:" in (await python(attempt("__import__('os').remove('notes.txt')"))).output
    assert "done:" in (await python(attempt("open('new.txt', 'w').write('x')"), writable=True)).output
    assert (workspace / "new.txt").read_text() == "x"
    acts = (
        f"open({str(secret)!r}, 'a').write('x')",
        f"__import__('os').truncate({str(secret)!r}, 0)",
        f"__import__('os').remove({str(secret)!r})",
        f"__import__('os').chmod({str(secret)!r}, 0o777)",
        f"__import__('os').utime({str(secret)!r}, (1, 1))",
        f"__import__('os').rename('notes.txt', {str(secret)!r})",
        f"open({str(secret.parent / 'planted.txt')!r}, 'w').write('x')",
        "open('/usr/planted', 'w').write('x')",
    )
    before = secret.stat()
    for act in acts:
        assert "held:" in (await python(attempt(act), writable=True)).output, act
    after = secret.stat()
    assert (secret.read_text(), after.st_mode, after.st_mtime) == ("outside", before.st_mode, before.st_mtime)
    assert not (secret.parent / "planted.txt").exists() and not Path("/usr/planted").exists()


async def test_scratch_files_are_gone_afterwards(python: Run) -> None:
    source = "import os, tempfile; f = tempfile.mkstemp()[1]; open(f, 'w').write('x'); print(f)"
    first = await python(source)
    assert first.ok
    assert not Path(first.output.strip()).exists()


async def test_no_network_of_any_kind(python: Run) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as stream:
        datagrams.bind(("127.0.0.1", 0))
        stream.bind(("127.0.0.1", 0))
        stream.listen()
        stream.settimeout(0.2)
        datagrams.settimeout(0.2)
        udp, tcp = datagrams.getsockname()[1], stream.getsockname()[1]
        source = f"""
import socket
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {tcp})),
    (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", {udp})),
    (socket.AF_INET6, socket.SOCK_DGRAM, ("::1", {udp})),
    (socket.AF_INET6, socket.SOCK_DGRAM, ("::ffff:127.0.0.1", {udp})),
):
    try:
        with socket.socket(family, kind) as end:
            end.settimeout(1)
            end.connect(address)
            end.send(b"x")
    except OSError:
        pass
"""
        assert (await python(source)).ok
        for end in (lambda: heard.append(datagrams.recv(9)), stream.accept):
            with pytest.raises(TimeoutError):
                end()
    assert not heard


async def test_no_socket_in_the_file_system_or_beside_it(python: Run, workspace: Path) -> None:
    listening = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    names = [f"\0smidgen-{os.getpid()}", f"/tmp/smidgen-{os.getpid()}.sock"]
    try:
        for end, name in zip(listening, names, strict=True):
            end.bind(name)
            end.listen()
            assert "held:" in (await python(attempt(f"__import__('socket').socket(1).connect({name!r})"))).output
    finally:
        for end in listening:
            end.close()
        Path(names[1]).unlink(missing_ok=True)


CALLS = {
    "ptrace": "ptrace(16, {pid}, 0, 0)",
    "mount": "mount(b'none', b'/mnt', b'tmpfs', 0, 0)",
    "user namespace": "unshare(0x10000000)",
    "mount namespace": "unshare(0x20000)",
    "keyring": "syscall(250, 0, -3, 1)",
    "io_uring": "syscall(425, 8, 0)",
    "bpf": "syscall(321, 0, 0, 0)",
    "process_vm_readv": "syscall(310, {pid}, 0, 0, 0, 0, 0)",
    "chroot": "chroot(b'/')",
    "clone into a namespace": "syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "time": "syscall(227, 0, 0)",
    "memory without a name": "syscall(319, b'x', 0)",
    "sockets of the machine below": "socket(40, 1, 0)",
    "sockets in the file system": "socket(1, 1, 0)",
    "a pair of datagram sockets": "socketpair(1, 2, 0, (ctypes.c_int * 2)())",
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_kernel_is_asked_in_vain(python: Run, name: str) -> None:
    if os.uname().machine != "x86_64" and "syscall(" in CALLS[name]:
        pytest.skip("the numbers are those of x86-64")
    call = CALLS[name].format(pid=os.getpid())
    source = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.{call}, ctypes.get_errno())"
    assert (await python(source)).output.split() == ["-1", "1"]


async def test_a_pair_of_stream_sockets_is_fine(python: Run) -> None:
    source = "import socket; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))"
    assert (await python(source)).output == "b'x'\n"


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of the same user."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


async def test_no_other_process_is_touched(python: Run, victim: subprocess.Popen[bytes]) -> None:
    acts = (
        f"__import__('os').kill({victim.pid}, 9)",
        f"__import__('resource').prlimit({victim.pid}, 0, (1, 1))",
        f"__import__('os').sched_setaffinity({victim.pid}, [0])",
        f"__import__('os').setpriority(0, {victim.pid}, 19)",
    )
    for act in acts:
        assert "held:" in (await python(attempt(act))).output, act
    await python(attempt("__import__('os').setpriority(2, 0, 19)"))
    assert victim.poll() is None
    assert os.getpriority(os.PRIO_PROCESS, victim.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    assert "done:" in (await python(attempt("__import__('resource').setrlimit(0, (1, 1))"))).output


async def test_what_may_only_be_read_keeps_its_mode_and_times(python: Run, workspace: Path) -> None:
    file = workspace / "notes.txt"
    before = file.stat()
    opened = "(f := open('notes.txt')).fileno()"
    for act in (
        f"__import__('os').fchmod({opened}, 0o4777)",
        f"__import__('os').utime({opened}, (1, 1))",
        f"__import__('os').setxattr({opened}, 'user.x', b'1')",
        "__import__('os').chmod('notes.txt', 0o777)",
    ):
        assert "held:" in (await python(attempt(act))).output, act
    after = file.stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


async def test_sockets_in_the_workspace_are_deaf(python: Run, workspace: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent, contextlib.chdir(workspace):
        agent.bind("agent.sock")
        agent.listen()
        assert "held:" in (await python(attempt("__import__('socket').socket(1).connect('agent.sock')"))).output


async def test_shared_memory_by_number_reaches_nobody(python: Run) -> None:
    source = "import ctypes; print(ctypes.CDLL(None).shmget(0x5EED, 4096, 0o1666))"
    assert (await python(source)).ok
    assert ctypes.CDLL(None).shmget(0x5EED, 4096, 0o666) == -1


async def test_folders_outside_can_t_be_watched(python: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    call = f"inotify_add_watch(libc.inotify_init(), {os.fsencode(tmp_path)!r}, 0x100)"
    source = f"import ctypes; libc = ctypes.CDLL(None); print(libc.{call})"
    assert (await python(source)).output == "-1\n", sandbox.tier


async def test_its_variables_are_its_own_and_not_the_sandbox_s(sandbox: Sandbox) -> None:
    variables = {"LD_PRELOAD": "/no/such/library.so", "GIVEN": "ünï = 1"}
    finished = await sandbox.run(Job(argv=("sh", "-c", 'echo "$GIVEN"'), variables=variables))
    assert finished.output == "ünï = 1\n"
    assert finished.errors.count("/no/such/library.so") == 1


@pytest.mark.parametrize(
    "job",
    [
        Job(argv=()),
        Job(argv=("",)),
        Job(argv=("true", "a\0b")),
        Job(argv=("true", "\ud800")),
        Job(argv=("true", "x" * 200_000)),
        Job(argv=("true", *["x" * 100_000] * 12)),
        Job(argv=("true",), variables={"X": "1\0--bind\0/\0/mnt"}),
        Job(argv=("true",), variables={"A=B": "1"}),
        Job(argv=("true",), variables={"": "1"}),
        Job(argv=("true",), limits=Limits(open_files=4)),
        Job(argv=("true",), limits=Limits(memory=MIB)),
        Job(argv=("true",), workspace=Path("/")),
        Job(argv=("true",), workspace=Path.home()),
        Job(argv=("true",), workspace=Path(sys.prefix), writable=True),
        Job(argv=("true",), workspace=Path(smidgen.__file__).parents[1], writable=True),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_starts(sandbox: Sandbox, job: Job) -> None:
    with pytest.raises(InvalidRequest):
        await sandbox.run(job)


async def test_a_setuid_program_gains_nothing(python: Run) -> None:
    source = "import subprocess; print('status', subprocess.run(['su', '-c', 'id'], capture_output=True).returncode)"
    words = (await python(source)).output.split()
    assert words[0] == "status" and words[1] != "0"


async def test_the_environment_is_bare(python: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hidden")
    finished = await python("import os; print(dict(os.environ))")
    assert finished.output.startswith("{") and "hidden" not in finished.output
    assert "SOME_TOKEN" not in finished.output


async def test_its_arguments_are_no_shell_s(sandbox: Sandbox, workspace: Path) -> None:
    words = ("$(id)", "; id", "`id`", "--args", "x\ny", "ünï")
    finished = await sandbox.run(
        Job(argv=("python3", "-c", "import sys; print(sys.argv[1:])", *words), workspace=workspace)
    )
    assert finished.output.strip() == str(list(words))


async def test_a_workspace_that_is_not_there_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await sandbox.run(Job(argv=("true",), workspace=tmp_path / "nowhere"))


async def test_a_program_that_is_not_there_is_a_job_that_failed(sandbox: Sandbox) -> None:
    finished = await sandbox.run(Job(argv=("no-such-program",)))
    assert not finished.ok
    assert "no-such-program" in finished.errors


async def test_memory_is_bounded(python: Run) -> None:
    small = Limits(wall_s=10, memory=256 * MIB)
    finished = await python("x = bytearray(2 * 1024**3)", limits=small)
    assert not finished.ok
    assert "MemoryError" in finished.errors
    # Each within its own limit, all of them together not.
    source = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        block = bytearray(100 * 1024**2)
        for at in range(0, len(block), 4096):
            block[at] = 1
        time.sleep(30)
        os._exit(0)
time.sleep(30)
"""
    finished = await python(source, limits=small)
    assert finished.stopped == "memory"


async def test_files_are_bounded(python: Run) -> None:
    source = "f = open('big', 'wb')\nfor _ in range(100): f.write(bytes(10**6))\nprint('all')"
    finished = await python(source, limits=Limits(wall_s=10, file_bytes=4 * MIB), writable=True)
    assert "all" not in finished.output and not finished.ok


async def test_two_jobs_at_once_don_t_see_each_other(python: Run, marker: str) -> None:
    other = asyncio.ensure_future(python("import time; time.sleep(2)", marker))
    await asyncio.sleep(0.5)
    source = """
import os
seen = []
for pid in os.listdir("/proc") if os.path.isdir("/proc") else []:
    try:
        seen.append(open(f"/proc/{pid}/cmdline", "rb").read())
    except OSError:
        pass
print(seen)
"""
    source = source.replace('os.path.isdir("/proc")', 'os.access("/proc", os.R_OK)')
    finished = await python(f"try:\n    exec({source!r})\nexcept OSError:\n    print('held')")
    assert finished.output and marker not in finished.output
    assert (await other).ok


def test_it_may_be_used_from_another_thread(sandbox: Sandbox) -> None:
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(sandbox.run(Job(argv=("true",)))).ok))
    thread.start()
    thread.join(20)
    assert results == [True]
