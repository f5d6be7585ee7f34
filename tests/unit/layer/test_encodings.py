"""Bodies that came compressed: what was packed comes out, and never more than was allowed."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from backports import zstd
from datapunk.encodings import GZIP, ZSTD, unpacked
from datapunk.errors import (
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from hypothesis import given
from hypothesis import strategies as st

BOTH = (GZIP, ZSTD)
MOST = 1000
PACK: dict[str, Callable[[bytes], bytes]] = {GZIP: gzip.compress, ZSTD: zstd.compress}


@given(st.sampled_from(BOTH), st.lists(st.binary(max_size=MOST), min_size=1, max_size=3))
def test_files_one_after_the_other_come_out_as_they_were(encoding: str, parts: list[bytes]) -> None:
    # Given
    whole = b"".join(parts)
    packed = b"".join(map(PACK[encoding], parts))
    # When / Then
    if len(whole) <= MOST:
        assert unpacked(packed, encoding, BOTH, MOST) == whole
    else:
        with pytest.raises(PayloadTooLargeError):
            unpacked(packed, encoding, BOTH, MOST)


@given(st.sampled_from(BOTH), st.binary(max_size=300))
def test_other_bytes_are_refused(encoding: str, content: bytes) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        unpacked(b"x" + content, encoding, BOTH, MOST)


@pytest.mark.parametrize("encoding", BOTH)
def test_what_is_cut_off_is_refused(encoding: str) -> None:
    # Given
    packed = PACK[encoding](b"some rows")
    # When / Then
    with pytest.raises(MalformedRequestError, match="not all"):
        unpacked(packed[:-1], encoding, BOTH, MOST)


@pytest.mark.parametrize("encoding", BOTH)
def test_many_empty_files_are_refused(encoding: str) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError, match="more than"):
        unpacked(PACK[encoding](b"") * 2000, encoding, BOTH, MOST)


def test_only_what_is_accepted_is_unpacked() -> None:
    # Given / When / Then
    assert unpacked(b"a", "Identity", (), 0) == b"a"
    with pytest.raises(UnsupportedMediaTypeError, match="identity, gzip"):
        unpacked(b"a", ZSTD, (GZIP,), MOST)
