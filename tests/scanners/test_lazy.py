from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from scanners.lazy import lazily


@given(st.sampled_from([r"a+(b)?", r"(?i)x|y", r"\A[ab]*\Z"]), st.text("abxyXY", max_size=6))
def test_a_late_pattern_does_what_one_does(pattern: str, text: str) -> None:
    late, compiled = lazily(pattern), re.compile(pattern)
    for _ in range(2):
        assert [hit.span() for hit in late.finditer(text)] == [hit.span() for hit in compiled.finditer(text)]
        assert (late.fullmatch(text) is None) == (compiled.fullmatch(text) is None)
        assert late.sub("-", text) == compiled.sub("-", text)
        assert late.split(text) == compiled.split(text)
    assert (late.pattern, late.flags) == (compiled.pattern, compiled.flags)


def test_flags_are_kept() -> None:
    assert lazily(r"a.b", re.DOTALL | re.IGNORECASE).fullmatch("A\nB")
    assert lazily(rb"^b", re.MULTILINE).search(b"a\nb")
