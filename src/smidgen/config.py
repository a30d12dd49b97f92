"""Configuration: one frozen value, read once at the edge from a TOML file and `SMIDGEN_*` variables.

The variables win over the file, and what a command line or a constructor says wins over both. Unknown keys are errors,
with the file, the line and near names. docs/configuration.md lists every key.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from smidgen.errors import ConfigError
from smidgen.supervise.plan import Limits
from smidgen.tools.mcp import McpServer

NOT_SETTINGS = frozenset({"SMIDGEN_BFCL", "SMIDGEN_CONFIG", "SMIDGEN_DEBUG"})
"""Variables that are read elsewhere and name no key of the configuration."""

NOT_SETTINGS_PREFIXES = ("SMIDGEN_TEST_", "SMIDGEN_BENCH_")

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*$", re.IGNORECASE)


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """provider: "ddgs" needs nothing else, "searxng" its `url`, "brave" a `key`."""

    provider: Literal["ddgs", "searxng", "brave"] = "ddgs"
    url: str = ""
    key: str = ""


class Serve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `smidgen serve` does.

    host, port: where it listens. ollama: listen on 11434 too. keys: any of them lets a request in; none are needed on
    loopback. hosts: names besides the computer's own under which it may be called; origins: web pages of others that
    may call it, "*" for all. keep_alive_s: a model that no request has used for so long is closed, 0 keeps it until its
    room is needed. answer_s: for one answer, 0 for no limit. streams: requests answered at once; queue: those that wait
    besides, each for at most queue_s. body: bytes of a request. request_s: for its headers and body to arrive. drain_s:
    what SIGTERM gives to requests that are being answered. prompts: log what is asked and answered. mcp_tools: those
    that are offered at /mcp, beside agents.
    """

    host: str = "127.0.0.1"
    port: int = 8012
    ollama: bool = False
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    keep_alive_s: float = 300.0
    answer_s: float = 600.0
    streams: int = 64
    queue: int = 256
    queue_s: float = 60.0
    body: int = 16_000_000
    request_s: float = 30.0
    drain_s: float = 30.0
    prompts: bool = False
    mcp_tools: tuple[str, ...] = ("calculator", "dates")


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent that the server answers with under a name of its own. model: "" for the server's. pattern: the TOML file
    that says how it answers, beside the configuration if its path isn't absolute; it has no tools of its own then. The
    options are those of `smidgen.agent.AgentSettings`; None leaves them as they are."""

    description: str = ""
    model: str = ""
    system: str = ""
    tools: tuple[str, ...] = ()
    pattern: str = ""
    temperature: float | None = None
    max_tokens: int = 0
    max_steps: int = 8


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a person can set. All have defaults.

    model: catalogue name, path of a GGUF file, or `hf:owner/repo/file`; empty means the store's default
        (`smidgen models default`), else the catalogue's.
    embedder: the sentence embedder that tools are chosen by, if it is here; empty does without.
    home: folder for models, reports and history; empty means the platform's own data folder.
    memory: bytes that loaded models may take together; 0 means a share of what is free.
    threads: for decode and prefill; 0 means the physical cores.
    context: tokens that prompt and answer may have together; 0 means what the model and the memory allow.
    gpu: "auto" uses a GPU if the installed native library can; "off" never.
    layout: "auto" opens a copy of a model file with weights that this processor multiplies faster, if there is room for
        one; "file" always opens the file itself.
    tuned: "on" runs a model with the profile that `smidgen tune` stored for its file; "off" with the hand-written one.
    workspace: folder that tools may touch; empty means the current folder.
    permissions: file with rules for tools; empty means permissions.toml beside the configuration, if it is there.
    programs: what Python and commands of a model may do in the workspace: "read", or "write", which is asked about.
    sessions: file of the conversations that the server keeps; empty means sessions.sqlite in the data folder.
    audit: "on" logs what tools do in the data folder; "off" doesn't.
    timeout_s: for one answer; 0 means no limit.
    max_tokens: new tokens per answer.
    search: where the web is searched; `Search`.
    serve: the server; `Serve`.
    agents: those that the server answers with; `AgentConfig`.
    mcp: servers whose tools can be given, by the name that they have here; `smidgen.tools.mcp.McpServer`.
    supervision: when a worker counts as hung and how often it is replaced; `smidgen.supervise.plan.Limits`.
    """

    model: str = ""
    embedder: str = "all-minilm-l6-v2"
    home: str = ""
    memory: int = 0
    threads: int = 0
    context: int = 0
    gpu: Literal["auto", "off"] = "auto"
    layout: Literal["auto", "file"] = "auto"
    tuned: Literal["on", "off"] = "on"
    workspace: str = ""
    permissions: str = ""
    programs: Literal["read", "write"] = "read"
    sessions: str = ""
    audit: Literal["on", "off"] = "on"
    timeout_s: float = 120.0
    max_tokens: int = 512
    search: Search = Search()
    serve: Serve = Serve()
    agents: dict[str, AgentConfig] = {}
    mcp: dict[str, McpServer] = {}
    supervision: Limits = Limits()

    def home_path(self) -> Path:
        """The data folder. Not created here."""
        if self.home:
            return Path(self.home).expanduser()
        import platformdirs

        return Path(platformdirs.user_data_dir("smidgen", appauthor=False))

    def sessions_path(self) -> Path:
        return Path(self.sessions).expanduser() if self.sessions else self.home_path() / "sessions.sqlite"

    def workspace_path(self) -> Path:
        return Path(self.workspace).expanduser() if self.workspace else Path.cwd()


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Where the file is looked for: $SMIDGEN_CONFIG, else config.toml in the platform's own configuration folder."""
    environ = os.environ if environ is None else environ
    if named := environ.get("SMIDGEN_CONFIG"):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir("smidgen", appauthor=False)) / "config.toml"


def permissions_path(config: Config) -> Path:
    """Where rules for tools are looked for."""
    if config.permissions:
        return Path(config.permissions).expanduser()
    return config_path().with_name("permissions.toml")


def load_config(environ: Mapping[str, str] | None = None, **overrides: object) -> Config:
    """Read the file and the environment. `overrides` that are not None win. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    path = config_path(environ)
    values = _read_file(path, required="SMIDGEN_CONFIG" in environ)
    for key, value, origin in _from_environment(environ):
        _put(values, key, _checked(key, value, origin))
    for name, value in overrides.items():
        if value is not None:
            _put(values, (name,), _checked((name,), value, name))
    return msgspec.convert(values, Config)


def parse_size(text: str | int) -> int:
    """Bytes: a whole number, or text such as "512MB" (powers of 1000) or "4 GiB" (powers of 1024)."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.match(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 512MB, 4GiB or 0")
    power = " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


# --- reading --------------------------------------------------------------------------------------------------------


def _sections() -> dict[str, type[msgspec.Struct]]:
    return {"supervision": Limits, "search": Search, "serve": Serve}


def _tables() -> dict[str, type[msgspec.Struct]]:
    """Sections of sections, each with a name that its user chose. No variable reaches them."""
    return {"agents": AgentConfig, "mcp": McpServer}


def _known_keys() -> dict[tuple[str, ...], msgspec.structs.FieldInfo]:
    sections, tables = _sections(), _tables()
    keys: dict[tuple[str, ...], msgspec.structs.FieldInfo] = {}
    for field in msgspec.structs.fields(Config):
        if field.name not in sections and field.name not in tables:
            keys[(field.name,)] = field
    for section, struct in sections.items():
        for field in msgspec.structs.fields(struct):
            keys[(section, field.name)] = field
    return keys


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise ConfigError(
                f"{path} doesn't exist.", hint="Unset SMIDGEN_CONFIG, or let it name a TOML file."
            ) from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}.") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} isn't valid TOML: {error}.") from error
    sections = _sections()
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in sections:
            if not isinstance(value, dict):
                raise ConfigError(f"{_place(path, text, name)}: {name} is a section.", hint=f"Write [{name}].")
            for key, entry in cast("dict[str, Any]", value).items():
                place = _place(path, text, key, section=name)
                _put(values, (name, key), _checked((name, key), entry, place))
        elif name in _tables():
            _put(values, (name,), _read_table(path, text, name, value))
        else:
            _put(values, (name,), _checked((name,), value, _place(path, text, name)))
    return values


def _read_table(path: Path, text: str, name: str, value: object) -> dict[str, msgspec.Struct]:
    """A section of sections. Raises ConfigError with the place of what can't be used."""
    struct = _tables()[name]
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    if not isinstance(value, dict):
        raise ConfigError(f"{_place(path, text, name)}: {name} is no setting.", hint=f"Write [{name}.NAME].")
    found: dict[str, msgspec.Struct] = {}
    for own, entries in cast("dict[str, Any]", value).items():
        section = f"{name}.{own}"
        place = _place(path, text, section)
        if not isinstance(entries, dict):
            place = _place(path, text, own, section=name)
            raise ConfigError(f"{place}: {section} is no setting.", hint=f"Write [{name}.NAME] above it.")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", own):
            raise ConfigError(f"{place}: {own!r} can't be a name.", hint="Use letters, digits, - and _.")
        given: dict[str, Any] = {}
        for key, entry in cast("dict[str, Any]", entries).items():
            at = _place(path, text, key, section=section)
            if key not in fields:
                raise ConfigError(
                    f"{at}: there is no setting {section}.{key!r}.",
                    hint=_near_hint(key, fields),
                    near=difflib.get_close_matches(key, fields),
                )
            try:
                given[key] = msgspec.convert(entry, fields[key].type)
            except msgspec.ValidationError as error:
                shown = key if key in ("env", "headers") else f"{key} = {entry!r}"  # which may hold secrets
                raise ConfigError(f"{at}: {section}.{shown} can't be used: {error}.") from error
        try:
            found[own] = struct(**given)
        except ValueError as error:
            raise ConfigError(f"{place}: [{section}] can't be used: {error}.") from error
    return found


def _place(path: Path, text: str, key: str, section: str = "") -> str:
    """`file:line` of the key's assignment, or the file alone where it can't be told."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            current = header[1]
            if current == (f"{section}.{key}" if section else key):
                return f"{path}:{number}"
        elif current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return f"{path}:{number}"
    return str(path)


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[tuple[str, ...], str, str]]:
    names = {"SMIDGEN_" + "_".join(key).upper(): key for key in _known_keys()}
    for variable, value in environ.items():
        if not variable.startswith("SMIDGEN_") or variable in NOT_SETTINGS:
            continue
        if variable.startswith(NOT_SETTINGS_PREFIXES):
            continue
        if variable not in names:
            raise ConfigError(
                f"The environment variable {variable} is not a setting of smidgen.",
                hint=_near_hint(variable, names),
                near=difflib.get_close_matches(variable, names),
            )
        if value != "":
            yield names[variable], value, f"environment variable {variable}"


def _checked(key: tuple[str, ...], value: object, origin: str) -> object:
    """The value in its field's type, or a ConfigError that names key and origin."""
    known = _known_keys()
    if key not in known:
        if len(key) == 1 and isinstance(value, dict):
            hint = _near_hint(key[0], [*_sections(), *_tables()])
            raise ConfigError(f"{origin}: there is no section [{key[0]}].", hint=hint)
        siblings = [k[-1] for k in known if k[:-1] == key[:-1]]
        raise ConfigError(
            f"{origin}: there is no setting {'.'.join(key)!r}.",
            hint=_near_hint(key[-1], siblings),
            near=difflib.get_close_matches(key[-1], siblings),
        )
    field = known[key]
    try:
        if key in (("memory",), ("serve", "body")) and isinstance(value, str):
            value = parse_size(value)
        elif field.type == tuple[str, ...] and isinstance(value, str):
            value = [part for each in value.split(",") if (part := each.strip())]
        strict = not origin.startswith("environment")
        converted: Any = msgspec.convert(value, field.type, strict=strict)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{origin}: {'.'.join(key)} = {value!r} can't be used: {error}.") from error
    if isinstance(converted, (int, float)) and not 0 <= converted < float("inf"):
        raise ConfigError(f"{origin}: {'.'.join(key)} = {value!r} can't be used: it must be 0 or more.")
    return converted


def _put(values: dict[str, Any], key: tuple[str, ...], value: object) -> None:
    for part in key[:-1]:
        values = values.setdefault(part, {})
    values[key[-1]] = value


def _near_hint(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are: {', '.join(known)}."
