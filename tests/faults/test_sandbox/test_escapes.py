"""What a program may try, and what holds it. Each runs for real, in each tier."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest
from tests.faults.test_sandbox.conftest import Run

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
    output = (await python(source)).output.strip()
    assert output in ("", "[]", "b''"), output


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
    "root": "setuid(0) if libc.getuid() else -1",
    "clone into a namespace": "syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "signal": "kill({pid}, 0)",
    "time": "syscall(227, 0, 0)",
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_kernel_is_asked_in_vain(python: Run, name: str) -> None:
    if os.uname().machine != "x86_64" and "syscall(" in CALLS[name]:
        pytest.skip("the numbers are those of x86-64")
    call = CALLS[name].format(pid=os.getpid())
    source = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.{call}, ctypes.get_errno())"
    finished = await python(source)
    assert finished.output.split()[0] == "-1", finished


async def test_a_setuid_program_gains_nothing(python: Run) -> None:
    finished = await python(
        "import subprocess; print(subprocess.run(['su', '-c', 'id'], capture_output=True).returncode)"
    )
    assert finished.output.strip() != "0"


async def test_the_environment_is_bare(python: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hidden")
    finished = await python("import os; print(dict(os.environ))")
    assert "hidden" not in finished.output
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
    assert marker not in finished.output
    assert (await other).ok


def test_it_may_be_used_from_another_thread(sandbox: Sandbox) -> None:
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(sandbox.run(Job(argv=("true",)))).ok))
    thread.start()
    thread.join(20)
    assert results == [True]
