"""Tokens and their bytes: tokenising, pieces, and the table that constrained decoding needs."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smidgen.errors import InvalidRequest
from smidgen.llama.binding import function, lib
from smidgen.llama.wordpiece import WordPiece

TABLE_MAGIC = b"smidgen-vocab-3\n"
_PIECE_BUFFER = 512
_WORD_START = "▁"

_tokenize = function(
    "llama_tokenize",
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_bool,
    ctypes.c_bool,
)
_to_piece = function(
    "llama_token_to_piece",
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.c_int32,
    ctypes.c_bool,
)
_text = function("llama_vocab_get_text", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int32)
_attribute = function("llama_vocab_get_attr", ctypes.c_int, ctypes.c_void_p, ctypes.c_int32)


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.piece = ctypes.create_string_buffer(_PIECE_BUFFER)


_buffers = _Buffers()


class Vocabulary:
    """The vocabulary of one open model. Ids are checked here, because several native functions abort on a bad one."""

    def __init__(self, model: object) -> None:
        self.handle: int = ctypes.cast(lib.llama_model_get_vocab(model), ctypes.c_void_p).value or 0
        if not self.handle:
            raise InvalidRequest("The model has no vocabulary.", hint="It can't be used for text.")
        self.size: int = lib.llama_vocab_n_tokens(self.handle)
        self.bos: int = lib.llama_vocab_bos(self.handle)
        self.eos: int = lib.llama_vocab_eos(self.handle)
        self.add_bos: bool = bool(lib.llama_vocab_get_add_bos(self.handle))
        self.closing: int = self._closing()
        self._pieces: dict[int, bytes] = {}
        self._wordpiece: WordPiece | None = None
        self._is_wordpiece = lib.llama_vocab_type(self.handle) == lib.LLAMA_VOCAB_TYPE_WPM
        self._special: list[int] | None = None
        self._tag_pattern: re.Pattern[str] | None = None

    def _closing(self) -> int:
        """The token that the model wants at the end of a text: BERT's separator, others' EOS; -1 for none."""
        if lib.llama_vocab_get_add_sep(self.handle):
            return lib.llama_vocab_sep(self.handle)
        return self.eos if lib.llama_vocab_get_add_eos(self.handle) else -1

    def check(self, token: int) -> None:
        if not 0 <= token < self.size:
            raise InvalidRequest(f"Token {token} is outside this vocabulary of {self.size}.")

    def end_tokens(self) -> tuple[int, ...]:
        """Tokens that end a generation (EOS, end of turn, end of message…)."""
        is_end = lib.llama_vocab_is_eog
        return tuple(token for token in self._special_ids() if is_end(self.handle, token))

    def control_texts(self) -> tuple[str, ...]:
        """Texts of control tokens, and of user-defined ones that look like one, longest first. They must not be
        parsed as special in text from users and tools. (Gemma's user-defined runs of blanks are no control tokens.)"""
        found: set[str] = set()
        for token in self._special_ids():
            data = self._raw_piece(token, special=True)
            control = bool(_attribute(self.handle, token) & lib.LLAMA_TOKEN_ATTR_CONTROL)
            if data and _is_utf8(data) and (control or (data[:1] == b"<" and data[-1:] == b">")):
                found.add(data.decode())
        return tuple(sorted(found, key=lambda text: (-len(text), text)))

    def _special_ids(self) -> list[int]:
        if self._special is None:
            wanted = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
            handle = self.handle
            found = {token for token in range(self.size) if _attribute(handle, token) & wanted}
            self._special = sorted(found | {t for t in (self.bos, self.eos) if t >= 0})
        return self._special

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of `text`, no BOS added. Without `special`, no text becomes a control token, nor a user-defined one
        that looks like one (`<tool_call>`), which the library would still read as such: those are tokenised in two
        parts. Raises InvalidRequest for text that isn't valid Unicode."""
        if self._is_wordpiece:
            return self._words(text, special)
        if special:
            return self._tokenize(text, True)
        tokens: list[int] = []
        start = 0
        for tag in self._tags().finditer(text):
            tokens += self._tokenize(text[start : tag.start() + 1], False)
            start = tag.start() + 1
        return tokens + self._tokenize(text[start:], False)

    def _tags(self) -> re.Pattern[str]:
        if self._tag_pattern is None:
            user_defined = [text for text in self.control_texts() if len(text) > 1 and text.startswith("<")]
            choices = "|".join(re.escape(text) for text in user_defined)
            self._tag_pattern = re.compile(choices or r"(?!)")
        return self._tag_pattern

    def _tokenize(self, text: str, special: bool) -> list[int]:
        if not text:
            return []
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"The text has a lone surrogate at character {error.start}; it can't be encoded as UTF-8."
            ) from error
        capacity = len(data) + 8
        tokens = np.empty(capacity, dtype=np.int32)
        count = _tokenize(self.handle, data, len(data), tokens.ctypes.data, capacity, False, special)
        if count < 0:
            tokens = np.empty(-count, dtype=np.int32)
            count = _tokenize(self.handle, data, len(data), tokens.ctypes.data, -count, False, special)
        if count < 0:
            raise InvalidRequest(f"The model's tokenizer refused a text of {len(data)} bytes.")
        return tokens[:count].tolist()

    def _words(self, text: str, special: bool) -> list[int]:
        """By BERT's rules; with `special`, control tokens in the text are tokens."""
        wordpiece = self._its_wordpiece()
        if not special:
            return wordpiece.tokens(text)
        controls = "|".join(re.escape(control) for control in self.control_texts()) or r"(?!)"
        tokens: list[int] = []
        for index, part in enumerate(re.split(f"({controls})", text)):
            tokens += self._tokenize(part, True) if index % 2 else wordpiece.tokens(part)
        return tokens

    def _its_wordpiece(self) -> WordPiece:
        """Made at the first use: reading 30,000 texts takes a while."""
        if self._wordpiece is None:
            starts: dict[str, int] = {}
            continuations: dict[str, int] = {}
            unknown = -1
            for token in range(self.size):
                text = (_text(self.handle, token) or b"").decode(errors="replace")
                kind = _attribute(self.handle, token)
                if text == "[UNK]" or (kind & lib.LLAMA_TOKEN_ATTR_UNKNOWN and unknown < 0):
                    unknown = token
                elif kind & lib.LLAMA_TOKEN_ATTR_NORMAL and text.startswith(_WORD_START) and text != _WORD_START:
                    starts[text.removeprefix(_WORD_START)] = token
                elif kind & lib.LLAMA_TOKEN_ATTR_NORMAL:
                    continuations[text] = token
            self._wordpiece = WordPiece(starts, continuations, unknown)
        return self._wordpiece

    def piece(self, token: int) -> bytes:
        """The bytes a token adds to the text; b"" for control tokens."""
        found = self._pieces.get(token)
        if found is None:
            self.check(token)
            found = self._pieces[token] = self._raw_piece(token, special=False)
        return found

    def _raw_piece(self, token: int, special: bool) -> bytes:
        buffer = _buffers.piece  # one per thread: table() runs beside the decode loop
        length = _to_piece(self.handle, token, buffer, _PIECE_BUFFER, 0, special)
        if length < 0:
            large = ctypes.create_string_buffer(-length)
            length = _to_piece(self.handle, token, large, -length, 0, special)
            return large.raw[: max(length, 0)]
        return ctypes.string_at(buffer, length)

    def table(self, cache_folder: str, model_key: str) -> list[bytes]:
        """Bytes of every token, control tokens marked with a leading 0xFF as llguidance wants them.

        Kept in `cache_folder` under the model's hash, because asking for 150,000 pieces takes most of a second.
        """
        path = Path(cache_folder) / f"{model_key}.vocab" if cache_folder and model_key else None
        if path is not None:
            found = _read_table(path, self.size)
            if found is not None:
                return found
        control, user = lib.LLAMA_TOKEN_ATTR_CONTROL, lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        table: list[bytes] = []
        for token in range(self.size):
            piece = self._raw_piece(token, special=True)
            kind = _attribute(self.handle, token)
            if kind & control or (kind & user and piece[:1] == b"<" and piece[-1:] == b">"):
                piece = b"\xff" + piece
            table.append(piece)
        if path is not None:
            _write_table(path, table)
        return table


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_table(path: Path, size: int) -> list[bytes] | None:
    """None when there is no such table, or its checksum or size don't fit: it is then made anew."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = len(TABLE_MAGIC) + 32
    if data[: len(TABLE_MAGIC)] != TABLE_MAGIC or hashlib.sha256(data[head:]).digest() != data[len(TABLE_MAGIC) : head]:
        return None
    lengths = np.frombuffer(data, dtype="<u4", count=size, offset=head) if len(data) >= head + 4 * size else None
    if lengths is None or head + 4 * size + int(lengths.sum(dtype=np.int64)) != len(data):
        return None
    ends = (np.cumsum(lengths, dtype=np.int64) + head + 4 * size).tolist()
    starts = [head + 4 * size, *ends[:-1]]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def _write_table(path: Path, table: Sequence[bytes]) -> None:
    body = np.array([len(piece) for piece in table], dtype="<u4").tobytes() + b"".join(table)
    partial = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(TABLE_MAGIC + hashlib.sha256(body).digest() + body)
        partial.replace(path)
    except OSError as error:
        # Only a cache: without it the next start is a second slower.
        partial.unlink(missing_ok=True)
        os.write(2, f"smidgen: the tokenizer table could not be kept: {error}\n".encode())
