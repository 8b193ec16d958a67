"""Lines for a shop file that map more statuses, in the file's own style, so that they can be pasted as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from rees46_sync.formatting import escape_unprintable
from rees46_sync.shop.shop import Shop, Text
from rees46_sync.shop.statuses import STATUS_NAMES


@dataclass(frozen=True)
class MappingLines:
    """
    Lines to paste into a shop file.

    :param action: what to do with them: an instruction that names the keys and the file.
    :param lines: they begin with the blanks that they need in the file; empty if no line can map the statuses.
    """

    action: str
    lines: tuple[str, ...]


class _Style(Enum):
    BLOCK = "a line for each status: - new"
    FLOW = "a list in brackets: [new]"
    BRACES = "all three lists in braces: {created: [new], …}"


def mapping_lines(shop: Shop, statuses: Sequence[str], _: Callable[[str], str] = str) -> list[MappingLines]:
    """
    Return the lines that map these statuses, for each meaning that they may have; none of them excludes another.

    If the file writes a list as a block, a line for each status is to be added to it, so that the file's comments stay.
    If not, the whole list with all of the statuses is to replace the one in the file.

    :param statuses: unmapped statuses as the warehouse has them; they may hold any character.
    :param _: translates the instruction.
    """
    added = [_scalar(status) for status in statuses if _can_be_mapped(status)]
    found = []
    styles = _styles(shop.file) if added else {}
    for style in dict.fromkeys(styles.values()):
        names = [name for name in STATUS_NAMES if styles[name] == style]
        found.append(_lines(shop, names, *style, added, _))
    if len(added) < len(statuses):
        some = _("shorten %(count)s of the statuses in the query: at most 250 characters can be mapped")
        one = _("shorten the status in the query: at most 250 characters can be mapped")
        found.append(MappingLines(some % {"count": len(statuses) - len(added)} if added else one, ()))
    return found


def _lines(
    shop: Shop, names: Sequence[str], style: _Style, indent: int, added: Sequence[str], _: Callable[[str], str]
) -> MappingLines:
    several = len(added) > 1
    keys = _(" or ").join(filter(None, [", ".join(names[:-1]), names[-1]]))
    where = {"keys": keys, "file": shop.file.name}
    whichever = _("whichever the status means")
    listed = {name: [_scalar(status) for status in getattr(shop.statuses, name)] for name in STATUS_NAMES}
    match style:
        case _Style.BLOCK:
            lines = [f"- {status}" for status in added]
            action = _("add to the list %(keys)s in %(file)s") % where
            rest = _("each line where its status belongs") if several else whichever
        case _Style.FLOW:
            lines = [_list(name, [*listed[name], *added]) for name in names]
            action = _("replace %(keys)s in %(file)s") % where
            rest = _("and leave each status only where it belongs") if several else whichever
        case _Style.BRACES:
            lines = []
            for name in names:
                lists = [_list(key, [*statuses, *(added if key == name else ())]) for key, statuses in listed.items()]
                lines.append(f"statuses: {{{', '.join(lists)}}}")
            action = _("replace statuses in %(file)s by the line of %(keys)s") % where
            rest = _("and move each status to where it belongs") if several else whichever
    return MappingLines(f"{action}, {rest}", tuple(" " * indent + line for line in lines))


def _list(name: str, statuses: Sequence[str]) -> str:
    return f"{name}: [{', '.join(statuses)}]"


def _styles(file: Path) -> dict[str, tuple[_Style, int]]:
    """Return how a shop file writes each list, and the blanks before it; if it is gone, as if in brackets."""
    try:
        text = file.read_text("utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
        [(key, statuses)] = [pair for pair in pairs if pair[0].value == "statuses"]
        if statuses.flow_style:
            return dict.fromkeys(STATUS_NAMES, (_Style.BRACES, key.start_mark.column))
        lists = {name.value: value for name, value in statuses.value}
        indent = statuses.value[0][0].start_mark.column
    except (OSError, ValueError, AttributeError, TypeError, IndexError, yaml.YAMLError):  # it has changed meanwhile
        return dict.fromkeys(STATUS_NAMES, (_Style.FLOW, 2))
    lines = text.splitlines()
    return {name: _style(lines, lists.get(name), indent) for name in STATUS_NAMES}


def _style(lines: Sequence[str], value: yaml.Node | None, indent: int) -> tuple[_Style, int]:
    """Return the style of one list, and the blanks before the line of its key or of its first status."""
    if isinstance(value, yaml.SequenceNode) and not value.flow_style and value.value:
        first = lines[value.value[0].start_mark.line]
        if first.lstrip(" ").startswith("- "):
            return _Style.BLOCK, len(first) - len(first.lstrip(" "))
    return _Style.FLOW, indent


_TEXT = TypeAdapter(Text)


def _can_be_mapped(status: str) -> bool:
    try:
        return _TEXT.validate_python(status) == status
    except ValidationError:
        return False


def _scalar(text: str) -> str:
    """Return a text as YAML, in quotes if it is not plain words; what is not visible is escaped."""
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9 _-]*[A-Za-z0-9_-])?", text) and text.lower() != "null":
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape_unprintable(escaped)}"'
