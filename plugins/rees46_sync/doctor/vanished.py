"""Shops that a ledger knows and that no shop file names, as reports of their own; the ledgers are only read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rees46_sync.doctor import connections
from rees46_sync.doctor.findings import Report, Surroundings, warning
from rees46_sync.doctor.ledger import missing_tables
from rees46_sync.exceptions import ShopFileError
from rees46_sync.formatting import timestamp
from rees46_sync.monitoring.vanished_shops import VanishedShop, names_in_files, vanished_from
from rees46_sync.shop.shop import Shop


def examine_all(
    folder: Path, shops: Sequence[Shop], errors: Iterable[ShopFileError], surroundings: Surroundings
) -> list[Report]:
    """
    Return a report for each shop without a shop file.

    A ledger that cannot be read is left out: the reports of its own shops say why.

    :param folder: of the shop files.
    :param shops, errors: as :func:`rees46_sync.shop.shop_file.load_shops` returns them.
    :param surroundings: entered for a shop of each ledger while the ledger is read.
    """
    with_file = names_in_files(folder, shops, errors)
    reports = []
    for shop in {shop.ledger_conn_id: shop for shop in shops}.values():
        with surroundings(shop):
            reports += [_report(folder, one) for one in _vanished(shop.ledger_conn_id, with_file)]
    return reports


def _vanished(conn_id: str, with_file: Iterable[str]) -> list[VanishedShop]:
    from rees46_sync.airflow_adapters.connections import get_database_hook
    from rees46_sync.ledger.tables import sync_runs

    try:
        hook = get_database_hook(conn_id)
        # Connecting would create a SQLite file, or prepare it for writing.
        if connections.missing_file(hook) or sync_runs.name in missing_tables(hook):
            return []
        return vanished_from(conn_id, with_file)
    except Exception:  # noqa: BLE001 - whatever it is, the checks of the ledger's own shops report it
        return []


def _report(folder: Path, one: VanishedShop) -> Report:
    ended = f"its last run ended at {timestamp(one.last_run)} UTC" if one.last_run else "no run of it is recorded"
    finding = warning(
        "shop.vanished",
        f"the ledger of connection {one.conn_id} knows this shop ({ended}), and no file in {folder} names it, so "
        "it is not synced",
        f"if it was renamed: make rename-shop FROM={one.shop} TO=<new name>\n"
        f"if it was taken out on purpose: make retire-shop SHOP={one.shop}\n"
        "otherwise put its file back",
        ledger_conn_id=one.conn_id,
        last_run=one.last_run and one.last_run.isoformat(),
    )
    return Report(one.shop, "", [finding])
