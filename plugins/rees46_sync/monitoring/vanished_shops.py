"""
Shops that a ledger knows and that no shop file names: a file was deleted or renamed.

Only the ledgers that some shop file names can be asked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rees46_sync.exceptions import ShopFileError, SyncError
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import MAX_BYTES

log = logging.getLogger(__name__)

_SHOP_LINE = re.compile(r"""^shop:\s*["']?([a-z0-9_]+)["']?\s*(?:#.*)?$""", re.MULTILINE)


@dataclass(frozen=True)
class VanishedShop:
    """
    A shop without a shop file.

    :param conn_id: the connection of the ledger that knows it.
    :param last_run: when its last run ended; None if there is no record of one.
    """

    shop: str
    conn_id: str
    last_run: datetime | None


def vanished_shops(folder: Path, shops: Sequence[Shop], errors: Iterable[ShopFileError]) -> list[VanishedShop]:
    """
    Return the shops without a shop file, except those that were taken out on purpose.

    A ledger that does not answer is logged and left out: its own shops are reported already.

    :param folder: of the shop files.
    :param shops, errors: as :func:`rees46_sync.shop.shop_file.load_shops` returns them. A shop whose file cannot be
        used has not vanished.
    """
    with_file = names_in_files(folder, shops, errors)
    found = []
    for conn_id in sorted({shop.ledger_conn_id for shop in shops}):
        try:
            found += vanished_from(conn_id, with_file)
        except SyncError as error:
            log.warning("The ledger of connection %s was not searched for shops without a file: %s", conn_id, error)
    return found


def vanished_from(conn_id: str, with_file: Iterable[str]) -> list[VanishedShop]:
    """
    Return the shops of one ledger without a shop file, except those that were taken out on purpose.

    :param with_file: the shops that a shop file names.
    :raises SyncError: the connection cannot be used, or the ledger does not answer.
    """
    from rees46_sync.ledger.database import interactive_ledger
    from rees46_sync.ledger.shop_names import shops_without_file

    with interactive_ledger(conn_id) as ledger:
        return [VanishedShop(shop, conn_id, last) for shop, last in shops_without_file(ledger, set(with_file)).items()]


def names_in_files(folder: Path, shops: Iterable[Shop], errors: Iterable[ShopFileError]) -> set[str]:
    """Return the names of all shops that have a file, usable or not."""
    return {shop.shop for shop in shops} | {shop_of(folder, error) for error in errors}


def shop_of(folder: Path, error: ShopFileError) -> str:
    """Return the shop that an unusable file is about: its key ``shop`` if it can be read, else the file's name."""
    file = folder / error.file
    try:
        # What is no file has no line to find, and a device would have no end.
        line = _SHOP_LINE.search(_beginning(file)) if file.is_file() else None
    except OSError:
        line = None
    return line[1] if line else file.stem


def _beginning(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.read(MAX_BYTES)
