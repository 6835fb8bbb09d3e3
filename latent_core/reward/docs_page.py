"""The scorer's /docs: its OpenAPI description as one plain page, without scripts and without anything to fetch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.6 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}:root{color-scheme:light dark}"
    "h2{margin:2rem 0 .25rem;font:600 1.15rem ui-monospace,monospace}.wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:.9rem}td,th{padding:.2rem .9rem .2rem 0;vertical-align:top}"
)


def docs_page(api: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI description: every path, the fields of what it takes, and its status codes."""
    title = escape(str(api["info"]["title"]))
    paths = "".join(
        _operation(api, method.upper(), path, operation)
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
    )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>For programs: <a href='openapi.json'>openapi.json</a>.</p>{paths}</html>"
    )


def _operation(api: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    takes = "" if body is None else f"<p>Takes JSON:</p>{_table(_fields(api, body))}"
    answers = [(code, str(answer["description"])) for code, answer in operation["responses"].items()]
    return (
        f"<h2>{escape(f'{method} {path}')}</h2><p>{escape(str(operation.get('description', '')))}</p>{takes}"
        f"<p>Answers:</p>{_table(answers)}"
    )


def _fields(api: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Name, type and remark of every field; those of a list's items have its name before theirs."""
    schema = _resolved(api, schema)
    for name, given in schema.get("properties", {}).items():
        field = _resolved(api, given)
        needed = "required" if name in schema.get("required", ()) else "optional"
        yield f"{prefix}{name}", _type(api, field), f"{needed}. {field.get('description', '')}".strip()
        if field.get("type") == "array":
            yield from _fields(api, field["items"], f"{prefix}{name}[].")


def _type(api: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(api, _resolved(api, one)) for one in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type(api, _resolved(api, field['items']))}"
    return str(field.get("type", "any"))


def _resolved(api: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref")
    found: Mapping[str, Any] = schema if name is None else api["components"]["schemas"][name.rpartition("/")[2]]
    return found


def _table(rows: Any) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='wide'><table>{cells}</table></div>"
