"""What a file's first bytes say it is, whatever it is called.

Belongs here: signatures, as data.
Does not belong here: trust in them. The type is told and used for nothing: every file is served as
bytes to be saved.
"""

import codecs
import re

HEAD_BYTES = 4096
"""Bytes that are looked at."""

UNKNOWN = "application/octet-stream"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"ARROW1\0\0", "application/vnd.apache.arrow.file"),
    (0, b"\xff\xff\xff\xff", "application/vnd.apache.arrow.stream"),
    (0, b"Obj\x01", "application/vnd.apache.avro"),
    (0, b"ORC", "application/vnd.apache.orc"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (8, b"DUCK", "application/vnd.duckdb"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftyp", "video/mp4"),
    (0, b"OggS", "application/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\0asm", "application/wasm"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"\x80\x04\x95", "application/x-python-pickle"),
    (0, b"\x93NUMPY", "application/x-numpy"),
)
_ZIP = b"PK\x03\x04"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_INSIDE_ZIP: tuple[tuple[bytes, str], ...] = (
    (b"word/", f"{_OFFICE}.wordprocessingml.document"),
    (b"xl/", f"{_OFFICE}.spreadsheetml.sheet"),
    (b"ppt/", f"{_OFFICE}.presentationml.presentation"),
    (b"mimetypeapplication/vnd.oasis", "application/vnd.oasis.opendocument"),
    (b"META-INF/MANIFEST.MF", "application/java-archive"),
)
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:<\?xml.*?\?>\s*)?(?:<!--.*?-->\s*|<!doctype svg[^>]*>\s*)*<svg\b"),
     "image/svg+xml"),
    (re.compile(r"(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body|script|iframe|table|div)\b"),
     "text/html"),
    (re.compile(r"<\?xml\b"), "application/xml"),
    (re.compile(r"\{.*\}\s*\n\s*\{"), "application/x-ndjson"),
    (re.compile(r'\{\s*(?:"|\}\s*$)|\[\s*(?:[\[{"\]\d-]|true|false|null)'), "application/json"),
)  # fmt: skip
_BY_SUFFIX = {"csv": "text/csv", "tsv": "text/tab-separated-values", "md": "text/markdown"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def media_type_of(head: bytes, *, name: str) -> str:
    """The media type of a file that begins like this; its name tells kinds of text apart."""
    for offset, signature, media_type in _SIGNATURES:
        if head.startswith(signature, offset):
            return media_type
    if head.startswith(_ZIP):
        inside = (kind for mark, kind in _INSIDE_ZIP if mark in head)
        return next(inside, "application/zip")
    text = _as_text(head)
    if text is None:
        return UNKNOWN
    shown = text.lstrip().lower()
    for pattern, media_type in _TEXTS:
        if pattern.match(shown):
            return media_type
    return _BY_SUFFIX.get(name.rpartition(".")[2].lower(), "text/plain")


def _as_text(head: bytes) -> str | None:
    try:
        # A character may be cut at the end of what is looked at.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text
