"""Configurations as frozen dataclasses: a meaning beside every field, dotted names, tagged unions.

A field whose type is a union of dataclasses is a choice. Each member's `kind` (a field that is no argument)
is its name; "generator.kind" chooses, and the other names below "generator." are then that member's fields.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Literal, TypeVar

import yaml

C = TypeVar("C")

# What other programs call fields of ours.
SAID_ELSEWHERE = {
    **dict.fromkeys(("epochs", "iterations", "iters", "niter", "steps", "max_steps", "kimg"), "images"),
    **dict.fromkeys(("amp", "bf16", "fp16", "half", "dtype"), "compute.precision"),
    **dict.fromkeys(("gpu", "gpus", "gpu_ids", "cuda"), "compute.device"),
    **dict.fromkeys(("resolution", "crop_size", "image_size", "img_size"), "data.size"),
    **dict.fromkeys(("learning_rate", "lr_g"), "optimiser.lr_generator"),
    **dict.fromkeys(("pretrained", "checkpoint", "resume", "finetune"), "start_from"),
    "lr_d": "optimiser.lr_discriminator",
    "num_workers": "data.workers",
    "gradient_checkpointing": "compute.checkpointing",
}


def setting(default: Any, meaning: str) -> Any:
    """A dataclass field with a default and its meaning in one sentence."""
    return field(default=default, metadata={"meaning": meaning})


def variants(kind: Any) -> dict[str, Any]:
    """The members of a tagged union by name; empty for every other type."""
    members: tuple[Any, ...] = typing.get_args(kind) if _is_union(kind) else ()
    systems: list[Any] = [member for member in members if dataclasses.is_dataclass(member)]
    return {system.kind: system for system in systems}


def fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any, str]]:
    """(dotted name, type, value, meaning) of every leaf of a config."""
    kinds = typing.get_type_hints(type(config))
    for item in dataclasses.fields(config):
        name = prefix + item.name
        value: Any = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            if members := variants(kinds[item.name]):
                kind = next(kind for kind, member in members.items() if type(value) is member)
                yield f"{name}.kind", _one_of(members), kind, item.metadata["meaning"]
            yield from fields(value, f"{name}.")
        elif item.init:
            yield name, kinds[item.name], value, item.metadata["meaning"]


def every_field(config: Any) -> Iterator[tuple[str, Any, str]]:
    """(dotted name, default, meaning) of every leaf, of all members of the unions too.

    A field that several members share comes once; where not all have it, the meaning ends with those that do.
    """
    members = _unions(config)
    for name, _, value, meaning in fields(config):
        group = name.partition(".")[0]
        if group not in members:
            yield name, value, meaning
        elif name == f"{group}.kind":
            yield name, value, f"{meaning}: {', '.join(members[group])}"
            holders: dict[tuple[str, Any, str], list[str]] = {}
            for kind, member in members[group].items():
                chosen = _as_member(getattr(config, group), member)
                for leaf, _, default, text in fields(chosen, f"{group}."):
                    holders.setdefault((leaf, default, text), []).append(kind)
            for (leaf, default, text), kinds in holders.items():
                some = "" if len(kinds) == len(members[group]) else f" ({', '.join(kinds)})"
                yield leaf, default, text + some


def override(config: C, values: Mapping[str, Any], title: str) -> C:
    """A config with fields replaced by dotted name, e.g. {"generator.width": "32"}; text is parsed as YAML.

    Choosing another member of a union keeps what was set of the fields that both have, and takes the rest
    from the new member's defaults. The order of `values` does not matter.

    Args:
        title: what the config is called in errors.

    Raises:
        ValueError: for an unknown name (the nearest is named) or a value of the wrong type.
    """
    for group, members in _unions(config).items():
        if (name := f"{group}.kind") in values:
            kind = _parse(name, _one_of(members), values[name])
            config = _replace(config, {group: _as_member(getattr(config, group), members[kind])})
    known = {name: kind for name, kind, _, _ in fields(config)}
    changes: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, leaf = name.rpartition(".")
        if name not in known:
            chosen = f" with {group}.kind {getattr(config, group).kind}" if group in _unions(config) else ""
            raise ValueError(
                f"no field {name!r} in the {title}{chosen}; did you mean {_nearest(name, known)!r}?"
            )
        if leaf != "kind":
            changes.setdefault(group, {})[leaf] = _parse(name, known[name], value)
    top = changes.pop("", {})
    return _replace(
        config, top | {group: _replace(getattr(config, group), c) for group, c in changes.items()}
    )


def assignments(items: Iterable[str]) -> dict[str, str]:
    """FIELD=VALUE, as in `--set`, by field; ValueError for what is none."""
    for item in items:
        if not item.partition("=")[1]:
            raise ValueError(f"--set {item!r}: expected FIELD=VALUE, such as --set batch=4")
    return dict(item.split("=", 1) for item in items)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def as_text(value: Any) -> str:
    """A value as it is given on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else str(value).lower()


def _nearest(name: str, known: Iterable[str]) -> str:
    """The field that is meant by a name that is none: another program's word, an abbreviation, or a slip."""
    leaf_of = {field: field.rpartition(".")[2] for field in known}
    leaf = name.rpartition(".")[2]
    if (elsewhere := SAID_ELSEWHERE.get(leaf)) in leaf_of:
        return str(elsewhere)
    slips = difflib.get_close_matches(leaf, leaf_of.values())
    likely = (
        [field for field in leaf_of if field.startswith(name)]
        or [field for field in leaf_of if leaf_of[field].startswith(leaf)]
        or [field for field in leaf_of if leaf_of[field] in slips]
    )
    return difflib.get_close_matches(name, likely or leaf_of, n=1, cutoff=0.0)[0]


def _unions(config: Any) -> dict[str, dict[str, Any]]:
    hints = typing.get_type_hints(type(config))
    found = {item.name: variants(hints[item.name]) for item in dataclasses.fields(config)}
    return {name: members for name, members in found.items() if members}


def _as_member(chosen: Any, member: Any) -> Any:
    """`chosen` as a `member` of the same union: what was set stays set where the member has such a field."""
    if isinstance(chosen, member):
        return chosen
    names = {item.name for item in dataclasses.fields(member) if item.init}
    given = {item.name: getattr(chosen, item.name) for item in dataclasses.fields(chosen) if item.init}
    defaults = {item.name: item.default for item in dataclasses.fields(chosen)}
    return member(**{n: v for n, v in given.items() if n in names and v != defaults[n]})


def _replace(config: Any, changes: Mapping[str, Any]) -> Any:
    return dataclasses.replace(config, **changes)


def _one_of(names: Iterable[str]) -> Any:
    return Literal[tuple(names)]


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _parse(name: str, kind: Any, value: Any) -> Any:
    """`value` as the type `kind`; "256,512" is a tuple, "none" is None where it is no choice's name."""
    if isinstance(value, str) and kind is not str and typing.get_origin(kind) is not Literal:
        if value.lower() in ("none", "null"):
            value = None
        elif str not in typing.get_args(kind):  # a file may be called 2026-05-01
            value = _read(name, kind, value)
    for candidate in typing.get_args(kind) if _is_union(kind) else (kind,):
        try:
            return _convert(candidate, value)
        except (TypeError, ValueError, OverflowError):
            continue
    raise ValueError(f"{name} is {value!r}, expected {_describe(kind)}")


def _read(name: str, kind: Any, text: str) -> Any:
    """The value that a text means: YAML, and "256,512"."""
    try:
        value = yaml.safe_load(text)
        if isinstance(value, str) and "," in value:
            value = [yaml.safe_load(part) for part in value.strip("()[]").split(",")]
    except yaml.YAMLError:
        raise ValueError(f"{name} is {text!r}, expected {_describe(kind)}") from None
    return value


def _convert(kind: Any, value: Any) -> Any:
    if kind is type(None):
        if value is None:
            return None
    elif typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
    elif typing.get_origin(kind) is tuple:
        if isinstance(value, str):  # "256x512"
            value = [int(part) for part in value.split("x")]
        parts = [value] * 2 if isinstance(value, int) else list(value)  # "256" means 256×256
        if len(parts) == 2 and all(isinstance(part, int) for part in parts):
            return tuple(parts)
    elif kind is bool:
        if isinstance(value, bool):
            return value
    elif kind is int:
        if type(value) is int:  # beyond 2^53 a float would be another
            return value
        if not isinstance(value, bool) and float(value).is_integer():  # "2e3" is text to YAML
            return int(float(value))
    elif kind is float:
        if not isinstance(value, bool):
            return float(value)
    elif isinstance(value, kind):
        return value
    raise TypeError


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    if _is_union(kind):
        return " or ".join(_describe(part) for part in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "height,width, e.g. 256,512"
    return {type(None): "none", bool: "true or false", int: "a whole number", float: "a number", str: "text"}[
        kind
    ]
