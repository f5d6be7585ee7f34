"""Avro object container files: read block by block, each with a bound on what it may unpack to.

The container (Avro 1.12, "Object Container Files") is read here, since a place to go on at and a bound are
needed of each block; what is in a block is fastavro's to decode. A place is that of a block in the file and
that of a row in the block, in one number.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from datapunk.encodings import ZSTD, unpacked
from datapunk.errors import MalformedRequestError, PayloadTooLargeError
from datapunk.lake.binary.rows import Rendering, Unreadable
from datapunk.lake.columns import Column
from datapunk.lake.parsing import header_columns
from datapunk.lake.splitting import Record

MOST_BLOCK_BYTES = 16 * 1024 * 1024
"""Of one block, packed and unpacked; writers make blocks of 16 KB to 1 MB."""
MOST_HEADER_BYTES = 1024 * 1024
_MAGIC = b"Obj\x01"
_MARK_BYTES = 16
_ROW_BITS = 24
"""Of a place: each row takes a byte at least, so no block has more rows than bytes."""
_LONGEST_NUMBER = 10
_NANOS = {"timestamp-nanos": UTC, "local-timestamp-nanos": None}
_PLAIN = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string", "enum"})


class AvroFile:
    """A container file in a stream, read from a place on.

    Raises MalformedRequestError for what is none, InvalidInputError where its fields do not fit the columns,
    if there are any yet.
    """

    def __init__(
        self, stream: IO[bytes], columns: Sequence[Column] | None, position: int = 0
    ) -> None:
        from fastavro import parse_schema

        self._stream = stream
        self._taken = 0
        self._schema, codec = self._header()
        self._unpack = _codec(codec)
        fields = _fields(self._schema)
        self.nullable = {field["name"]: _may_be_null(field["type"]) for field in fields}
        if columns is not None:
            header_columns([field["name"] for field in fields], columns)
        try:
            self._parsed = parse_schema(self._schema)
            self._raw = parse_schema(_without_logical_types(self._schema))
        except Exception as error:  # noqa: BLE001 -- whatever the library says of a schema from outside
            raise MalformedRequestError(
                f"The schema in the file is not valid: {_said(error)}."
            ) from None
        self._nanos = {field["name"]: zone for field in fields for zone in _nanos(field["type"])}
        self._rendering = Rendering(columns or ())
        self._start, self._skipped = self._taken, 0
        if position:
            self._start, self._skipped = position >> _ROW_BITS, position & ((1 << _ROW_BITS) - 1)
            stream.seek(self._start)
        self._taken = self._start
        self.position = (self._start << _ROW_BITS) | self._skipped

    def bytes_done(self) -> int:
        """Return how many bytes of the file have been read."""
        return self._taken

    def records(self) -> Iterator[Record]:
        """Yield the rows from the place on, as JSON."""
        return map(self._rendering.record, self.rows())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows from the place on."""
        skipped = self._skipped
        while (block := self._block()) is not None:
            count, content = block
            for place, row in enumerate(self._rows(count, content)):
                if place >= skipped:
                    last = place + 1 == count
                    self.position = (
                        self._taken << _ROW_BITS if last else self._start << _ROW_BITS | place + 1
                    )
                    yield row
            self._start, skipped = self._taken, 0

    # -- the container -----------------------------------------------------------------------------

    def _header(self) -> tuple[Any, str]:
        if self._read(len(_MAGIC)) != _MAGIC:
            raise MalformedRequestError("The file is no Avro container file: it begins otherwise.")
        about: dict[str, bytes] = {}
        while count := self._number():
            if count < 0:  # then the size of these entries follows, for readers that skip them
                self._number()
            for _ in range(abs(count)):
                name = self._sized(MOST_HEADER_BYTES).decode(errors="replace")
                about[name] = self._sized(MOST_HEADER_BYTES)
                if self._taken > MOST_HEADER_BYTES:
                    raise MalformedRequestError("The header of the file is too long.")
        self._mark = self._read(_MARK_BYTES)
        try:
            schema = json.loads(about["avro.schema"])
            return schema, about.get("avro.codec", b"null").decode()
        except (KeyError, ValueError, RecursionError):
            raise MalformedRequestError("The header of the file has no schema.") from None

    def _block(self) -> tuple[int, bytes] | None:
        """Return how many rows the next block has, and what they are; None at the end of the file."""
        first = self._stream.read(1)
        if not first:
            return None
        self._taken += 1
        count = self._number(first)
        packed = self._sized(MOST_BLOCK_BYTES)
        if self._read(_MARK_BYTES) != self._mark:
            raise self._damaged("a block does not end where it should")
        content = self._unpack(packed)
        if not 0 <= count <= len(content):
            raise self._damaged("a block has fewer bytes than rows")
        return count, content

    def _read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._taken += len(content)
        if len(content) != size:
            raise self._damaged("it ends too early")
        return content

    def _sized(self, most: int) -> bytes:
        size = self._number()
        if not 0 <= size <= most:
            raise self._damaged(f"it has a part of {size:,} bytes, and {most:,} are read at once")
        return self._read(size)

    def _number(self, first: bytes = b"") -> int:
        """Return the next number: seven bits in each byte, the sign in the last of them."""
        found, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            byte = (first or self._read(1))[0]
            first = b""
            found |= (byte & 0x7F) << shift
            shift += 7
            if shift > 7 * _LONGEST_NUMBER:
                raise self._damaged("a number in it does not end")
        return (found >> 1) ^ -(found & 1)

    def _damaged(self, reason: str) -> MalformedRequestError:
        return MalformedRequestError(
            f"The Avro file cannot be read behind byte {self._taken:,}: {reason}."
        )

    # -- rows --------------------------------------------------------------------------------------

    def _rows(self, count: int, content: bytes) -> Iterator[dict[str, Any]]:
        stream = io.BytesIO(content)
        for _ in range(count):
            yield self._row(stream)
        if stream.tell() != len(content):
            raise self._damaged("a block has more bytes than its rows")

    def _row(self, stream: io.BytesIO) -> dict[str, Any]:
        from fastavro import schemaless_reader

        place = stream.tell()
        try:
            row: Any = schemaless_reader(stream, self._parsed, None)
        except Exception as error:  # noqa: BLE001 -- the library raises whatever damaged bytes lead to
            stream.seek(place)
            try:
                row = schemaless_reader(stream, self._raw, None)
            except Exception as second:  # noqa: BLE001 -- as above
                raise self._damaged(f"a row is not of the schema ({_said(second)})") from None
            # Its bytes are sound, so what is wrong is a value that its logical type cannot hold.
            reason = Unreadable(_said(error))
            row = {name: reason if _typed(value) else value for name, value in row.items()}
        for name, zone in self._nanos.items():
            if isinstance(row.get(name), int):
                row[name] = _moment(row[name], zone)
        return dict(row)


def _typed(value: Any) -> bool:
    """Tell whether a value may be what a logical type stands for."""
    return isinstance(value, (int, bytes, str)) and not isinstance(value, bool)


def _moment(nanoseconds: int, zone: Any) -> datetime:
    """Return a moment to the microsecond, which is what PostgreSQL keeps."""
    return datetime(1970, 1, 1, tzinfo=zone) + timedelta(microseconds=nanoseconds // 1000)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200].rstrip(".")


# -- schemas ---------------------------------------------------------------------------------------


def _fields(schema: Any) -> list[dict[str, Any]]:
    """Return the fields of the rows. Raises MalformedRequestError for a schema that no row has.

    A schema from outside may make few bytes stand for very much: types that hold themselves nest as deeply
    as a file has bytes, and elements of no bytes may be as many as a number can say.
    """
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise MalformedRequestError(
            "Rows of an Avro file are records, and those of this one are not."
        )
    try:
        if _least(schema, {}) == 0:
            raise MalformedRequestError("Rows of the Avro file take no bytes.")
        return [{"name": str(field["name"]), "type": field["type"]} for field in schema["fields"]]
    except (KeyError, TypeError, RecursionError):
        raise MalformedRequestError("The schema in the file is not valid.") from None


def _least(schema: Any, named: dict[str, int | None]) -> int:
    """Return the least bytes a value has, 1 for more than none; `named` has None for types not yet whole."""
    if isinstance(schema, list):
        for branch in schema:
            _least(branch, named)
        return 1
    if isinstance(schema, str):
        return _least_of_name(schema, named)
    kind = schema["type"]
    if kind in ("array", "map"):
        inner = _least(schema["items" if kind == "array" else "values"], named)
        if kind == "array" and inner == 0:
            raise MalformedRequestError("Elements of an array in the Avro file take no bytes.")
        return 1
    if kind not in ("record", "error", "fixed", "enum"):
        return _least(kind, named)
    space, name = str(schema.get("namespace", "")), str(schema["name"])
    names = {name, name.rpartition(".")[2], f"{space}.{name}"}
    named.update(dict.fromkeys(names))
    least = 1 if kind == "enum" else int(schema["size"] > 0) if kind == "fixed" else 0
    for field in schema["fields"] if kind in ("record", "error") else ():
        least = max(least, _least(field["type"], named))
    named.update(dict.fromkeys(names, least))
    return least


def _least_of_name(name: str, named: dict[str, int | None]) -> int:
    if name in _PLAIN or name == "null":
        return int(name in _PLAIN)
    least = named.get(name, named.get(name.rpartition(".")[2], 1))
    if least is None:
        raise MalformedRequestError(f"The type {name[:100]!r} of the Avro file holds itself.")
    if least == 0:
        raise MalformedRequestError(f"Values of the type {name[:100]!r} take no bytes.")
    return least


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(item) for item in schema]
    if isinstance(schema, dict):
        kept = {name: value for name, value in schema.items() if name != "logicalType"}
        return {name: _without_logical_types(value) for name, value in kept.items()}
    return schema


def _may_be_null(kind: Any) -> bool:
    return kind == "null" or (isinstance(kind, list) and "null" in kind)


def _nanos(kind: Any) -> list[Any]:
    """Return the zone of a field of nanoseconds, which fastavro leaves as a number; nothing for another."""
    branches = kind if isinstance(kind, list) else [kind]
    words = [branch.get("logicalType") for branch in branches if isinstance(branch, dict)]
    return [_NANOS[word] for word in words if word in _NANOS]


# -- codecs ----------------------------------------------------------------------------------------


def _codec(name: str) -> Callable[[bytes], bytes]:
    found = _CODECS.get(name)
    if found is None:
        listed = ", ".join(_CODECS)
        raise MalformedRequestError(
            f"The Avro file is packed with {name[:20]!r}; what is read: {listed}."
        )
    return found


def _whole(content: bytes) -> bytes:
    return content


def _inflated(content: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=-15)
    try:
        found = unpacker.decompress(content, MOST_BLOCK_BYTES + 1)
    except zlib.error:
        raise MalformedRequestError("A block of the Avro file is not deflate.") from None
    if len(found) > MOST_BLOCK_BYTES:
        raise _too_large()
    if not unpacker.eof:
        raise MalformedRequestError("A block of the Avro file is not all of its deflate.")
    return found


def _zstandard(content: bytes) -> bytes:
    try:
        return unpacked(content, ZSTD, (ZSTD,), MOST_BLOCK_BYTES)
    except PayloadTooLargeError:
        raise _too_large() from None
    except MalformedRequestError:
        raise MalformedRequestError("A block of the Avro file is not zstandard.") from None


def _snappy(content: bytes) -> bytes:
    """Unpack snappy, which says first how much it will be, and behind which a checksum stands."""
    import pyarrow as pa

    packed, checksum = content[:-4], content[-4:]
    size, shift = 0, 0
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 -- the bit that says whether another byte follows
            break
    if size > MOST_BLOCK_BYTES:
        raise _too_large()
    try:
        found: bytes = pa.decompress(packed, decompressed_size=size, codec="snappy", asbytes=True)
    except (pa.ArrowException, OSError, ValueError):
        raise MalformedRequestError("A block of the Avro file is not snappy.") from None
    if zlib.crc32(found).to_bytes(4, "big") != checksum:
        raise MalformedRequestError("A block of the Avro file has another checksum.")
    return found


def _too_large() -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"A block of an Avro file may have {MOST_BLOCK_BYTES:,} bytes at most when it is unpacked."
    )


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": _whole,
    "deflate": _inflated,
    "zstandard": _zstandard,
    "snappy": _snappy,
}
