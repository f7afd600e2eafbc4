"""Readings of binary files: whatever lies around text of two bytes a character, all of it is seen, in any order of bytes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from scanners import decode

RUN = re.compile(rb"(?:[\x20-\x7e]\x00){12,65536}")
PARTS = st.one_of(
    st.binary(max_size=30),
    st.integers(0, 40).map(bytes),
    st.integers(0, 70_000).map(lambda size: b"\x90" * size),
    st.text(alphabet="aZ 9~", min_size=8, max_size=20).map(lambda text: text.encode("utf-16-le")),
)


@given(parts=st.lists(PARTS, max_size=8))
def test_text_of_two_bytes_a_character_is_seen(parts: list[bytes]) -> None:
    data = b"\x7fELF\x00" + b"\x90" * 9000 + b"".join(parts)
    narrow, *wide = decode.views(data)
    assert narrow.binary
    assert len(narrow.data) == len(data)
    expected = [match.span() for match in RUN.finditer(data)]
    assert [view.data for view in wide] == [data[start:end:2] for start, end in expected]
    for view, (start, end) in zip(wide, expected, strict=True):
        assert view.translate is not None
        assert (view.translate(0), view.translate(len(view.data))) == (start, end)


def test_text_on_a_seam_is_seen() -> None:
    """Binary files are looked through in blocks of 64 KiB."""
    text = "aZ 9~aZ 9~aZ".encode("utf-16-le")
    for start in range(64 * 1024 - len(text) - 2, 64 * 1024 + 3):
        before = b"\x7fELF\x00" + b"\x90" * 9000
        before += b"\x90" * (start - len(before))
        _, wide = decode.views(before + text + b"\x90" * 100)
        assert wide.data == text[::2], start
