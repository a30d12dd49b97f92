from __future__ import annotations

import pytest

from smidgen.supervise.child import find_stack, signal_name

FATAL = (
    'Fatal Python error: Segmentation fault\n\nCurrent thread 0x7f (most recent call first):\n  File "a.py", line 1\n'
)
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: x\n'


@pytest.mark.parametrize(("status", "name"), [(0, ""), (70, ""), (-11, "SIGSEGV"), (-9, "SIGKILL"), (-99, "signal 99")])
def test_signal_has_a_name(status, name):
    assert signal_name(status) == name


def test_stack_is_the_report_without_what_was_printed_before():
    assert find_stack("noise\n" + FATAL) == FATAL.strip()
    assert find_stack("noise\n" + TRACEBACK) == TRACEBACK.strip()


def test_fatal_report_wins_over_an_earlier_traceback():
    assert find_stack(TRACEBACK + "more noise\n" + FATAL) == FATAL.strip()


def test_no_stack_in_mere_noise():
    assert find_stack("llama_model_loader: loaded\n") == ""
