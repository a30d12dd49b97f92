"""Files that people give instead of a GGUF model, recognised by how they begin."""

from __future__ import annotations

FETCH_FILE_ITSELF = "Use the download link of the file itself (…/resolve/main/<name>.gguf), not of the page about it."


def recognise(start: bytes, file_bytes: int) -> tuple[str, str]:
    """(what it is, what to do) for a file whose first bytes are `start` and aren't GGUF's."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start.strip(b"\0"):
        return "it holds only zeros, as an interrupted download leaves it", "Delete it and download it again."
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "it is a web page", FETCH_FILE_ITSELF
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file it points to", "Run `git lfs pull`, or download the file itself."
    if text.startswith((b'{"error', b"entry not found", b"repository not found", b"access to model")):
        return "it is a server's error message", FETCH_FILE_ITSELF
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < file_bytes:
        return (
            "it is a safetensors file",
            "Fetch a GGUF of the model; one is made of a sentence embedder by `smidgen models convert FOLDER`.",
        )
    if start.startswith(b"PK\x03\x04"):
        return (
            "it is a zip archive or a PyTorch checkpoint",
            "Fetch a GGUF of the model; one is made of a zipped sentence embedder by `smidgen models convert`.",
        )
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return "it is a Python pickle", "Never load such a file from a stranger; fetch a GGUF of the model."
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"(\xb5/\xfd", b"7z\xbc\xaf")):
        return "it is a compressed archive", "Unpack it first."
    if start.startswith((b"ggjt", b"tjgg", b"ggml", b"lmgg", b"ggmf", b"fmgg", b"ggla", b"algg")):
        return "it is in a format from before GGUF", "Fetch a newer file; such files can't be read any more."
    if start.startswith(b"FUGG"):
        return "its bytes are in reverse order", "Fetch a little-endian file."
    if text.startswith(b"{"):
        return "it is a JSON file", "Give the .gguf file of the model."
    return f"it starts with {start[:4]!r} instead of 'GGUF'", "Check that this is a model file in GGUF format."
