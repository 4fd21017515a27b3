"""CSV as spreadsheets write it, and as nobody should."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.central.places.csv_lines import LONGEST_LINE_BYTES, Cells, Mistake, bounded_lines, read_cells

COLUMNS = ("officer", "name", "site")


def read(content: bytes, required: Iterable[str] = ("officer",)) -> list[Cells | Mistake]:
    return list(read_cells(bounded_lines(io.BytesIO(content)), columns=COLUMNS, required=tuple(required)))


def rows(content: bytes) -> list[tuple[int, dict[str, str]]]:
    found = read(content)
    assert all(isinstance(one, Cells) for one in found), found
    return [(one.line, dict(one.text)) for one in found if isinstance(one, Cells)]


def mistakes(content: bytes) -> list[str]:
    return [str(one) for one in read(content) if isinstance(one, Mistake)]


PLAIN = [(2, {"officer": "PC1", "name": "A, B", "site": "s1"})]


@pytest.mark.parametrize(
    "content",
    [
        b'officer,name,site\nPC1,"A, B",s1\n',
        b'\xef\xbb\xbfofficer,name,site\nPC1,"A, B",s1\n',
        b"officer;name;site\r\nPC1;A, B;s1\r\n",
        b"\xef\xbb\xbf officer ; NAME ;Site\r\n PC1 ; A, B ; s1 ",
        b'"officer";"name";"site"\r\nPC1;"A, B";s1;;;\r\n',
        b"officer;name;site\nPC1;A, B;s1\n;;\n\n   \n",
    ],
    ids=["plain", "bom", "semicolons", "spaces", "empty cells behind", "empty lines"],
)
def test_what_spreadsheets_write_is_read(content: bytes) -> None:
    assert rows(content) == PLAIN


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    assert [line for line, _row in rows(b"\n\nofficer,name,site\n\nPC1,a,b\n\n\nPC2,a,b\n")] == [5, 8]


def test_columns_may_be_left_out_and_in_any_order() -> None:
    assert rows(b"name,officer\nAnn,PC1\n") == [(2, {"name": "Ann", "officer": "PC1"})]


def test_letters_that_look_alike_are_the_same_letters() -> None:
    ((_line, row),) = rows("officer,name,site\nPC1,Zoe\u0308,s1\n".encode())
    assert row["name"] == "Zo\u00eb"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "The file is empty"),
        ("officer,name\nPC1,x\n".encode("utf-16"), "UTF-16"),
        (b"officer,nmae,site\n", "There is no column 'nmae'"),
        (b"name,site\nx,y\n", "The column 'officer' is missing"),
        (b"officer,name,name\n", "The column 'name' is there 2 times"),
        (b'officer,"name\nPC1,x\n', "quotation marks"),
        (b"officer,name\rPC1,x\rPC2,y\r", "line ends"),
        (b"<script>alert(1)</script>\n", "There is no column"),
    ],
)
def test_a_header_that_cannot_be_used_ends_the_reading(content: bytes, expected: str) -> None:
    found = read(content)
    assert found
    assert all(isinstance(one, Mistake) for one in found)
    assert expected in str(found[0])


def test_every_bad_line_is_told_and_the_good_ones_between_are_read() -> None:
    content = (
        b"officer,name,site\n"
        b"PC1,a\n"
        b"PC2,b,s\n"
        b'PC3,"open,s\n'
        b"PC4,c,s,more\n"
        b"PC5,\xe9,s\n"
        b"PC6,nul\x00nul,s\n"
        b'PC7,"quoted" and not,s\n'
        + "PC8,turned \u202eround,s\n".encode()
        + b"PC9,"
        + b"x" * LONGEST_LINE_BYTES
        + b",s\n"
        + b"PC10,d,s\n"
    )
    found = read(content)
    assert [one.line for one in found if isinstance(one, Cells)] == [3, 11]
    told = {one.line: str(one) for one in found if isinstance(one, Mistake)}
    assert set(told) == {2, 4, 5, 6, 7, 8, 9, 10}
    assert "2 cells where the header has 3" in told[2]
    assert "not UTF-8" in told[6]
    assert "line 7, name: The cell holds the character U+0000" in told[7]
    assert "U+202E" in told[9]
    assert "longer than" in told[10]


def test_a_forgotten_quotation_mark_spoils_its_own_line_alone() -> None:
    content = b'officer,name,site\nPC1,"a,s\n' + b"".join(b"PC%d,b,s\n" % one for one in range(2, 500))
    found = read(content)
    assert len([one for one in found if isinstance(one, Mistake)]) == 1
    assert len([one for one in found if isinstance(one, Cells)]) == 498


def test_a_line_of_a_gigabyte_is_not_kept() -> None:
    class Endless(io.RawIOBase):
        """64 MB of one line, made as it is asked for."""

        left = 64 * 1024 * 1024
        largest_asked_bytes = 0

        def readable(self) -> bool:
            return True

        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            self.largest_asked_bytes = max(self.largest_asked_bytes, size)
            given = min(size, self.left)
            self.left -= given
            return b"x" * given

    file = Endless()
    pieces = list(bounded_lines(file))  # type: ignore[arg-type]  # a BinaryIO as far as it is used here
    assert [len(piece) for piece in pieces] == [LONGEST_LINE_BYTES + 1]
    assert file.largest_asked_bytes == LONGEST_LINE_BYTES + 1


PRINTABLE = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs"], codec="utf-8"), min_size=1, max_size=30
).filter(lambda text: text == text.strip())


@given(
    st.lists(st.tuples(PRINTABLE, PRINTABLE, PRINTABLE), min_size=1, max_size=8),
    st.sampled_from([",", ";"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_a_csv_writer_writes_is_read_back(
    table: list[tuple[str, str, str]], delimiter: str, end: str, has_bom: bool, quoting: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(COLUMNS)
    writer.writerows(table)
    content = text.getvalue().encode("utf-8-sig" if has_bom else "utf-8")
    normal = [tuple(unicodedata.normalize("NFC", cell) for cell in row) for row in table]
    assert [tuple(row.values()) for _line, row in rows(content)] == normal


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_told_and_never_raise(content: bytes) -> None:
    found = read(b"officer,name,site\n" + content)
    lines = content.count(b"\n") + 2
    assert all(1 <= one.line <= lines for one in found)
    for one in found:
        if isinstance(one, Cells):
            assert "\x00" not in "".join(one.text.values())
