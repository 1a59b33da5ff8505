"""Pickles of numpy arrays and sparse matrices are read; no pickle runs or creates anything else."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import pickletools
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from mmrec_core.errors import MMRecError
from mmrec_core.reading import safe_pickle

DENSE = (np.random.default_rng(0).random((7, 5)) < 0.4) * np.random.default_rng(1).random((7, 5))
ARRAYS = {
    "float64": DENSE,
    "float32, transposed": DENSE.astype(np.float32).T,
    "float16": DENSE.astype(np.float16),
    "Fortran order": np.asfortranarray(DENSE),
    "int64": np.arange(5),
    "uint8": np.arange(5, dtype=np.uint8),
    "bool": DENSE > 0.5,
    "big endian": DENSE.astype(">f4"),
    "empty": np.zeros((0, 3)),
    "three dimensions": np.arange(24).reshape(2, 3, 4),
}
FORMS = [f"{form}_{kind}" for form in ("coo", "csr", "csc") for kind in ("matrix", "array")]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_exactly(name: str, protocol: int) -> None:
    found = safe_pickle.loads(pickle.dumps(ARRAYS[name], protocol=protocol), "a.pkl")
    assert found.dtype == ARRAYS[name].dtype and np.array_equal(found, ARRAYS[name])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", FORMS)
def test_sparse_matrices_come_back_exactly(form: str, protocol: int, tmp_path: Path) -> None:
    matrix = getattr(sparse, form)(DENSE)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(matrix, protocol=protocol))
    found = safe_pickle.load(tmp_path / "m.pkl")
    assert found.shape == (7, 5) and np.array_equal(found.toarray(), DENSE)


def test_the_names_of_older_scipy_and_numpy_are_read() -> None:
    """scipy before 1.8 and numpy before 2 wrote other module names; their matrices have row and col."""
    body = pickle.dumps(sparse.coo_matrix(DENSE), protocol=3)
    body = body.replace(b"cscipy.sparse._coo\n", b"cscipy.sparse.coo\n")
    body = body.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"numpy._core" not in body and b"sparse._coo" not in body
    assert np.array_equal(safe_pickle.loads(body, "m.pkl").toarray(), DENSE)
    old = _state(row=np.array([0, 6], np.int32), col=np.array([4, 0], np.int32), data=np.ones(2), _shape=(7, 5))
    found = safe_pickle.loads(old, "m.pkl")
    assert found.nnz == 2 and found.toarray()[0, 4] == found.toarray()[6, 0] == 1


def _state(form: str = "coo", **state: Any) -> bytes:
    """A pickled matrix with any state."""

    class _Writer(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            return (getattr(sparse, f"{form}_matrix"), (), obj.state) if isinstance(obj, _Of) else NotImplemented

    class _Of:
        def __init__(self, state: dict[str, Any]) -> None:
            self.state = state

    out = io.BytesIO()
    _Writer(out, 3).dump(_Of(state))
    return out.getvalue()


class _Evil:
    """Something whose pickle calls a function."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.call = (function, given)

    def __reduce__(self) -> Any:
        return self.call


def dangerous(place: Path) -> dict[str, bytes]:
    """Pickles that would do something; each would create a file at ``place`` or read one."""
    mark, write = str(place), f"open({str(place)!r}, 'w').write('x')"
    evil = {
        "os.system": _Evil(os.system, f"touch {mark}"),
        "posix.system by name": None,
        "eval": _Evil(builtins.eval, write),
        "exec": _Evil(builtins.exec, write),
        "open": _Evil(builtins.open, mark, "w"),
        "import": _Evil(builtins.__import__, "antigravity"),
        "getattr": _Evil(builtins.getattr, "x", "format"),
        "subprocess": _Evil(subprocess.run, ["touch", mark]),
        "numpy.load": _Evil(np.load, mark),
        "numpy.fromfile": _Evil(np.fromfile, mark),
        "numpy.memmap": _Evil(np.memmap, mark, np.uint8, "w+", 0, (4,)),
        "numpy.save": _Evil(np.save, mark, np.zeros(2)),
        "numpy.loadtxt": _Evil(np.loadtxt, mark),
        "scipy.sparse.load_npz": _Evil(sparse.load_npz, mark),
        "scipy.io": _Evil(__import__("scipy.io").io.loadmat, mark),
        "inside a list": [np.zeros(2), _Evil(os.system, f"touch {mark}")],
        "inside an array of objects": np.array([_Evil(os.system, f"touch {mark}")], object),
        "inside the state of a matrix": None,
    }
    found = {name: pickle.dumps(value) for name, value in evil.items() if value is not None}
    found["posix.system by name"] = f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()
    found["inside the state of a matrix"] = _state(data=_Evil(os.system, f"touch {mark}"), _shape=(1, 1))
    found["a dotted name"] = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    found["a method of a stand-in"] = b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93."
    found["an instance of the oldest kind"] = f"(S'touch {mark}'\nios\nsystem\n.".encode()
    found["an extension code"] = b"\x80\x02\x82\x01."
    found["a persistent id"] = b"\x80\x04\x8c\x01xQ."
    found["a subclass of ndarray"] = pickle.dumps(np.matrix(DENSE))
    found["a masked array"] = pickle.dumps(np.ma.masked_array(DENSE, DENSE > 0.5))
    found["a function of the reader"] = b"\x80\x04\x8c\x1emmrec_core.reading.safe_pickle\x8c\x05loads\x93."
    return found


@pytest.mark.parametrize("name", dangerous(Path("x")))
def test_a_dangerous_pickle_is_refused_and_does_nothing(name: str, tmp_path: Path) -> None:
    place = tmp_path / "made"
    with pytest.raises(MMRecError) as raised:
        safe_pickle.loads(dangerous(place)[name], "evil.pkl")
    assert "evil.pkl" in str(raised.value) and "\n" not in str(raised.value)
    assert not place.exists()


def test_the_danger_is_real(tmp_path: Path) -> None:
    """Python's own unpickler runs them, so the refusals above test something."""
    pickle.loads(dangerous(tmp_path / "made")["os.system"])
    assert (tmp_path / "made").exists()


def test_a_pickle_names_what_it_wanted() -> None:
    with pytest.raises(MMRecError, match=r"evil\.pkl is a pickle that names builtins\.eval.*only numpy arrays"):
        safe_pickle.loads(pickle.dumps(_Evil(builtins.eval, "1")), "evil.pkl")


@pytest.mark.parametrize(
    "body",
    [
        b"c_codecs\nencode\n}(X\x08\x00\x00\x00__call__Nub.",  # changes an admitted function
        b"c_codecs\nencode\n(N}(X\x05\x00\x00\x00_callNutb.",
        b"cscipy.sparse._coo\ncoo_matrix\n(N}(X\x0c\x00\x00\x00__setstate__Nutb.",  # changes an admitted class
        b"cnumpy\nndarray\n(N}(X\x04\x00\x00\x00madeNutb.",
        b"c_codecs\nencode\n(V../x\nVutf-16\ntR.",  # another encoding
        b"c_codecs\nencode\n(cnumpy\nndarray\nVlatin1\ntR.",
    ],
)
def test_what_is_admitted_cannot_be_changed(body: bytes) -> None:
    with pytest.raises(MMRecError):
        safe_pickle.loads(body, "evil.pkl")
    good = pickle.dumps(sparse.coo_matrix(DENSE), protocol=2)
    assert np.array_equal(safe_pickle.loads(good, "m.pkl").toarray(), DENSE)


INT, ONE = np.array([0], np.int32), np.ones(1)


@pytest.mark.parametrize(
    ("form", "state"),
    [
        ("coo", {"_shape": (7, 5), "data": ONE, "row": INT + 7, "col": INT}),
        ("coo", {"_shape": (7, 5), "data": ONE, "row": INT - 1, "col": INT}),
        ("coo", {"_shape": (7, 5), "data": ONE, "row": INT, "col": np.zeros(2, np.int32)}),
        ("coo", {"_shape": (7, 5), "data": ONE, "row": ONE, "col": INT}),
        ("coo", {"_shape": (7,), "data": ONE, "row": INT, "col": INT}),
        ("coo", {"_shape": (2**40, 5), "data": ONE, "row": INT, "col": INT}),
        ("coo", {"_shape": (-7, 5), "data": ONE, "row": INT, "col": INT}),
        ("coo", {"_shape": "75", "data": ONE, "row": INT, "col": INT}),
        ("coo", {"_shape": (7, 5), "data": np.ones((1, 1)), "row": INT, "col": INT}),
        ("coo", {"_shape": (7, 5), "data": ONE}),
        ("csr", {"_shape": (1, 5), "data": ONE, "indices": INT + 9, "indptr": np.array([0, 1])}),
        ("csr", {"_shape": (1, 5), "data": ONE, "indices": INT, "indptr": np.array([0, 100])}),
        ("csr", {"_shape": (2**30, 5), "data": ONE, "indices": INT, "indptr": np.array([0, 1])}),
        ("csc", {"_shape": (5, 1), "data": ONE, "indices": INT, "indptr": np.array([1, 0])}),
    ],
)
def test_a_matrix_that_contradicts_itself_is_refused(form: str, state: dict[str, Any]) -> None:
    with pytest.raises(MMRecError, match=r"m\.pkl"):
        safe_pickle.loads(_state(form, **state), "m.pkl")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a pickle",
        pickle.dumps(None),
        pickle.dumps([1, 2]),
        pickle.dumps({"a": 1}),
        pickle.dumps(np.array(["a", "b"])),
        pickle.dumps(np.zeros(2, [("a", "i4"), ("b", "f8")])),
        pickle.dumps(np.array(["2020-01-01"], "datetime64[s]")),
        pickle.dumps(1 + 2j),
        pickle.dumps(np.zeros(3))[:-20],
        b"\x80\x04]" + b"\x94" * 20_000 + b".",  # far more steps than a matrix needs
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo of gigabytes
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # claims more bytes than there are
        b"(" * 5_000 + b".",
    ],
)
def test_anything_else_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(MMRecError) as raised:
        safe_pickle.loads(body, "x.pkl")
    assert "x.pkl" in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MMRecError, match=r"trnMat\.pkl cannot be read"):
        safe_pickle.load(tmp_path / "trnMat.pkl")


def test_changed_pickles_give_an_array_or_one_line() -> None:
    """Seeded changes of valid pickles: flipped, cut and doubled bytes; nothing but numbers ever comes back."""
    rng, tries = random.Random(0), int(os.environ.get("MMREC_FUZZ", "100")) * 20
    whole = [pickle.dumps(getattr(sparse, form)(DENSE), protocol=p) for form in FORMS[::2] for p in (0, 2, 3, 4, 5)]
    names = [m.encode() for m in ("os", "posix", "builtins", "numpy", "eval", "system", "load", "fromfile")]
    for _ in range(tries):
        body = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            at, kind = rng.randrange(len(body)), rng.randrange(4)
            if kind == 0:
                body[at] = rng.randrange(256)
            elif kind == 1:
                del body[at : at + rng.randint(1, 8)]
            elif kind == 2:
                body[at:at] = rng.choice(names)
            else:
                body[at:at] = body[at : at + rng.randint(1, 30)]
        try:
            found = safe_pickle.loads(bytes(body), "x.pkl")
        except MMRecError as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(found, (np.ndarray, sparse.coo_array))


def test_every_admitted_name_is_a_stand_in_of_this_module() -> None:
    for stand_in in safe_pickle.ADMITTED.values():
        assert type(stand_in).__module__ == safe_pickle.__name__ or stand_in.__module__ == safe_pickle.__name__
    assert not safe_pickle.OPCODES & {"INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER"}
    assert {op.name for op in pickletools.opcodes} >= safe_pickle.OPCODES
    assert sys.modules["pickle"].Unpickler.find_class is not safe_pickle._Unpickler.find_class
