"""Conversion of arrays, or dicts and lists of arrays, to one flat vector and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError

Arrays = Any
"""An array, or a dict or list of arrays."""


def plain(value: Any, what: str) -> np.ndarray:
    """Returns ``value`` as a plain array. The mask of a masked array would be lost."""
    if np.ma.is_masked(value):
        raise InputError(f"{what}: found a masked array, whose mask has no counterpart here: use weights of 0, or rows without gaps")
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what}: {str(error).splitlines()[0]}") from None


def numbers(value: Any, what: str) -> np.ndarray:
    """Returns ``value`` as an array of real numbers in double precision.

    It is not copied if it is such an array already, in row order.
    """
    array = plain(value, what)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what}: found dtype {array.dtype}, expected real numbers")
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        raise InputError(f"{what}: found dtype {array.dtype}, expected at most 64 bits")
    if array.size == 0:
        raise InputError(f"{what}: found shape {array.shape}, expected at least one number")
    # Not ascontiguousarray, which turns a scalar into an array of one axis.
    return np.asarray(array, dtype=np.float64, order="C")


class Layout:
    """Names and shapes of the arrays in a flat vector, in order, and whether they are a dict, a list or a single array."""

    def __init__(self, kind: str, names: list[str], shapes: list[tuple[int, ...]]) -> None:
        self.kind, self.names, self.shapes = kind, names, shapes
        self.sizes = [int(np.prod(shape)) for shape in shapes]
        self.size = sum(self.sizes)
        self.lying: set[int] = set()  # positions of the vectors that graphs store as rows

    @classmethod
    def of(cls, value: Arrays, what: str) -> tuple[Layout, np.ndarray]:
        """Returns the layout of ``value``, and its numbers."""
        kind, items = _items(value, what)
        arrays = [numbers(item, f"{what}{_index(kind, name)}") for name, item in items]
        if not arrays:
            raise InputError(f"{what}: found no arrays, expected at least one")
        layout = cls(kind, [name for name, _ in items], [array.shape for array in arrays])
        return layout, np.concatenate([array.ravel() for array in arrays])

    def pack(self, value: Arrays, what: str) -> np.ndarray:
        """Returns the numbers of ``value``, which must have these names and shapes; a flat vector is returned unchanged."""
        if isinstance(value, np.ndarray) and value.shape == (self.size,) and value.dtype == np.float64:
            return np.ascontiguousarray(value)
        kind, items = _items(value, what)
        if kind == "array" and self.kind != "array":
            found = numbers(value, what)
            if found.shape == (self.size,):
                return found
            raise InputError(f"{what}: found shape {found.shape}, expected {self.describe()}")
        if kind == "array":
            items = [(self.names[0], value)]
        given = dict(items)
        for name in given:
            if name not in self.names:
                raise InputError(f"{what}: found {name!r}, expected {self.describe()}")
        flat = []
        for name, shape in zip(self.names, self.shapes):
            at = f"{what}{_index(self.kind, name)}"
            if name not in given:
                raise InputError(f"{at} is missing, expected {self.describe()}")
            array = numbers(given[name], at)
            if array.shape != shape:
                raise InputError(f"{at}: found shape {array.shape}, expected {shape}")
            flat.append(array.ravel())
        return np.concatenate(flat)

    def unpack(self, flat: np.ndarray) -> Arrays:
        """Returns the arrays of a flat vector, as views of it."""
        if self.kind == "array":
            return flat.reshape(self.shapes[0])
        return self.together(
            [part.reshape(shape) for part, shape in zip(np.split(flat, np.cumsum(self.sizes)[:-1]), self.shapes)]
        )

    def together(self, parts: list) -> Arrays:
        """Arranges ``parts``, one per array, as the arrays are: in a dict, in a list or alone."""
        if self.kind == "array":
            return parts[0]
        return list(parts) if self.kind == "list" else dict(zip(self.names, parts))

    def describe(self) -> str:
        """Names and shapes for messages."""
        if self.kind == "array":
            return f"shape {self.shapes[0]}"
        return "arrays " + ", ".join(f"{name} {shape}" for name, shape in zip(self.names, self.shapes))


def _items(value: Arrays, what: str) -> tuple[str, list[tuple[str, Any]]]:
    if isinstance(value, dict):
        if strange := [name for name in value if not isinstance(name, str)]:
            raise InputError(f"{what}: found the name {strange[0]!r}, expected a str")
        if nested := [name for name, item in value.items() if isinstance(item, dict)]:
            raise InputError(f"{what}[{nested[0]!r}]: found a dict in a dict, expected an array: give one dict with names such as 'a.b'")
        return "dict", list(value.items())
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        raise InputError(f"{what}: found a dict in a list, expected an array: give one dict of arrays")
    if isinstance(value, (list, tuple)) and any(isinstance(item, (list, tuple)) or np.ndim(item) > 0 for item in value):
        return "list", [(str(k), item) for k, item in enumerate(value)]
    return "array", [("", value)]


def _index(kind: str, name: str) -> str:
    return {"array": "", "list": f"[{name}]", "dict": f"[{name!r}]"}[kind]
