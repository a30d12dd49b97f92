import subprocess
import sys

import smidgen

PUBLIC = [
    "Agent",
    "Answer",
    "Chat",
    "Config",
    "Constraint",
    "Generation",
    "Message",
    "Runtime",
    "Sampling",
    "SmidgenError",
    "ToolCall",
    "tool",
]

HEAVY = ["numpy", "pydantic", "jinja2", "httpx", "huggingface_hub", "prompt_toolkit", "tqdm", "pint", "asyncio"]
NATIVE = ["llama_cpp", "llguidance", "smidgen.llama", "smidgen.worker"]


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert sorted(smidgen.__all__) == PUBLIC


def test_every_public_name_can_be_had_and_is_listed() -> None:
    for name in PUBLIC:
        assert getattr(smidgen, name).__name__ == name
        assert name in dir(smidgen)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(smidgen, "Llama")


def test_importing_smidgen_imports_nothing_else() -> None:
    assert not loaded_after("import smidgen") & {*HEAVY, *NATIVE, "msgspec", "smidgen.errors"}


def test_the_public_classes_import_no_heavy_library_and_no_native_code() -> None:
    code = "import smidgen; [getattr(smidgen, name) for name in smidgen.__all__]"
    assert not loaded_after(code) & {*HEAVY[:-1], *NATIVE}


def test_the_command_line_help_imports_no_heavy_library() -> None:
    code = "from smidgen.cli.main import parser; parser().format_help()"
    assert not loaded_after(code) & {*HEAVY, *NATIVE}
