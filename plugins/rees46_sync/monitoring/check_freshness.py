"""The tasks of the DAG ``order_status_freshness``: list the shops, and check each one's freshness."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from rees46_sync.exceptions import Problem, ShopFileError
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop, load_shops


class ListedShop(TypedDict):
    """
    A shop file whose shop is to be checked.

    :param name: the shop's name; the file's, if it cannot be used.
    :param file: the file's name alone, because a worker may have the folder elsewhere.
    :param problems: problem and remedy of everything that is wrong with it.
    """

    name: str
    file: str
    problems: list[tuple[str, str]]


def list_shops(shops: str) -> list[ListedShop]:
    """
    Return every shop file that there is now, unusable ones too: the freshness of their shops is unknown.

    :param shops: the folder of shop files.
    :raises ShopFileError: there is no usable shop file.
    """
    found, errors = load_shops(Path(shops))
    if not found:
        raise errors[0]
    unusable = [
        ListedShop(name=error.file, file=error.file, problems=[(one.problem, one.remedy) for one in error.problems])
        for error in errors
    ]
    return [*(ListedShop(name=shop.shop, file=shop.file.name, problems=[]) for shop in found), *unusable]


def check_freshness(shop: ListedShop, shops: str) -> None:
    """
    Check whether a shop's changes reach REES46 in time, and send an alert if the answer has changed.

    :param shops: the folder of shop files.
    :raises FreshnessBreachedError: they do not.
    :raises LedgerError: the ledger does not answer, so it is unknown.
    :raises ShopFileError: the shop file cannot be used, so it is unknown too.
    """
    from rees46_sync.monitoring.shop_alerts import evaluate_shop

    evaluate_shop(load_listed(shop, shops))


def load_listed(shop: ListedShop, shops: str) -> Shop:
    """
    Return a shop of the list.

    :param shops: the folder of shop files.
    :raises ShopFileError: its file cannot be used.
    """
    if shop["problems"]:
        raise ShopFileError(shop["file"], *(Problem(problem, remedy) for problem, remedy in shop["problems"]))
    return load_shop(Path(shops) / shop["file"])
