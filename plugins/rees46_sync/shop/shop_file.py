"""
Reading shop files: YAML in, checked shops or clear errors out.

The folder of shop files is ``$REES46_SHOPS_DIR``, else ``include/shops`` of the project. Each ``*.yaml`` or ``*.yml``
in it is one shop. A file that cannot be used is reported on its own, so that one shop's mistake never stops another
shop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rees46_sync.exceptions import Problem, ShopFileError
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.text_file import read_text

MAX_BYTES = 200_000
MAX_NODES = 5000
MAX_DEPTH = 20
"""How much a shop file may hold. A shop has a few dozen statuses; what is more takes seconds and memory to refuse."""

MAX_TAGGED = 100
"""The longest number or date that a tag names (``!!int 7``): calculating a longer one takes too much time."""

TEXT_TAG = "tag:yaml.org,2002:str"

MAX_PROBLEMS = 20
"""How many problems of a file are named at once."""


def shops_dir(project: Path) -> Path:
    """Return the folder of shop files: ``$REES46_SHOPS_DIR``, else ``include/shops`` of the project."""
    return Path(os.environ.get("REES46_SHOPS_DIR") or project / "include" / "shops").absolute()


def load_shops(folder: Path) -> tuple[list[Shop], list[ShopFileError]]:
    """
    Read every shop file of a folder.

    :return: the usable shops in the order of their file names, and an error for each other file. If two files name the
        same shop, the first is used.
    """
    shops: dict[str, Shop] = {}
    errors = []
    files = sorted(path for path in folder.glob("*") if path.suffix in (".yaml", ".yml"))
    if not files:
        errors.append(ShopFileError(f"{folder}/*.yaml", Problem("there is none", "write one, or set REES46_SHOPS_DIR")))
    for file in files:
        try:
            shop = load_shop(file)
            if shop.shop in shops:
                other = shops[shop.shop].file.name
                raise ShopFileError(
                    file.name,
                    Problem(
                        f"shop is {shop.shop!r}, as in {other}, which is in force: it comes first by name",
                        "give each shop its own name, or remove one of the two files",
                    ),
                )
        except ShopFileError as error:
            errors.append(error)
        else:
            shops[shop.shop] = shop
    return list(shops.values()), errors


def load_shop(file: Path) -> Shop:
    """
    Read one shop file.

    :raises ShopFileError: names each problem of the file by key, value and remedy.
    """
    try:
        content = yaml.load(read_text(file, MAX_BYTES), _TextLoader)  # noqa: S506 - a SafeLoader, see below
    except Problem as error:
        raise ShopFileError(file.name, error) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ShopFileError(file.name, Problem(f"cannot be read ({error})", "make it a readable UTF-8 file")) from error
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # PyYAML raises the other types for a wrong tag (!!int many), a list as a key, or endless brackets.
        place = " ".join(str(error).split())[:300]
        raise ShopFileError(file.name, Problem(f"is not YAML ({place})", "correct that place")) from error
    if not isinstance(content, dict):
        raise ShopFileError(file.name, Problem("is not a list of keys with values", "see include/shops/demo.yaml"))
    try:
        return Shop.model_validate(content, context={"file": file})
    except ValidationError as error:
        problems = list(_problems(error))
        if len(problems) > MAX_PROBLEMS:
            more = f"{len(problems) - MAX_PROBLEMS} more keys or values are wrong"
            problems[MAX_PROBLEMS:] = [Problem(more, "correct these first")]
        raise ShopFileError(file.name, *problems) from error


class _TextLoader(yaml.SafeLoader):
    """
    YAML in which each scalar except null stays the text that was written, and a key may not be repeated.

    So a status ``007`` or ``no`` is that text, not 7 or false. Pydantic converts the numbers of other keys.

    It is of bounded size, and an alias counts as all that it stands for: a few lines of aliases of aliases can stand
    for billions of values.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own name and type
        first: [pair for pair in pairs if pair[0] in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what is too much, before it is built."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call] # it has no types
        before = self._nodes
        if self._depth == MAX_DEPTH:
            raise _too_much(f"more than {MAX_DEPTH} levels", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _too_much(f"*{event.anchor} is inside itself", event)
            self._nodes += self._sizes[id(node)]
        else:
            self._nodes += 1
            self._sizes[id(node)] = self._nodes - before
        if self._nodes > MAX_NODES:
            raise _too_much(f"more than {MAX_NODES:,} values, an alias counted as what it stands for", event)
        if isinstance(node, yaml.ScalarNode) and node.tag != TEXT_TAG and len(node.value) > MAX_TAGGED:
            raise _too_much(f"more than {MAX_TAGGED} characters of type {node.tag.rpartition(':')[2]}", event)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a repeated key: its first value would be lost silently."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _too_much(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, event.start_mark)  # type: ignore[arg-type] # a Mark


def _problems(error: ValidationError) -> Iterator[Problem]:
    """Turn pydantic's errors into problems that name key, value and remedy."""
    details = error.errors()
    places = [detail["loc"] for detail in details]
    for detail in details:
        loc = detail["loc"]
        # Pydantic also calls a list with a wrong element too short.
        if detail["type"] != "too_short" or not any(place[: len(loc)] == loc and place != loc for place in places):
            yield _problem(detail)


def _problem(detail: ErrorDetails) -> Problem:
    key = ".".join(str(part) for part in detail["loc"] if part != "function-after")
    remedy = _remedy(detail["loc"])
    match detail["type"]:
        case "missing":
            return Problem(f"{key} is missing", f"give {remedy}")
        case "extra_forbidden":
            return Problem(f"{key} is not a known key", f"correct its spelling or remove it ({remedy})")
        case "too_short":
            return Problem(f"{key} is empty", f"give {remedy}")
        case "value_error":
            cause = detail["ctx"]["error"]
            shown = "" if isinstance(detail["input"], dict) else f" is {_shown(detail['input'])} and"
            if isinstance(cause, Problem):
                return Problem(f"{key}{shown} {cause.problem}", cause.remedy)
            return Problem(f"{key}{shown} {cause}", f"give {remedy}")
        case _:
            return Problem(f"{key} is {_shown(detail['input'])}", f"give {remedy}")


def _shown(value: object) -> str:
    return "null" if value is None else f"{value!r:.100}"


def _remedy(loc: tuple[int | str, ...]) -> str:
    """Return the description of the deepest known key of a location; for an unknown key, the known ones beside it."""
    model: type[BaseModel] = Shop
    remedy = ""
    for part in loc:
        if isinstance(part, int):  # an element of a list
            continue
        field = model.model_fields.get(part)
        if field is None:
            return f"known keys: {', '.join(model.model_fields)}"
        remedy = field.description or ""
        inner = next((kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)), None)
        if inner is None:
            break
        model = inner
    return remedy


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
