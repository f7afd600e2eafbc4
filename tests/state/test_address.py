"""Addresses of shared state: what is one, and what the error says of what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import UsageError
from migrator.shared import SharedState

ACCOUNTS = st.from_regex(r"[a-z0-9]{3,24}", fullmatch=True)
CONTAINERS = st.from_regex(r"[a-z0-9](-?[a-z0-9]){2,30}", fullmatch=True)
SEGMENTS = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", fullmatch=True)
SERVERS = st.sampled_from(["", "127.0.0.1:10000", "localhost:443", "localhost", "[::1]:7"])


@given(account=ACCOUNTS, container=CONTAINERS, prefix=st.lists(SEGMENTS, max_size=4), server=SERVERS)
def test_an_address_reads_as_it_is_written(account: str, container: str, prefix: list[str], server: str) -> None:
    made = SharedState(account, container, "/".join(prefix), server)
    assert SharedState.parse(made.url) == made
    assert SharedState.parse(made.url + "/") == made


@given(st.text(max_size=60))
def test_anything_else_is_a_usage_error(text: str) -> None:
    for url in (text, f"azblob://{text}"):
        try:
            made = SharedState.parse(url)
        except UsageError as error:
            assert error.hint  # noqa: PT017 - either is right, for any text
        else:
            assert SharedState.parse(made.url) == made


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("azblob://shop", "the container is missing"),
        ("azblob:///runs", "'' is no storage account's name"),
        ("azblob://Shop_1/runs", "'Shop_1' is no storage account's name"),
        ("azblob://shopstate/Runs", "'Runs' is no container's name"),
        ("azblob://shopstate/a--b", "'a--b' is no container's name"),
        ("azblob://shopstate/runs/../other", "'..' cannot be in a prefix"),
        ("azblob://shopstate/runs/a b", "'a b' cannot be in a prefix"),
        ("s3://shopstate/runs", "is no address of shared state"),
        ("azblob://127.0.0.1:10000", "'' is no storage account's name"),
        ("azblob://shopstate.blob.core.windows.net/runs", "is no storage account's name"),
    ],
)
def test_what_is_not_right_is_named(url: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        SharedState.parse(url)
    assert says in caught.value.what
    assert "azblob://" in caught.value.hint


def test_the_portals_url_is_written_as_it_should_be() -> None:
    with pytest.raises(UsageError) as caught:
        SharedState.parse("https://shopstate.blob.core.windows.net/runs/team/")
    assert caught.value.hint == "write it as azblob://shopstate/runs/team"


@pytest.mark.parametrize(
    "url",
    [
        "azblob://shopstate/runs?sv=1&sig=Canary-Zk3vQ9",
        "https://shopstate.blob.core.windows.net/runs?sig=Canary-Zk3vQ9",
    ],
)
def test_a_signature_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        SharedState.parse(url)
    assert "Canary" not in f"{caught.value.what} {caught.value.why} {caught.value.hint}"
