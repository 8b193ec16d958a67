"""Reading a file that a user names, and no more of it than such a file can need."""

from __future__ import annotations

from pathlib import Path

from rees46_sync.exceptions import Problem


def read_text(path: Path, max_bytes: int) -> str:
    """
    Return the text of a small UTF-8 file, without a byte order mark, and with Unix line ends.

    :raises OSError: it cannot be read, or is no file but a folder or a device, which may never end.
    :raises UnicodeDecodeError: it is not UTF-8.
    :raises Problem: it has more bytes than it may.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"it is no file: {path}")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise Problem(f"has more than {max_bytes:,} bytes", "make it shorter")
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
