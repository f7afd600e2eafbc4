"""Kinds of encoding, and what stands in every document in which there is something of one: an engine looks for it on its way."""

from __future__ import annotations

RUN = 24
"""Letters and digits in a row from which on a run may be base64: sixteen bytes and more, and five fours wherever they begin."""
ESCAPES = rb'\\(?:u00[2-7]|x[2-7]|"|/(?:\\/|[A-Za-z0-9+]))'
"""Where something escaped begins."""
PERCENTS = rb"%(?:3[ABDabd]|2[0257BFbf6]|40|7[Bb]|0[ADad])"
"""Where something percent-encoded begins: signs of connection strings, of keys, of text, of the encoding itself."""

KINDS = (rb"[A-Za-z0-9]{%d}" % RUN, PERCENTS, ESCAPES, rb"Secret")
RUNS, PERCENT, ESCAPE, KUBERNETES = range(4)
"""Their numbers."""
