"""A workspace with data of every kind, asked in the sandbox that this computer has."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from smidgen.errors import SandboxUnavailable
from smidgen.tools.data import Caps
from smidgen.tools.sandbox.box import Boxes, Sandbox
from smidgen.tools.sandbox.probe import Probing

BRIEF = Caps(seconds=1.0)
PROBING = Probing()


@pytest.fixture
async def boxes() -> Boxes:
    try:
        sandbox = await PROBING.sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))

    async def given() -> Sandbox:
        return sandbox

    return given


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.csv").write_text("word\nSECRET\n")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


@pytest.fixture
def music(folder: Path) -> Path:
    path = folder / "music.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE artist (id INTEGER PRIMARY KEY, artist_name TEXT);
            CREATE TABLE album (id INTEGER PRIMARY KEY, title TEXT, artist_id INTEGER REFERENCES artist, year INTEGER,
                                cover BLOB, notes TEXT);
            INSERT INTO artist VALUES (1, 'Miles'), (2, 'Nina');
            INSERT INTO album VALUES (1, 'Kind of Blue', 1, 1959, x'00ff', 'n'), (2, 'Pastel Blues', 2, 1965, NULL, '');
            CREATE VIEW early AS SELECT title FROM album WHERE year < 1960;
            CREATE VIRTUAL TABLE words USING fts5(body);
            INSERT INTO words VALUES ('hello world');
            CREATE TRIGGER grow AFTER INSERT ON artist BEGIN DELETE FROM album; END;
            """
        )
    connection.close()
    return path


@pytest.fixture
def sales(folder: Path) -> Path:
    (folder / "cities.tsv").write_text("city\tpeople\nRome\t3\nOslo\t1\n")
    (folder / "notes.txt").write_text("PRIVATE\n")
    path = folder / "sales 2024.csv"
    path.write_text("Unit Price,city,order\n1.5,Rome,1\n2.5,Oslo,2\n3.0,Rome,3\n")
    return path
