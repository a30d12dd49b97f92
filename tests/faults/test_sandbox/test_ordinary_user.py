"""The same as an ordinary user, where the tests run as root: most of it once more, with rights given up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOBODY = 65534


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="the other tests run as an ordinary user")
@pytest.mark.timeout(600)
def test_all_of_it_as_an_ordinary_user(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("util-linux isn't here")
    home = Path("/tmp", f"smidgen-test-{os.getpid()}")  # where an ordinary user gets to, unlike pytest's own folders
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    root = HERE.parents[2]
    packages = (root, root / "src", sysconfig.get_path("purelib"))
    shown = {
        "PYTHONPATH": os.pathsep.join(map(str, packages)),
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": os.environ.get("PATH", ""),
    }
    interpreter = f"/mnt/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    files = " ".join(str(HERE / name) for name in ("test_escapes.py", "test_endings.py", "test_probe.py"))
    # Root's Python may lie where nobody else may look, so it is shown elsewhere.
    given_up = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    chosen = "test_escapes or test_probe or bomb or daemon or threads or asked or scratch or given_back"
    tests = f"{interpreter} -m pytest -q -p no:cacheprovider --rootdir {root} --basetemp {home}/t {files} -k '{chosen}'"
    command = f"mount --bind {sys.base_prefix} /mnt && cd {root} && exec {given_up} {tests}"
    try:
        done = subprocess.run(["unshare", "-m", "sh", "-c", command], env=shown, capture_output=True, text=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"no folder of its own can be shown here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
