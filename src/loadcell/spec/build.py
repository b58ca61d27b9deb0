"""A Spec of what a person wrote: YAML, flags, or a recording made again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from loadcell.apis import IN_PYTHON, check_api, given_api
from loadcell.errors import UsageError, nearest
from loadcell.inputs import settle_inputs
from loadcell.lengths import settle_lengths
from loadcell.media import settle_media
from loadcell.places import written_out
from loadcell.scenarios import brought_by_scenario, under_scenario
from loadcell.spec.check import checked
from loadcell.spec.model import Spec
from loadcell.spec.notation import parse_duration_s, parse_share, parse_size_mb, parse_slo, plain_ms
from loadcell.spec.series import settle_series
from loadcell.urls import full_url

_PAGE = "a page of metrics"
_SHARES = ("max_failures", "hit_share")


@functools.cache
def spec_fields() -> dict[str, msgspec.inspect.Field]:
    """Every leaf of the Spec by its dotted path, as in "load.rate"."""
    info = cast(msgspec.inspect.StructType, msgspec.inspect.type_info(Spec))
    return {
        f"{section.name}.{field.name}": field
        for section in info.fields
        for field in cast(msgspec.inspect.StructType, section.type).fields
    }


def describe_field(path: str) -> str:
    """What a field is for, with its default."""
    field = spec_fields()[path]
    about = cast(msgspec.inspect.Metadata, field.type).extra_json_schema or {}
    text = str(about.get("description", ""))
    plain = field.default not in (None, msgspec.NODEFAULT) and not isinstance(field.default, bool)
    return f"{text} (default: {_say(field.default)})" if plain and "default:" not in text else text


def _say(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def field_from_text(path: str, text: str, flag: str) -> Any:
    """The value that `text` gives to the field at `path`; UsageError names the flag it came with."""
    fields = spec_fields()
    if path not in fields:
        raise UsageError(f"{flag}: there is no {path} in the spec{nearest(path, fields)}")
    key = path.partition(".")[2]
    if text == "null" and any(isinstance(k, msgspec.inspect.NoneType) for k in _kinds(fields[path])):
        return None  # takes away what a file or a scenario gave
    if key.endswith(("_s", "_ms", "_mb", *_SHARES)):
        return _plain(key, text, flag)
    if path == "endpoint.api":
        check_api(api := given_api(text, flag), flag)
        return api
    kinds = _kinds(fields[path])
    if any(isinstance(k, msgspec.inspect.DictType) for k in kinds):
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            raise UsageError(f'{flag}: {path} takes a JSON object, as in {{"name": "value"}}') from None
    if any(isinstance(k, msgspec.inspect.ListType) and isinstance(k.item_type, msgspec.inspect.StrType) for k in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    for found, convert, what in _CONVERSIONS:
        if any(isinstance(k, found) for k in kinds):
            try:
                return convert(text)
            except (ValueError, KeyError):
                raise UsageError(f"{flag}: {text!r} is not {what}") from None
    named = [value for k in kinds if isinstance(k, msgspec.inspect.LiteralType) for value in k.values]
    if named and text not in named:
        raise UsageError(f"{flag}: {text!r} is not one of {', '.join(map(str, named))}{nearest(text, map(str, named))}")
    return text


_CONVERSIONS: tuple[tuple[type, Callable[[str], Any], str], ...] = (
    (msgspec.inspect.IntType, int, "a whole number"),
    (msgspec.inspect.FloatType, float, "a number"),
    (msgspec.inspect.BoolType, lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
)


def build_spec(tree: Mapping[str, Any]) -> Spec:
    """The Spec of a plain tree (YAML, flags or a recording), validated; UsageError names the wrong key or value."""
    sections = Spec.__struct_fields__
    if not isinstance(tree, Mapping):
        raise UsageError(f"the spec must hold sections ({', '.join(sections)}), each with keys and values")
    for section, values in tree.items():
        if section not in sections:
            raise UsageError(
                f"unknown section {section!r} in the spec{nearest(str(section), sections)}; "
                f"there are: {', '.join(sections)}"
            )
        if not isinstance(values, Mapping):
            raise UsageError(f"section {section!r} of the spec must hold keys and values")
        known = [path.partition(".")[2] for path in spec_fields() if path.startswith(f"{section}.")]
        for key in values:
            if key not in known:
                raise UsageError(
                    f"unknown key {section}.{key} in the spec{nearest(str(key), known)}; "
                    f"{section} has: {', '.join(known)}"
                )
    if not tree.get("endpoint", {}).get("url"):
        raise UsageError("no endpoint: give the server's URL, as in http://localhost:8000")
    given = tree
    try:
        tree = _written_out(under_scenario(tree))
        settle_inputs(tree)
        settle_media(tree)
        settle_lengths(tree)
        settle_series(tree)
        plain = {s: {k: _plain(k, v, f"{s}.{k}") for k, v in values.items()} for s, values in tree.items()}
        spec = msgspec.convert(plain, Spec)
        return checked(spec)
    except msgspec.ValidationError as error:
        raise UsageError(f"spec: {error}".replace("$.", "")) from None
    except UsageError as error:
        raise UsageError(f"{error}{brought_by_scenario(given, str(error))}") from None


def _plain(key: str, value: Any, name: str) -> Any:
    """Durations as numbers in the unit that the key names; lengths as text. `name` is what a UsageError calls it."""
    if isinstance(value, str) and key in _SHARES:
        return parse_share(value)
    if isinstance(value, str) and key.endswith("_s"):
        return parse_duration_s(value, name)
    if isinstance(value, str) and key.endswith("_mb"):
        return parse_size_mb(value)
    if isinstance(value, str) and key.endswith("_ms"):
        return plain_ms(parse_duration_s(value if value.strip()[-1:].isalpha() else f"{value}ms", name))
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_text(name):
        return str(value)
    return value


@functools.cache
def _is_text(path: str) -> bool:
    """Whether the field at `path` is a text and no number: lengths, a version; a number may stand for it."""
    field = spec_fields().get(path)
    kinds = () if field is None else _kinds(field)
    texts = [k for k in kinds if not isinstance(k, msgspec.inspect.NoneType)]
    return bool(texts) and all(
        isinstance(k, msgspec.inspect.StrType)
        or (isinstance(k, msgspec.inspect.LiteralType) and all(isinstance(v, str) for v in k.values))
        for k in texts
    )


def _kinds(field: msgspec.inspect.Field) -> tuple[msgspec.inspect.Type, ...]:
    """The types that a field may have."""
    kind = cast(msgspec.inspect.Metadata, field.type).type
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)


def _written_out(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with every URL and the template of an API written out; what is no text is left to the validation."""
    found = {section: dict(values) for section, values in tree.items()}
    endpoint, observe = found.get("endpoint", {}), found.get("observe", {})
    if isinstance(endpoint.get("url"), str) and not endpoint["url"].startswith(IN_PYTHON):
        endpoint["url"] = full_url(endpoint["url"])
    if "api" in endpoint:
        endpoint["api"] = given_api(endpoint["api"], "endpoint.api")
    written_out(found.get("classes", {}), parse_slo)
    load = found.get("load", {})
    if isinstance(reset := load.get("cache_reset"), str):
        load["cache_reset"] = full_url(reset, "a call that empties a cache")
    if isinstance(page := endpoint.get("metrics_url"), str) and page != "none":
        endpoint["metrics_url"] = full_url(page, _PAGE)
    if isinstance(urls := observe.get("urls"), list):
        observe["urls"] = [full_url(url, _PAGE) if isinstance(url, str) else url for url in urls]
    return found


def with_fields(spec: Spec, fields: Mapping[str, Any]) -> Spec:
    """The Spec with other values by dotted path, as in {"load.rate": 5.0}. `checked` sees whether that can be."""
    for path, value in fields.items():
        section, _, key = path.partition(".")
        spec = msgspec.structs.replace(
            spec, **{section: msgspec.structs.replace(getattr(spec, section), **{key: value})}
        )
    return spec
