"""What a model is told: of tables, of its mistakes, of rows. No file is opened here."""

from __future__ import annotations

from typing import Any

import pytest

from smidgen.tools.data import Column, Rows, Schema, Table
from smidgen.tools.data.hints import explained, near
from smidgen.tools.data.schema import compact, line, plain_type
from smidgen.tools.data.shown import NOTHING, answer_of, text_of
from smidgen.tools.data.sources import named, table_name

ALBUM = Table(
    name="album",
    file="music.db",
    rows=347,
    columns=(
        Column(name="id", type="INTEGER", is_key=True, low=1, high=347),
        Column(name="title", type="VARCHAR(200)", low="A", high="Z", values=("Abraxas", "Blue")),
        Column(name="artist_id", type="int", refers="artist.id", low=1, high=9),
        Column(name="year", type="INTEGER", low=1959, high=2021),
        Column(name="kind", type="TEXT", low="live", high="studio", values=("studio", "live", "it's"), all_values=True),
        Column(name="released", type="TEXT", low="1959-08-17", high="2021-01-02", values=("1959-08-17",)),
        Column(name="unit price", type="REAL", low=7.0, high=9.5),
        Column(name="order", type=""),
    ),
)
TABLES = {"artist": ("id", "artist_name"), "album": ("id", "title", "artist_id", "year")}


def test_a_table_in_one_line() -> None:
    assert line(ALBUM) == (
        "album(id integer, title text, artist_id integer -> artist.id, year integer 1959..2021, "
        "kind text 'studio', 'live', 'it''s', released text 1959-08-17..2021-01-02, \"unit price\" real, "
        '"order"), 347 rows'
    )
    assert line(ALBUM, 0) == 'album(id, title, artist_id, year, kind, released, "unit price", "order")'


def test_what_does_not_fit_is_left_out_and_told() -> None:
    tables = tuple(Table(name=f"table_{number}", file="x.db", rows=5, columns=ALBUM.columns) for number in range(20))
    schema = Schema(tables=tables)
    sizes = [len(compact(schema, most)) for most in (100_000, 4000, 2500, 1500, 400, 100, 10)]
    assert sizes == sorted(sizes, reverse=True)
    for most in (4000, 2500, 1500, 400, 100, 10):
        assert len(compact(schema, most)) <= most
    assert "like" not in compact(schema, 3500) and "integer" in compact(schema, 3500)
    assert compact(schema, 600).endswith("table_18, table_19]") and "more tables: table_" in compact(schema, 600)
    assert compact(schema, 100).endswith("[19 more tables]")
    assert compact(Schema(), 100) == ""


def test_tables_of_several_files_stand_below_their_names() -> None:
    one, two, three = (Table(name=name, file=file) for name, file in (("a", "x.db"), ("b", "x.db"), ("c", "c.csv")))
    assert compact(Schema(tables=(one, two, three))) == "in x.db:\na()\nb()\nin c.csv:\nc()"
    assert compact(Schema(tables=(one, three), notes=("odd",))) == "a()\nc()\n[odd]"


@pytest.mark.parametrize(
    ("declared", "plain"),
    [("VARCHAR(20)", "text"), ("BIGINT", "integer"), ("unsigned big int", "integer"), ("DOUBLE", "real"),
     ("DECIMAL(10,2)", "decimal"), ("DATE", "date"), ("TIMESTAMP WITH TIME ZONE", "timestamp"), ("", ""),
     ("STRUCT(a INTEGER)[]", "struct(a integer)[]"), ("BOOLEAN", "boolean"), ("GEOMETRY(1)", "geometry")],
)  # fmt: skip
def test_types_are_one_word(declared: str, plain: str) -> None:
    assert plain_type(declared) == plain


@pytest.mark.parametrize(
    ("stem", "table"),
    [("sales 2024", "sales_2024"), ("2024", "data_2024"), ("order", "order_data"), ("a-b.c", "a_b_c"), ("--", "data"),
     ("größe", "größe"), ('x";drop', "x_drop")],
)  # fmt: skip
def test_files_become_names_without_quotes(stem: str, table: str) -> None:
    assert table_name(stem) == table


def test_every_file_has_a_name_of_its_own() -> None:
    found = named(
        [("a.csv", "csv"), ("a.parquet", "parquet"), ("x/A.csv", "csv"), ("y/x/a.csv", "csv"), ("m.db", "sqlite")]
    )
    names = [source.table for source in found]
    assert names == ["a", "a_parquet", "A_csv", "y_x_a", ""]


@pytest.mark.parametrize(
    ("message", "sql", "said"),
    [
        ("no such column: artist", "select artist from artist",
         "There is no column artist; did you mean artist_name? The columns of artist are id, artist_name."),
        ("no such column: artist_name", "select artist_name from album",
         "There is no column artist_name in album, but in artist: join it."),
        ("no such table: albums", "select 1 from albums",
         "There is no table albums; did you mean album? The tables are artist, album."),
        ("ambiguous column name: id", "select id from album, artist", "The column id is in several tables. "
         "Write artist.id."),
        ('Referenced column "Rome" not found in FROM clause!', 'select 1 from album where title = "Rome"',
         "There is no column Rome. If that is a text, write it in single quotes: 'Rome'."),
        ('near "selec": syntax error', "selec", "The SQL is wrong near 'selec'. Write one SELECT statement."),
        ("You can only execute one statement at a time.", "a;b", "Write one statement, not several."),
        ("misuse of aggregate: count()", "x", "misuse of aggregate: count()."),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_what_there_is(message: str, sql: str, said: str) -> None:
    assert explained(message, sql, TABLES) == said


def test_hints_stay_short() -> None:
    wide = {"t": tuple(f"column_{number}" for number in range(500))}
    assert len(explained("no such column: " + "x" * 5000, "select x from t", wide)) <= 450
    assert near("", ["a"]) != ["b"]
    assert near("yeer", ["id", "year"]) == ["year"]


def rows(columns: tuple[str, ...], *values: tuple[Any, ...], more: bool = False) -> Rows:
    return Rows(columns=columns, rows=values, more=more)


def test_rows_as_text() -> None:
    assert text_of(rows(("n",), (42,))) == answer_of(rows(("n",), (42,))) == "42"
    assert text_of(rows(("n",), (0.1 + 0.2,))) == "0.3"
    assert text_of(rows(("n",), (42.0,))) == "42"
    assert text_of(rows(("t",), ("a",), ("b",))) == answer_of(rows(("t",), ("a",), ("b",))) == "a\nb"
    two = rows(("name", "year"), ("x|y", 1), (None, 2))
    assert text_of(two) == "name | year\nx\\|y | 1\nNULL | 2" and answer_of(two) == text_of(two)
    assert text_of(rows(("a",))) == "(no rows)" and answer_of(rows(("a",))) == NOTHING
    assert answer_of(rows(("a",), (None,))) == NOTHING
    many = rows(("a", "b"), *((number, "x") for number in range(100)))
    assert text_of(many).endswith("29 | x\n[30 of 100 rows shown]")
    cut = rows(("a",), *((number,) for number in range(100)), more=True)
    assert text_of(cut).endswith("[30 of more than 100 rows shown]") and answer_of(cut) == ""
    long = rows(("a", "b"), *(("x" * 500, "y" * 500) for _ in range(100)))
    assert len(text_of(long)) < 7000
