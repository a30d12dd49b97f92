"""Code that works, code that fails, and code that does what it can against the interpreter that executes it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.faults.test_programs.conftest import BRIEF, Start, alive, living
from tests.faults.test_sandbox.conftest import left, running

from smidgen.errors import InvalidRequest, SandboxUnavailable
from smidgen.tools.programs import Executed
from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.sandbox import MIB, Job, Limits
from smidgen.tools.sandbox.box import Sandbox

FORGE = """
import json, os, stat
def frame(data):
    return len(data).to_bytes(4, "big") + data
def forge(data):
    for fd in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, data)
        except OSError:
            pass
"""
"""Writes to whatever pipe there is, the one for replies among them."""


async def test_what_code_comes_to_and_what_it_writes(python: Interpreter) -> None:
    async def value(code: str) -> str:
        executed = await python.execute(code)
        assert executed.ok and not executed.gone, executed
        return executed.value

    assert await value("x = 6\nx * 7") == "42"
    assert await value("x") == "6"
    assert await value("_ + 1") == "7"
    assert await value("None") == await value("y = 1") == await value("") == await value("# nothing") == ""
    assert await value("def f(a: int) -> str: ...\nf.__annotations__['a'], __name__") == "(<class 'int'>, '__main__')"
    assert await value("open('notes.txt').read()") == "'inside'"
    assert await value("'é😀\\ud800'") == "'é😀\\ud800'"
    assert await value("type('T', (), {'__repr__': lambda self: '\\ud800'})()") == "\\ud800"

    source = """
import os, subprocess, sys
print("one")
print("two", file=sys.stderr)
print("three é😀\\ud800\\0")
subprocess.run(["echo", "four"])
os.write(1, b"fi\\xffve\\n")
sys.stdout.write("six")
"""
    executed = await python.execute(source)
    assert executed.ok
    assert executed.output == "one\ntwo\nthree é😀\\ud800\0\nfour\nfi\ufffdve\nsix"
    assert (await python.execute("import sys\nrepr(sys.stdin.read())")).value == "\"''\""


async def test_what_goes_wrong_is_told_with_its_lines(python: Interpreter) -> None:
    async def error(code: str) -> str:
        executed = await python.execute(code)
        assert not executed.ok and not executed.gone and not executed.stopped, executed
        return executed.error

    assert await error("a = 1\ndef f():\n    return a / 0\nprint('on')\nf()") == (
        "line 5: f()\nline 3: return a / 0\nZeroDivisionError: division by zero"
    )
    assert (await python.execute("a")).value == "1"
    assert await error("x = (1,\ny = 2") == "line 1: x = (1,\nSyntaxError: '(' was never closed"
    assert "invalid syntax" in await error("ls -l notes")
    assert "null bytes" in await error("a = 1\0")
    assert await error("input()") == "line 1: input()\nEOFError: EOF when reading a line"
    assert (await error("def f(): f()\nf()")).endswith("RecursionError: maximum recursion depth exceeded")
    assert (await error("raise SystemExit('bye')"), await error("exit(3)")) == ("SystemExit: bye", "SystemExit: 3")
    assert (await python.execute("import sys; sys.exit()")).ok
    assert await error("raise ValueError('\\ud800')") == "line 1: raise ValueError('\\ud800')\nValueError: \\ud800"
    assert (await error("raise BaseException")).endswith("BaseException")
    assert (await error(f"x = {'1,' * 5000} 1 + 'a'")).endswith(
        "TypeError: unsupported operand type(s) for +: 'int' and 'str'"
    )
    assert len(await error(f"raise ValueError('x' * {10**6})")) <= 4000
    said = "class E(Exception):\n    def __str__(self): {}\nraise E"
    assert (await error(said.format("raise OSError"))).endswith("E: (it can't be said)")
    assert (await error("class E(SystemExit):\n    def __str__(self): 1 / 0\nraise E(1)")).startswith("SystemExit: (it")
    assert (await error("10 ** 10000")).startswith("ValueError: Exceeds the limit")
    endless = await python.execute(said.format("\n        while True: pass"), seconds=0.2)
    assert (endless.stopped, endless.gone) == ("time", False)
    assert (await python.execute("a")).value == "1"


async def test_much_is_cut_and_that_is_told(start: Start) -> None:
    python = await start(Limits(wall_s=10, file_bytes=4 * MIB, output_bytes=1000))
    executed = await python.execute("for n in range(100_000): print(n)")
    assert executed.ok and executed.output.startswith("0\n1\n") and executed.output.endswith("\n99999\n")
    assert executed.cut == 588_890 - 1000 and f"[... {executed.cut} bytes left out ...]" in executed.output
    executed = await python.execute("'x' * 10**7")
    assert len(executed.value) < 21_000 and executed.value.endswith("… (10000002 characters)")
    executed = await python.execute("while True: print('x' * 10**5)")
    assert "OSError" in executed.error and executed.cut > 3 * MIB and len(executed.output) < 1100
    filled = "import tempfile\nf = tempfile.TemporaryFile()\nwhile True: f.write(b'x' * 10**6)"
    assert "OSError" in (await python.execute(filled)).error
    assert (await python.execute("print('still here')")).output == "still here\n"
    await python.end()

    python = await start(Limits(wall_s=10, output_bytes=MIB))
    executed = await python.execute("import os\nfor _ in range(32): os.write(1, b'\\xff' * 2**15)")
    assert executed.ok and executed.output == "\ufffd" * MIB
    with pytest.raises(InvalidRequest, match="bytes"):
        await python.execute("#" * (MIB + 1))
    with pytest.raises(InvalidRequest, match="no text"):
        await python.execute("'\ud800'")
    assert (await python.execute(f"x = '{'y' * 1_000_000}'\nlen(x)")).value == "1000000"


async def test_limits_and_interruption(start: Start) -> None:
    python = await start()
    for endless in ("while True: pass", "import time; time.sleep(60)", "import re; re.match('(a+)+$', 'a' * 60 + 'b')"):
        executed = await python.execute(f"kept = {len(endless)}\nprint('on')\n{endless}", seconds=0.15)
        assert (executed.stopped, executed.gone, executed.output) == ("time", False, "on\n"), endless
        assert (await python.execute("kept")).value == str(len(endless))
    executed = await python.execute("x = bytearray(2 * 2**30)")
    assert executed.error.endswith("MemoryError") and not executed.gone
    stubborn = "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass"
    executed = await python.execute(stubborn, seconds=0.1)
    assert (executed.stopped, executed.gone) == ("time", True) and executed.seconds < 3
    assert not alive(python)
    assert (await python.execute("1")) == Executed(stopped="exit", gone=True, tier=executed.tier)

    many = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        block = bytearray(100 * 2**20)
        for at in range(0, len(block), 4096): block[at] = 1
        time.sleep(60)
time.sleep(60)
"""
    python = await start(Limits(wall_s=10, memory=256 * MIB))
    assert (await python.execute(many)).stopped == "memory"
    python = await start(Limits(wall_s=10, cpu_s=1))
    executed = await python.execute("while True: pass")
    assert (executed.stopped, executed.gone) == ("cpu", True)


async def test_an_interpreter_that_is_ended_from_within_is_told(start: Start) -> None:
    for act in ("os._exit(0)", "os.kill(os.getpid(), 9)", "os.abort()", "import ctypes; ctypes.string_at(1)"):
        python = await start()
        executed = await python.execute(f"import os\nprint('on')\n{act}")
        assert (executed.stopped, executed.gone, python.gone) == ("exit", True, True), act
    python = await start()
    later = "import os, threading\nthreading.Timer(0.1, os._exit, (0,)).start()"
    assert (await python.execute(later)).ok
    await asyncio.sleep(0.4)
    assert python.gone
    await python.clear()


BOMB = """
import os
{before}
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


async def test_bombs_are_held_whenever_they_go_off(start: Start) -> None:
    python = await start()
    executed = await python.execute(BOMB.format(before=""), seconds=0.4)
    assert executed.stopped in ("processes", "time")
    await python.clear()
    assert len(alive(python)) == (0 if python.gone else len(python._own))
    # While it is interrupted, and after its time.
    python = await start()
    at_last = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: pass"
    executed = await python.execute(BOMB.format(before=at_last), seconds=0.3)
    assert executed.gone and executed.stopped in ("processes", "time") and not alive(python)
    # After the code has ended: from a thread, and from a child that replaces itself again and again.
    python = await start()
    body = BOMB.format(before="").replace("\n", "\n    ")
    timed = f"import threading\ndef bomb():\n    {body}\nthreading.Timer(0.2, bomb).start()\nkept = 1"
    assert (await python.execute(timed)).ok
    await python.clear()
    await asyncio.sleep(0.4)
    assert len(alive(python)) == len(python._own)
    assert (await python.execute("import time; time.sleep(60)", seconds=0.4)).stopped in ("processes", "time")
    await python.clear()
    assert len(alive(python)) == (0 if python.gone else len(python._own))
    python = await start()
    again = "import os\nif os.fork() == 0:\n    while True:\n        if os.fork() != 0: os._exit(0)\nkept = 1"
    assert (await python.execute(again)).ok
    await python.clear()
    assert len(alive(python)) == len(python._own)
    assert (await python.execute("kept")).value == "1"


async def test_what_is_left_behind_is_gone_and_what_was_defined_is_not(start: Start, marker: str) -> None:
    python = await start()
    leave = f"""
import os, subprocess, sys, threading, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {marker!r}])
if os.fork() == 0:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        os.execlp("python3", "python3", "-c", "import time; time.sleep(600)", {marker!r})
    time.sleep(600)
count = 0
def work():
    global count
    while True:
        count += 1
        time.sleep(0.001)
threading.Thread(target=work, daemon=True).start()
kept = [1]
print("left")
"""
    assert (await python.execute(leave)).output == "left\n"
    for _ in range(100):
        if len(running(marker)) < 2:
            await asyncio.sleep(0.02)
    await python.clear()
    assert not running(marker)
    assert len(alive(python)) == len(python._own)
    assert any(process.status() == psutil.STATUS_STOPPED for process in alive(python))
    first = int((await python.execute("count")).value)
    assert int((await python.execute("time.sleep(0.1); count")).value) > first  # threads go on while there is code
    # More than may be alive at once, one after the other.
    for _ in range(BRIEF.processes + 8):
        executed = await python.execute("pid = os.fork()\nif pid == 0: time.sleep(600)")
        assert executed.ok, executed
        await python.clear()
    assert (await python.execute("kept")).value == "[1]"
    # How they ended is known to what holds them.
    assert (await python.execute("a, b = [subprocess.Popen(['sh', '-c', w]) for w in ('exit 7', 'exec sleep 600')]")).ok
    await asyncio.sleep(0.1)
    await python.clear()
    assert (await python.execute("1")).ok
    assert (await python.execute("a.wait(), b.wait()")).value == "(7, -9)"
    await python.execute(f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {marker!r}])")
    await python.end()
    assert not left(marker)


async def test_code_that_forks_answers_once(python: Interpreter) -> None:
    executed = await python.execute(
        "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('x', pid > 0)\npid > 0"
    )
    assert executed.value == "True" and executed.output in ("x False\nx True\n", "x True\n")
    assert (await python.execute("'next'")).value == "'next'"
    pool = (
        "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1]))"
    )
    if executed.tier == "bubblewrap":  # it finds no place for its locks in the other
        assert (await python.execute(pool)).output == "[1]\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("b'x' * 50", "garbled"),
        ("b'\\xff' * 8", "garbled"),
        ("(2**30).to_bytes(4, 'big') + b'x' * 2000", "garbled"),
        ("frame(b'[' * 10**5)", "garbled"),
        ("frame(b'{}'[:1] + b'\"a\": ' * 9)", "garbled"),
        ("frame(b'\\xff\\xfe')", "garbled"),
        ("frame(b'[1]')", "garbled"),
        ("frame(b'{\"cut\": 1e999}')", "garbled"),
        ("frame(b'{\"cut\": -5}')", "garbled"),
        ("frame(b'{\"output\": [[]]}')", "garbled"),
        ('frame(b\'{"output": "\\\\ud800"}\')', "garbled"),
        ('frame(b\'{"output": "forged"}\')', ""),
        ("frame(b'{}')", ""),
    ],
)
async def test_forged_replies_harm_nobody(strongest: Sandbox, data: str, told: str) -> None:
    python = await Interpreter.start(strongest, limits=BRIEF)
    executed = await python.execute(f"{FORGE}\nforge({data})\nimport time\ntime.sleep(60)", seconds=1.5)
    assert executed.stopped == told, executed
    assert executed.gone is python.gone is bool(told)
    if not told:
        assert executed.output in ("forged", "")
        await python.clear()
        executed = await python.execute("1", seconds=0.2)
        assert executed.stopped == "time"
    await python.end()
    assert not alive(python)


async def test_endless_replies_fill_nobody_s_memory(start: Start) -> None:
    python = await start(Limits(wall_s=20))
    await python.execute("1")
    gc.collect()
    tracemalloc.start()
    try:
        gigabyte = "(2**20 - 1).to_bytes(4, 'big')"
        executed = await python.execute(f"{FORGE}\nforge({gigabyte})\nfor _ in range(500): forge(b' ' * 2**20)\n")
        assert executed.stopped == "garbled"
        python = await start()
        endless = (
            "import threading\ndef go():\n    while True: forge(frame(b'{}'))\nthreading.Thread(target=go).start()"
        )
        for _ in range(3):
            executed = await python.execute(f"{FORGE}\n{endless}")
            await python.clear()
            await asyncio.sleep(0.1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    assert executed.tier


@pytest.mark.parametrize(
    "act",
    [
        "import os; os.closerange(0, 256)",
        "import os; os.close(1); os.close(2)",
        "import sys; sys.stdout = None; del sys.stderr",
        "import sys; sys.stdout.close()",
        "import sys; sys.stdout = sys.stderr = type('S', (), {'flush': lambda self: 1 / 0, '__hash__': None})()",
        "import json; json.dumps = None",
        "import os; os.dup2 = os.getpid = None",
        "import builtins; builtins.__dict__.clear()",
        "import sys; sys.setrecursionlimit(60)",
        "import sys; sys.modules.clear()",
        "import signal; signal.signal = None",
        "import os, signal; [signal.signal(n, signal.SIG_IGN) for n in (2, 15, 24)]",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",
        "import atexit, os; atexit.register(os.abort)",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
    ],
)
async def test_code_that_breaks_its_interpreter_is_told_or_harmless(strongest: Sandbox, act: str) -> None:
    python = await Interpreter.start(strongest, limits=BRIEF)
    first = await python.execute(f"print('on')\n{act}")
    if not first.gone:
        await python.clear()
    second = await python.execute("print('and on')")
    for executed in (first, second):
        assert executed.seconds < 1.5
        assert not executed.gone or executed.stopped in ("exit", "garbled"), executed
    if first.gone:
        assert second.gone
    elif second.ok:
        assert "and on" in second.output
    await python.end()
    assert not alive(python)


async def test_what_code_wrote_before_it_replaced_its_output_is_kept(python: Interpreter) -> None:
    source = "import io, sys\nprint('before', end='')\nold, sys.stdout = sys.stdout, io.StringIO()\nprint('within')"
    assert (await python.execute(source)).output == "before"
    assert (await python.execute("print('next')")).output == "next\n"


@pytest.mark.parametrize("after_ms", [0, 5, 15, 30, 60])
async def test_it_may_be_cancelled_at_any_moment(sandbox: Sandbox, workspace: Path, marker: str, after_ms: int) -> None:
    made: list[Interpreter] = []
    before = _descriptors()
    code = f"import os, subprocess, time\nsubprocess.run(['python3', '-c', 'import time; time.sleep(60)', {marker!r}])"

    async def all_of_it() -> None:
        made.append(await Interpreter.start(sandbox, workspace))
        await made[0].execute("import time")
        await made[0].clear()
        await made[0].execute(code)

    work = asyncio.ensure_future(all_of_it())
    await asyncio.sleep(after_ms / 1000)
    children = psutil.Process().children(recursive=True)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not living(process.pid for process in children)
    assert all(interpreter.gone and not alive(interpreter) for interpreter in made)
    gc.collect()
    assert _descriptors() <= before + 1


async def test_a_job_that_comes_up_just_when_it_is_cancelled_is_ended(sandbox: Sandbox, marker: str) -> None:
    """Between the moment when it is there and that when who waits for it goes on."""
    asked = asyncio.current_task()
    assert asked is not None
    real = sandbox._open

    async def opened(*words: Any) -> Any:
        running = await real(*words)
        asyncio.get_running_loop().call_soon(asked.cancel)
        return running

    sandbox._open = opened
    argv = ("python3", "-c", "import time; time.sleep(600)", marker)
    with pytest.raises(asyncio.CancelledError):
        await sandbox.open(Job(argv=argv), lambda _: None)
    asked.uncancel()
    assert not left(marker)


async def test_a_loop_that_is_busy_misses_no_sign_of_life(sandbox: Sandbox) -> None:
    real = sandbox.open

    async def late(*words: Any) -> Any:
        running = await real(*words)
        for _ in range(300):
            await asyncio.sleep(0.001)
        return running

    sandbox.open = late
    python = await Interpreter.start(sandbox)
    assert (await python.execute("1")).ok
    await python.end()


async def test_one_that_does_not_come_up_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.tools.programs.interpreter._driver", lambda: "raise SystemExit('not today')")
    with pytest.raises(SandboxUnavailable, match="not today"):
        await Interpreter.start(sandbox)
    with pytest.raises(FileNotFoundError):
        await Interpreter.start(sandbox, Path("/no/such/folder"))


def test_nothing_is_left_of_a_program_that_is_killed(sandbox: Sandbox, marker: str) -> None:
    source = f"""
import asyncio, sys
from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.sandbox.probe import candidates
box = next(box for box in candidates() if box.tier == {sandbox.tier!r})
code = "import subprocess; subprocess.Popen(['python3', '-c', 'import time; time.sleep(600)', %r])" % sys.argv[1]
async def main():
    halted, busy = await Interpreter.start(box), await Interpreter.start(box)
    await halted.execute("import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()")
    await halted.clear()
    await busy.execute(code)
    print(*(pid for one in (halted, busy) for pid in one._running.processes()), flush=True)
    await busy.execute("import time; time.sleep(600)")
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", source, marker], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) >= 3
        parent.kill()
    assert not left(marker)
    until = time.monotonic() + 2
    while living(pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert not living(pids)


async def test_what_it_holds_is_given_back(start: Start) -> None:
    await (await start()).end()
    gc.collect()
    before = _descriptors()
    for _ in range(5):
        python = await start()
        await python.execute("import os; os._exit(0)")
        await python.end()
        await python.end()
    gc.collect()
    assert _descriptors() <= before + 1


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
