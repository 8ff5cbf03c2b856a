"""Change single settings of nested frozen dataclasses by name, from text: what `--set rollout.rule.penalty=0` does.

    with_setting(AEPO, "rollout.rule.penalty", "0")
    with_settings(AEPO, {"rollout.premonitor": "no", "rollout.initial": "16"})     # together: neither is valid alone
    settings_of(AEPO)["rollout.rule.base"]                                         # 0.5
    with_setting(DAPO, "shaping.0.factor", "0.5")                                  # parts in a row have numbers
    fitting(REINFORCE, {"rollout.budget": 8, "epochs": 2})                         # of a preset's, those it can take

Text is read as the field's annotated type: numbers, yes/no, none where it is optional, one of the names of a Literal.
Left out: replacing a part by another kind of part, and making rows of parts longer or shorter.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from aepo_env.text import did_you_mean

Whole = TypeVar("Whole")

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_PLAIN = (bool, int, float, str, NoneType)


def with_setting(whole: Whole, path: str, value: Any) -> Whole:
    """A copy with one setting changed; see `with_settings`."""
    return with_settings(whole, {path: value})


def with_settings(whole: Whole, settings: Mapping[str, Any]) -> Whole:
    """A copy with some settings changed at once; text is converted, other values are taken as they are.

    Raises:
        ValueError: an unknown name (the known ones are listed), a name of a part instead of a setting, text that does
            not fit the type, or what the dataclass itself refuses.
    """
    changed: Whole = _changed(whole, {tuple(path.split(".")): value for path, value in settings.items()}, ())
    return changed


def settings_of(whole: Any) -> dict[str, Any]:
    """All settings that can be changed, by their dotted names, with their present values."""
    found: dict[str, Any] = {}
    for entry in fields(whole):
        value = getattr(whole, entry.name)
        parts = _numbered(entry.name, value)
        if parts:
            for name, part in parts.items():
                found |= {f"{name}.{below}": inside for below, inside in settings_of(part).items()}
        elif isinstance(value, _PLAIN):
            found[entry.name] = value
    return found


def fitting(whole: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of settings meant for many, those that this one can take, one after the other; for presets, never for a user's.

    Left out are names it does not have, and values it refuses beside the ones before them.
    """
    taken: dict[str, Any] = {}
    for name, value in settings.items():
        try:
            with_settings(whole, {**taken, name: value})
        except ValueError:
            continue
        taken[name] = value
    return taken


def _numbered(name: str, value: Any) -> dict[str, Any]:
    """A part by its name, the parts of a row by their names with numbers; nothing for what is neither."""
    if isinstance(value, tuple):
        return {f"{name}.{place}": part for place, part in enumerate(value) if _is_part(part)}
    return {name: value} if _is_part(value) else {}


def _changed(whole: Any, settings: Mapping[tuple[str, ...], Any], above: tuple[str, ...]) -> Any:
    known = {entry.name: entry for entry in fields(whole)}
    settings = {_joined(whole, path): value for path, value in settings.items()}
    inside: dict[str, dict[tuple[str, ...], Any]] = {}
    changes: dict[str, Any] = {}
    for (name, *rest), value in settings.items():
        here = ".".join((*above, name))
        current = _part(whole, name)
        if (
            (name not in known and current is None)
            or bool(rest) != _is_part(current)
            or not (rest or isinstance(current, _PLAIN))
        ):
            wanted = ".".join((here, *rest))
            prefix = "".join(f"{part}." for part in above)
            names = ", ".join(prefix + known_name for known_name in settings_of(whole))
            hint = did_you_mean(wanted, [prefix + known_name for known_name in settings_of(whole)])
            raise ValueError(f"There is no setting {wanted!r}{hint} Known here: {names}.")
        if rest:
            inside.setdefault(name, {})[tuple(rest)] = value
        else:
            entry = known[name]
            # A type that only a type checker knows is that of the present value.
            changes[name] = converted(value, type(current) if isinstance(entry.type, str) else entry.type, here)
    for name, below in inside.items():
        made = _changed(_part(whole, name), below, (*above, name))
        row, dot, place = name.partition(".")
        if dot:
            parts = list(changes.get(row, getattr(whole, row)))
            parts[int(place)] = made
            changes[row] = tuple(parts)
        else:
            changes[name] = made
    return replace(whole, **changes)


def _joined(whole: Any, path: tuple[str, ...]) -> tuple[str, ...]:
    """The path with a row's name and the number behind it as one."""
    if len(path) > 1 and isinstance(getattr(whole, path[0], None), tuple):
        return (f"{path[0]}.{path[1]}", *path[2:])
    return path


def _part(whole: Any, name: str) -> Any:
    """The field of this name, or the part of a row; None where there is none."""
    row, dot, _ = name.partition(".")
    value = getattr(whole, row) if row in {entry.name for entry in fields(whole)} else None
    return _numbered(row, value).get(name) if dot else value


def _is_part(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def converted(value: Any, kind: Any, path: str) -> Any:
    """A value as a type: text is read, a whole number is a number too.

    Raises:
        ValueError: it does not fit; `path` names the setting.
    """
    kinds = _alternatives(kind)
    for one in kinds:
        try:
            return _read(value.strip(), one) if isinstance(value, str) else _as(value, one)
        except ValueError:
            continue
    expected = " or ".join(_described(one) for one in kinds)
    raise ValueError(f"{path} takes {expected}, not {value!r}.")


def _as(value: Any, kind: Any) -> Any:
    """A value that is no text: 1 is 1.0, but yes is not 1, and what is no number is none."""
    if kind is float and type(value) is int:
        return float(value)
    fits = type(value) is kind and value == value if kind in _PLAIN else get_origin(kind) is not Literal
    if not fits:
        raise ValueError(value)
    return value


def _alternatives(kind: Any) -> list[Any]:
    """The types of a union, none first, so that "none" is not read as a string."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return sorted(kinds, key=lambda each: each is not NoneType)


def _read(text: str, kind: Any) -> Any:
    if kind is NoneType and text.lower() in ("none", "null"):
        return None
    if kind is bool and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if get_origin(kind) is Literal and text in get_args(kind):
        return text
    if kind in (int, float, str) and text.lower() != "nan":
        return kind(text)
    raise ValueError(text)


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    return {bool: "yes or no", int: "a whole number", float: "a number", str: "text", NoneType: "none"}.get(
        kind, str(kind)
    )
