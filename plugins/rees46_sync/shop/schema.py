"""
The JSON Schema of a shop file, made from its model: editors complete, explain and check a shop file by it.

An editor takes ``007`` for a number and ``true`` for a boolean; the loader takes each for the text that was written. So
the schema accepts numbers and booleans wherever their text is a value. What it cannot say is left to the loader: what
is in a query, whether a cron expression is one, that no status is listed twice, the longest of a duration.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from rees46_sync.shop.channels import CONNECTIONS
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The one that every editor knows."""

_UNQUOTED = {"integer": "7", "number": "0.5", "boolean": "true"}
"""The types that an editor gives to texts without quotes, each with an example."""

# As pydantic reads them from text.
_INTEGER = r"^\+?[0-9]+(?:_[0-9]+)*(?:\.0*)?$"
_NUMBER = r"^\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_BOOLEANS = ("true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0")


def schema_text() -> str:
    """Return the JSON Schema of a shop file, as ``include/shops/shop.schema.json`` has it."""
    schema = Shop.model_json_schema(schema_generator=_Generator)
    schema["$defs"]["Channel"]["oneOf"] = [
        {"required": [kind], "properties": {kind: {"not": {"type": "null"}}}} for kind in CONNECTIONS
    ]
    about = {"$schema": DIALECT, "title": "A shop file", "description": "Its keys are explained in docs/shop-file.md."}
    return json.dumps(schema | about, indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, for a file whose values are all written as text."""

    def field_title_should_be_set(self, schema: object) -> bool:
        """Leave the titles out: they repeat the keys."""
        return False

    def encode_default(self, dft: Any) -> Any:
        """Write a duration as in a shop file."""
        return f"{dft // timedelta(hours=1)}h" if isinstance(dft, timedelta) else super().encode_default(dft)

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Write the pattern as editors read it; accept numbers and booleans if it fits them."""
        found = super().str_schema(schema)
        trimmed = schema.get("strip_whitespace")
        if "pattern" in found:
            start, end = (r"^\s*", r"\s*$") if trimmed else ("^", "$")
            found["pattern"] = found["pattern"].replace(r"\A", start).replace(r"\z", end)
        elif trimmed:
            found["pattern"] = r"\S"
        else:
            return found
        types = [name for name, example in _UNQUOTED.items() if re.search(found["pattern"], example)]
        return found | {"type": ["string", *types]} if types else found

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """Accept integers in quotes, and with underscores."""
        return super().int_schema(schema) | {"type": ["integer", "string"], "pattern": _INTEGER}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Accept numbers in quotes."""
        return super().float_schema(schema) | {"type": ["number", "string"], "pattern": _NUMBER}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """Accept ``yes`` and the like, in any case."""
        words = ("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in _BOOLEANS)
        types = ["boolean", "integer", "string"]
        return {"type": types, "minimum": 0, "maximum": 1, "pattern": f"^(?:{'|'.join(words)})$"}

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        """Accept a number and its unit."""
        error = "a number and s, m, h, d or w, such as 24h"
        return {"type": "string", "pattern": "^[0-9]+[smhdw]$", "patternErrorMessage": error}
