"""Read numpy arrays and scipy.sparse matrices from pickle files; nothing else in a pickle is ever called or created.

A pickle is a program. This module runs it with stand-ins only: every name that a numpy or scipy pickle uses is bound to
a class or function of this module, which records plain values (shapes, type codes, bytes) and checks them. Any other
name is refused before anything runs. Arrays are then made from the recorded values.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mmrec_core.errors import MMRecError, short
from mmrec_core.reading import input_files
from mmrec_core.types import Array

OPCODES = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK GLOBAL STACK_GLOBAL REDUCE BUILD NEWOBJ "
    "PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET "
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS".split()
)
"""Instructions of a pickle that are run; an array or a matrix needs no others."""
MAX_STEPS = 10_000
"""Largest number of instructions; a matrix needs about 100."""
MAX_SIDE = 2**31 - 1
"""Largest number of rows or columns of a matrix."""
NUMBERS = re.compile(r"b1|[iu][1248]|f[248]", re.ASCII)
"""Type codes of numpy that are read: booleans, whole numbers and floats."""


def load(file: Path) -> Any:
    """Read the one numpy array or sparse matrix of a pickle file.

    Returns:
        A numpy array of numbers, or a ``scipy.sparse.coo_array``.

    Raises:
        MMRecError: damaged, over a size limit, or it holds or names anything else.
    """
    with input_files.reading(file, "a pickled numpy array or scipy.sparse matrix"):
        if file.stat().st_size > input_files.MAX_BYTES:
            raise MMRecError(f"{file} is over {input_files.MAX_BYTES >> 30} GiB; it was not read.")
        return loads(file.read_bytes(), file)


def loads(body: bytes, where: object) -> Any:
    """:func:`load` for the bytes of a file; ``where`` is its name in messages."""
    with input_files.reading(where, "a pickled numpy array or scipy.sparse matrix"):
        _check_opcodes(body, where)
        try:
            found = _Unpickler(io.BytesIO(body), where).load()
        except pickle.PickleError as error:
            raise ValueError(str(error)) from None
        if not isinstance(found, (_Array, _Sparse)):
            raise MMRecError(_refusal(where, f"holds {_named(found)}"))
        return found.made()


def _check_opcodes(body: bytes, where: object) -> None:
    """Refuse instructions that no array needs, before any is run."""
    for step, (opcode, given, _) in enumerate(pickletools.genops(body)):
        if opcode.name not in OPCODES:
            raise MMRecError(_refusal(where, f"uses the instruction {opcode.name}"))
        if step >= MAX_STEPS or (opcode.name in {"PUT", "LONG_BINPUT"} and int(given or 0) > MAX_STEPS):
            raise MMRecError(_refusal(where, "holds more than one array or matrix"))


def _refusal(where: object, what: str) -> str:
    return (
        f"{where} is a pickle that {what}. Pickles can run programs, so only numpy arrays and scipy.sparse matrices "
        "(coo, csr, csc) are read from them. Save the data with numpy.save or as a table."
    )


def _named(value: Any) -> str:
    return f"a {type(value).__name__.strip('_').lower()}" if value is not None else "nothing"


class _Function:
    """A stand-in for a function of numpy; a pickle can call it but not change it.

    The instruction BUILD calls ``__setstate__`` where there is one, so every stand-in has one. On a stand-in class,
    BUILD calls it without an instance and fails.
    """

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *given: Any) -> Any:
        """Call it."""
        return self._call(*given)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError("a pickle tried to change a function")

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("a pickle tried to change a function")


class _Dtype:
    """A stand-in for ``numpy.dtype``: a type code of numbers and a byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not NUMBERS.fullmatch(code):
            raise ValueError(f"an array is of type {short(str(code), 40)}, expected numbers")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        order, *parts = state[1:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in parts):
            raise ValueError("an array is of a composed type, expected numbers")
        self.order = order

    def made(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self.order + self.code)


class _Array:
    """A stand-in for ``numpy.ndarray``: a shape, a type and bytes."""

    __slots__ = ("fortran", "kind", "raw", "shape")

    def __init__(self) -> None:
        self.shape: Any = None

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.raw = state

    def made(self) -> Array:
        """The numpy array."""
        if not isinstance(self.shape, tuple) or not isinstance(self.kind, _Dtype):
            raise ValueError("an array without a shape or a type")
        shape, raw = tuple(_whole(side) for side in self.shape), self.raw
        raw = raw.encode("latin-1") if isinstance(raw, str) else raw  # written by Python 2
        if not isinstance(raw, (bytes, bytearray)):
            raise ValueError("an array of objects, expected numbers")
        kind = self.kind.made()
        if len(shape) > 32 or math.prod(shape) * kind.itemsize != len(raw):
            raise ValueError(f"an array of shape {short(str(shape), 60)} with {len(raw):,} bytes")
        flat = np.frombuffer(bytes(raw), kind)
        return flat.reshape(shape, order="F" if self.fortran is True else "C")


class _Sparse:
    """A stand-in for a matrix of scipy.sparse: its attributes."""

    __slots__ = ("state",)
    form = ""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def made(self) -> Any:
        """The matrix as a ``scipy.sparse.coo_array``."""
        from scipy import sparse

        if not isinstance(self.state, dict):
            raise ValueError("a matrix without its parts")
        shape = tuple(_whole(side) for side in self._part("_shape", tuple))
        if len(shape) != 2 or max(shape) > MAX_SIDE:
            raise ValueError(f"a matrix of shape {short(str(shape), 60)}")
        values = self._vector("data")
        if self.form == "coo":
            coords = self.state.get("coords")  # scipy 1.13 and later; before, row and col
            if coords is not None:
                coords = [each.made() if isinstance(each, _Array) else np.zeros((0, 0)) for each in coords]
            else:
                coords = [self._vector("row"), self._vector("col")]
            if len(coords) != 2 or any(c.ndim != 1 or c.dtype.kind not in "iu" for c in coords):
                raise ValueError("coordinates that are not two columns of whole numbers")
            if len({len(values), *(len(c) for c in coords)}) != 1:
                raise ValueError("coordinates and values of different lengths")
            if any(
                len(c) and not 0 <= int(c.min()) <= int(c.max()) < side for c, side in zip(coords, shape, strict=True)
            ):
                raise ValueError(f"coordinates beyond its shape {shape}")
            return sparse.coo_array((values, tuple(coords)), shape=shape)
        kind = sparse.csr_array if self.form == "csr" else sparse.csc_array
        made = kind((values, self._vector("indices"), self._vector("indptr")), shape=shape)
        made.check_format(full_check=True)
        return made.tocoo()

    def _part(self, name: str, kind: type) -> Any:
        value = self.state.get(name)
        if not isinstance(value, kind):
            raise ValueError(f"a matrix without '{name}'")
        return value

    def _vector(self, name: str) -> Array:
        made: Array = self._part(name, _Array).made()
        if made.ndim != 1:
            raise ValueError(f"a matrix whose '{name}' is {made.ndim}-dimensional")
        return made


class _Coo(_Sparse):
    __slots__ = ()
    form = "coo"


class _Csr(_Sparse):
    __slots__ = ()
    form = "csr"


class _Csc(_Sparse):
    __slots__ = ()
    form = "csc"


class _Object:
    """A stand-in for ``object`` in the oldest pickles."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("a pickle tried to change an object")


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a length that is {_named(value)}")
    return value


def _empty_array(cls: Any, *_: Any) -> _Array:
    """``numpy.core.multiarray._reconstruct``: an array whose state follows."""
    if cls is not _Array:
        raise ValueError("an array of another class than numpy.ndarray")
    return _Array()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any, *_: Any) -> _Array:
    """``numpy.core.numeric._frombuffer``: an array in protocol 5."""
    made = _Array()
    made.__setstate__((1, shape, kind, order == "F", raw))
    return made


def _scalar(kind: Any, raw: Any = b"") -> Any:
    """``numpy.core.multiarray.scalar``: one number, such as a side of a shape."""
    single = _Array()
    single.__setstate__((1, (1,), kind, False, raw))
    return single.made()[0].item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """``_codecs.encode``: bytes in protocols 0 to 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("text in another encoding than Latin-1")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """``bytes()`` in protocols 0 to 2."""
    return b""


def _new(cls: Any, base: Any, state: Any) -> Any:
    """``copyreg._reconstructor``: an object in protocols 0 and 1."""
    if cls not in (_Coo, _Csr, _Csc) or base is not _Object or state is not None:
        raise ValueError("an object that is no matrix")
    return cls()


def _admitted() -> dict[tuple[str, str], Any]:
    """What each admitted name of a pickle stands for."""
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _Function(_encode),
    }
    for builtins, copyreg in (("builtins", "copyreg"), ("__builtin__", "copy_reg")):  # the latter up to protocol 2
        names[copyreg, "_reconstructor"] = _Function(_new)
        names[builtins, "object"] = _Object
        names[builtins, "bytes"] = _Function(_no_bytes)
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = _Function(_empty_array)
        names[f"{core}.multiarray", "scalar"] = _Function(_scalar)
        names[f"{core}.numeric", "_frombuffer"] = _Function(_from_buffer)
    for form, cls in (("coo", _Coo), ("csr", _Csr), ("csc", _Csc)):
        for module in (f"scipy.sparse.{form}", f"scipy.sparse._{form}", "scipy.sparse"):
            names[module, f"{form}_matrix"] = names[module, f"{form}_array"] = cls
    return names


ADMITTED = _admitted()


class _Unpickler(pickle.Unpickler):
    """Python's unpickler with the names of :data:`ADMITTED` only."""

    def __init__(self, stream: io.BytesIO, where: object) -> None:
        super().__init__(stream, encoding="latin1")
        self.where = where

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name.

        Raises:
            MMRecError: the name is not admitted.
        """
        if (found := ADMITTED.get((module, name))) is None:
            raise MMRecError(_refusal(self.where, f"names {short(f'{module}.{name}', 80)}"))
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refused; the instruction is not admitted either."""
        raise MMRecError(_refusal(self.where, "refers to an object outside it"))
