"""What is saved comes back bit by bit; others read our files and we theirs; damaged and hostile files give one clear error.

Read next: test_pytorch_files.py.
"""

import collections
import contextlib
import io
import json
import os
import re
import stat
import struct
import sys
import tracemalloc
import warnings
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
from as_torch import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradnerve as gn
from gradnerve.storage import LoadError, load, save

FORMATS = ["npz", pytest.param("safetensors", marks=pytest.mark.skipif(find_spec("safetensors") is None, reason="needs safetensors"))]
CHECKPOINT = {
    "model": {"fc.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "fc.bias": np.arange(3.0), "steps": np.array(7)},
    "optimizer": {"state": {0: {"step": 5, "m": np.full((3, 4), 1e-8)}, 1: {"step": 2**70}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
    "history": [{"loss": np.float64(0.25), "accuracy": 0.5}, {"loss": float("nan"), "accuracy": None}],
    "raw": b"bytes",
}  # fmt: skip


def same(a, b):
    """Equal in types, order, shapes and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and not isinstance(a, np.generic):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex) and not isinstance(a, np.generic):
        return same((a.real, a.imag), (b.real, b.imag))
    if isinstance(a, gn.Tensor):
        return a.requires_grad == b.requires_grad and same(a.data, b.data)
    if isinstance(a, np.random.Generator):
        return a.bit_generator.state["bit_generator"] == b.bit_generator.state["bit_generator"] and same(a.random(4), b.random(4))
    if isinstance(a, (np.ndarray, np.generic)):
        native = a.astype(a.dtype.newbyteorder("="))
        if native.dtype.char in "gG":  # of whose bytes some mean nothing
            return native.shape == b.shape and native.dtype == b.dtype and np.array_equal(native, b, equal_nan=True)
        return native.shape == b.shape and native.dtype == b.dtype and native.tobytes() == b.tobytes()
    return a == b


def there_and_back(obj, path):
    save(obj, path)
    return load(path)


@contextlib.contextmanager
def memory_below(limit):
    """The block takes no more memory at any time, in bytes."""
    tracemalloc.start()
    try:
        yield
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < limit


# --- round trips -----------------------------------------------------------------------------------------------------

DTYPES = ["?", "i1", "u1", "<i2", ">u2", "<i4", ">u4", "<i8", ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c16"]


@st.composite
def arrays(draw, dtypes=DTYPES):
    """Arrays of any bits and layout."""
    dtype, shape = np.dtype(draw(st.sampled_from(dtypes))), tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = int(np.prod(shape)) * dtype.itemsize
    array = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)
    array = (array % 2).view(bool) if dtype.kind == "b" else array.view(dtype)
    array = array.reshape(shape)
    layout = draw(st.sampled_from(["C", "F", "reversed"]))
    return np.asfortranarray(array) if layout == "F" and shape else array[::-1] if layout == "reversed" and shape else array


def bits_as_float(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


FLOATS = st.integers(0, 2**64 - 1).map(bits_as_float) | st.sampled_from([-0.0, float("inf"), bits_as_float(0x7FF4000000000001), 5e-324])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**140), 2**140), FLOATS, st.builds(complex, FLOATS, FLOATS), st.text(max_size=5),
    st.text(st.characters(), max_size=3), st.binary(max_size=5), arrays(), arrays().filter(lambda a: a.size).map(lambda a: a.ravel()[0]),
    arrays(["<f4", "<f8"]).map(lambda a: gn.Tensor(a, requires_grad=True)), st.sampled_from([np.str_("é"), np.bytes_(b"a"), np.longdouble(1) / 3]),
)  # fmt: skip
KEYS = st.text(max_size=4) | st.sampled_from(["a", "A", "a.b", "", ".", "..", "../x", "a/b", "dict", "x.npy", "#0", "gradnerve.json", "__metadata__"])
OBJECTS = st.recursive(LEAVES, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=4),
    st.dictionaries(KEYS | st.integers(-(2**70), 2**70), inner, max_size=4),
    st.dictionaries(KEYS, inner, max_size=4).map(collections.OrderedDict)), max_leaves=12)  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(obj=OBJECTS)
def test_any_object_comes_back_bit_by_bit(tmp_path, format, obj):
    assert same(obj, there_and_back(obj, tmp_path / f"x.{format}"))


def test_npz_has_arrays_of_strings(tmp_path):
    words = np.array([["é", "", "abc"], ["\U0001f600", " ", "x"]])
    obj = {"native": words, "swapped": words.astype(">U5"), "T": words.T, "bytes": np.array([b"ab", b""]), "empty": words[:0], "0-d": words[0, 0]}
    assert same(obj, there_and_back(obj, tmp_path / "x.npz"))


def test_npz_has_long_doubles(tmp_path):
    array = np.array([1, np.pi, np.inf], np.longdouble) / 3
    found = there_and_back({"a": array, "b": array.astype(np.clongdouble)}, tmp_path / "x.npz")
    assert same({"a": array, "b": array.astype(np.clongdouble)}, found)


@pytest.mark.parametrize("format", FORMATS)
def test_checkpoints_and_layouts_come_back(tmp_path, format):
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    obj = {**CHECKPOINT, "fortran": fortran, "strided": np.arange(10)[::3], "swapped": np.arange(3, dtype=">i4"), "text": "ä\ud800"}
    found = there_and_back(obj, tmp_path / f"x.{format}")
    assert same(obj, found)
    assert found["swapped"].dtype.isnative
    assert all(a.flags.writeable and a.flags.aligned for a in (found["fortran"], found["strided"], found["swapped"]))


@pytest.mark.parametrize("format", FORMATS)
def test_tensors_come_back_as_leaves(tmp_path, format):
    x = gn.Tensor([1.0, 2.0], requires_grad=True)
    found = there_and_back({"leaf": x, "constant": gn.Tensor([1, 2]), "result": x * 2, "parameter": gn.nn.Parameter([3.0])}, tmp_path / f"x.{format}")
    assert [(type(t), t.requires_grad) for t in found.values()] == [(gn.Tensor, wanted) for wanted in (True, False, False, True)]
    (found["leaf"] * found["result"]).sum().backward()
    np.testing.assert_array_equal(found["leaf"].grad, [2, 4])
    assert found["constant"].dtype.kind == "i"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_go_on_where_they_were(tmp_path, format, kind):
    rng = np.random.Generator(getattr(np.random, kind)(3))
    rng.random(5), rng.integers(9, size=3, dtype=np.uint32)  # half of a number is left over
    found = there_and_back({"rng": rng}, tmp_path / f"x.{format}")["rng"]
    np.testing.assert_array_equal(rng.integers(2**30, size=9, dtype=np.uint32), found.integers(2**30, size=9, dtype=np.uint32))
    np.testing.assert_array_equal(rng.normal(size=700), found.normal(size=700))


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_object_gives_the_same_bytes(tmp_path, format):
    first, second = tmp_path / f"a.{format}", tmp_path / f"b.{format}"
    save(CHECKPOINT, first)
    save(CHECKPOINT, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_model_is_trained_on_from_a_file(tmp_path):
    model, other = gn.nn.Linear(3, 2), gn.nn.Linear(3, 2)
    save(model.state_dict(), tmp_path / "x.safetensors")
    other.load_state_dict(load(tmp_path / "x.safetensors"))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(model(x).data, other(x).data)


def test_binary_file_objects_hold_npz():
    file = io.BytesIO()
    save(CHECKPOINT, file)
    assert same(CHECKPOINT, load(file))
    with pytest.raises(ValueError, match="file object is for the format 'npz', not 'safetensors'"):
        save(CHECKPOINT, file, format="safetensors")


def test_format_goes_by_the_end_of_the_path_or_by_the_argument(tmp_path):
    save(CHECKPOINT, tmp_path / "run.ckpt", format="npz")
    assert same(CHECKPOINT, load(str(tmp_path / "run.ckpt"), format="npz"))
    save(CHECKPOINT, os.fsencode(tmp_path / "UPPER.NPZ"))
    assert same(CHECKPOINT, load(tmp_path / "UPPER.NPZ"))
    for function in (load, lambda path: save({}, path)):
        with pytest.raises(ValueError, match=r"run.ckpt'.*no format for a path that ends with 'ckpt'; take one of npz, safetensors"):
            function(tmp_path / "run.ckpt")
    with pytest.raises(TypeError, match="path is a string, a PathLike or a binary file, not 3"):
        load(3)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.npz")


# --- others' readers and writers -------------------------------------------------------------------------------------

STATE = {"fc.weight": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3), "fc.bias": np.array([np.nan, -0.0]), "n": np.array(3)}


def test_numpy_reads_a_state_dict_under_its_names(tmp_path):
    save(STATE, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as found:
        assert found.files == [*STATE, "gradnerve.json"]
        assert same(STATE, {name: found[name] for name in STATE})


def test_safetensors_and_pytorch_read_a_state_dict_under_its_names(tmp_path):
    numpys = pytest.importorskip("safetensors.numpy")
    save(STATE, tmp_path / "x.safetensors")
    assert {**numpys.load_file(tmp_path / "x.safetensors")}.keys() == STATE.keys()
    assert all(same(STATE[name], array) for name, array in numpys.load_file(tmp_path / "x.safetensors").items())
    found = pytest.importorskip("safetensors.torch").load_file(tmp_path / "x.safetensors")
    assert all(same(STATE[name], found[name].numpy()) for name in STATE)


def test_complex_numbers_are_pairs_for_pytorch(tmp_path):
    theirs = pytest.importorskip("safetensors.torch")
    save({"z": np.array([1 + 2j, 3])}, tmp_path / "x.safetensors")
    assert torch.view_as_complex(theirs.load_file(tmp_path / "x.safetensors")["z"]).tolist() == [1 + 2j, 3]


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
def test_numpys_files_load_to_a_flat_dict(tmp_path, savez):
    arrays = {**STATE, "a/b": np.zeros((0, 2)), "ä": np.asfortranarray(np.ones((2, 3), ">f8")), "s": np.array(["x", "yz"]), "big": np.zeros(300_000)}
    savez(tmp_path / "x.npz", **arrays)
    assert same(arrays, load(tmp_path / "x.npz"))
    savez(tmp_path / "empty.npz")
    assert load(tmp_path / "empty.npz") == {}


def test_files_of_the_safetensors_package_load_to_a_flat_dict(tmp_path):
    numpys, ml_dtypes = pytest.importorskip("safetensors.numpy"), pytest.importorskip("ml_dtypes")
    arrays = {dtype: np.arange(6).reshape(2, 3).astype(dtype) for dtype in "? u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8".split()}
    arrays |= {"0-d": np.array(2.5), "empty": np.zeros((0, 3)), "ä": np.ones(1)}
    numpys.save_file(arrays | {"bf": arrays["f4"].astype(ml_dtypes.bfloat16)}, tmp_path / "x.safetensors", metadata={"made by": "them"})
    found = load(tmp_path / "x.safetensors")
    assert same(dict(sorted((arrays | {"bf": arrays["f4"]}).items())), dict(sorted(found.items())))


def test_bfloat16_becomes_float32_exactly(tmp_path):
    theirs, ml_dtypes = pytest.importorskip("safetensors.torch"), pytest.importorskip("ml_dtypes")
    raw = np.arange(2**16, dtype=np.uint16)
    theirs.save_file({"w": torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16)}, tmp_path / "x.safetensors")
    with np.errstate(invalid="ignore"):
        wanted = raw.view(ml_dtypes.bfloat16).astype(np.float32)
    found = load(tmp_path / "x.safetensors")["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for act in (lambda: save({"a": ONES}, tmp_path / "x.safetensors"), lambda: load(tmp_path / "x.safetensors")):
        (tmp_path / "x.safetensors").write_bytes(framed("{}"))
        with pytest.raises(ImportError, match=r"\.safetensors need the package safetensors: pip install 'gradnerve\[io\]'"):
            act()


# --- what cannot be saved --------------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize("obj, message", [
    ({"optimizer": {"state": {0: {"hook": sum}}}}, r"optimizer\.state\.0\.hook: cannot save a builtin_function_or_method"),
    ({"a": [1, {2}]}, r"a\.1: cannot save a set"),
    ({"a": Point(1, 2)}, r"a: cannot save a .*Point"),
    ({"a": np.array([None])}, r"a: cannot save an array of object"),
    ({"a": np.zeros(2, "M8[s]")}, r"a: cannot save an array of datetime64"),
    ({"a": np.zeros(2, [("x", "f4")])}, r"a: cannot save an array of \[\('x'"),
    ({"a": np.datetime64(0, "s")}, r"a: cannot save an array of datetime64"),
    ({"a": np.ma.masked_array([1.0])}, r"a: cannot save a numpy\.ma.*MaskedArray"),
    ({(1, 2): 3}, r"cannot save a dict with a tuple as a key; keys are strings or integers"),
    ({"x": {True: 3}}, r"x: cannot save a dict with a bool as a key"),
    ({"net": gn.nn.Linear(2, 2)}, r"net: cannot save a gradnerve.*Linear; its state can be saved: save\(model\.state_dict\(\), \.\.\.\)"),
    (gn.nn.Linear(2, 2), r"save: cannot save a gradnerve.*Linear.*save\(model\.state_dict\(\)"),
])  # fmt: skip
@pytest.mark.parametrize("format", FORMATS)
def test_what_cannot_be_saved_is_named_with_its_place(tmp_path, format, obj, message):
    (tmp_path / f"x.{format}").write_text("old")
    with pytest.raises(TypeError, match=message):
        save(obj, tmp_path / f"x.{format}")
    assert (tmp_path / f"x.{format}").read_text() == "old"


def test_cycles_and_great_depth_are_errors(tmp_path):
    loop = {"a": []}
    loop["a"].append(loop)
    with pytest.raises(ValueError, match=r"a\.0: cannot save a dict that contains itself"):
        save(loop, tmp_path / "x.npz")
    deep = 1.0
    for level in range(100):
        deep = {"a": deep} if level % 2 else [deep]
    assert same(deep, there_and_back(deep, tmp_path / "x.npz"))
    with pytest.raises(ValueError, match=r"0\.a\.0\.\.\..: cannot save more than 100 levels"):
        save([deep], tmp_path / "x.npz")
    pairs = 1
    for _ in range(100):
        pairs = {0: pairs}
    assert same(pairs, there_and_back(pairs, tmp_path / "x.npz"))
    shared = [np.ones(2)] * 2
    assert same([shared, shared], there_and_back([shared, shared], tmp_path / "x.npz"))


def test_arrays_that_safetensors_has_no_code_for_are_named(tmp_path):
    for array in (np.array(["a"]), np.ones(2, np.longdouble)):
        with pytest.raises(TypeError, match=r"a\.b: cannot save an array of .*safetensors has no code for; save it as \.npz"):
            save({"a": {"b": array}}, tmp_path / "x.safetensors")


def test_writing_pytorchs_format_says_what_pytorch_can_read(tmp_path):
    with pytest.raises(ValueError, match=r"x\.pt'.*only read.*safetensors\.torch\.load_file"):
        save({}, tmp_path / "x.pt")


# --- all or nothing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, format, error):
    path = tmp_path / f"x.{format}"
    save(CHECKPOINT, path)
    before = path.read_bytes()

    class Full:
        """A file on a disk that is full half way."""

        def __init__(self, *args, **options):
            self.file, self.left = open_really(*args, **options), len(before) // 2

        def write(self, data):
            self.left -= len(data)
            if self.left < 0:
                raise error
            return self.file.write(data)

        def __enter__(self):
            return self

        def __exit__(self, *what):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

    open_really = open
    monkeypatch.setattr("gradnerve.storage.atomic.open", Full, raising=False)
    with pytest.raises(type(error)):
        save({**CHECKPOINT, "more": np.ones(100)}, path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupt_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "x.npz"
    save({"a": 1}, path)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save({"a": 2}, path)
    monkeypatch.undo()
    assert load(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.npz"]


def test_an_interrupt_just_before_an_entry_is_an_interrupt(tmp_path, monkeypatch):
    """Then the zip that is closed complains that the entry is still open."""
    begin = zipfile.ZipFile.open

    def interrupted(*args, **options):
        entry = begin(*args, **options)
        interrupted.kept.append(entry)
        raise KeyboardInterrupt

    interrupted.kept = []
    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save({"a": np.ones(3)}, tmp_path / "x.npz")
    assert not os.listdir(tmp_path)


def test_options_of_pytorchs_load(tmp_path):
    path = tmp_path / "x.npz"
    save({"a": 1}, path)
    assert load(path, map_location="cpu", weights_only=True) == {"a": 1}
    with pytest.raises(ValueError, match="load: arrays are on the CPU, not on 'cuda'"):
        load(path, map_location="cuda")
    with pytest.raises(ValueError, match="load: code in files is never run: weights_only is always True"):
        load(path, weights_only=False)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_permissions_links_and_umask_are_kept(tmp_path):
    path, link, umask = tmp_path / "x.npz", tmp_path / "link.npz", os.umask(0o027)
    try:
        save({"a": 1}, path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    link.symlink_to(path)
    save({"a": 2}, link)
    assert link.is_symlink() and not path.is_symlink()
    assert load(path) == {"a": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(OSError, match=r"pipe\.npz' is a device or a pipe"):
        save({}, tmp_path / "pipe.npz")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save({}, tmp_path, format="npz")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        save({}, tmp_path / "missing" / "x.npz")
    assert os.listdir(tmp_path) == ["pipe.npz"]


# --- damaged files ---------------------------------------------------------------------------------------------------


def damaged(data, flips=300, cuts=60):
    """Truncations, and copies with a single bit flipped."""
    rng = np.random.default_rng(0)
    yield from (data[: len(data) * k // cuts] for k in range(cuts))
    for position in rng.integers(len(data), size=flips):
        changed = bytearray(data)
        changed[position] ^= 1 << rng.integers(8)
        yield bytes(changed)


def check_damage(path, wanted, flips=300):
    """Each damaged copy gives an error that names it, or exactly what the whole file gives."""
    data, errors = path.read_bytes(), 0
    for copy in damaged(data, flips):
        path.write_bytes(copy)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = load(path)
        except LoadError as error:
            assert str(error).startswith(f"load: '{path}': ")
            errors += 1
        else:
            assert same(wanted, found)
    return errors


def write_foreign(path, writer):
    writer(path, **{"fc.weight": np.linspace(0, 1, 300), "b": np.arange(5), "ä": np.ones((3, 1), np.float32)})


@pytest.mark.parametrize("format", FORMATS)
def test_no_damage_to_our_files_goes_unseen(tmp_path, format):
    path = tmp_path / f"x.{format}"
    assert check_damage(path, there_and_back(CHECKPOINT, path)) > 150


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_no_damage_to_numpys_files_goes_unseen(tmp_path, writer):
    write_foreign(tmp_path / "x.npz", writer)
    assert check_damage(tmp_path / "x.npz", load(tmp_path / "x.npz")) > 150


def test_errors_of_damaged_arrays_name_file_and_entry(tmp_path):
    for format, entry in (("npz", "model.w.npy"), ("safetensors", "model.w")):
        path = tmp_path / f"x.{format}"
        save({"model": {"w": np.full(1000, 1.5), "a": np.ones(3)}}, path)
        data = bytearray(path.read_bytes())
        data[data.index(np.full(9, 1.5).tobytes()) + 6] ^= 4
        path.write_bytes(data)
        with pytest.raises(LoadError, match=rf"load: '.*x\.{format}': entry '{entry}': is damaged: its bytes do not give its checksum"):
            load(path)


# --- hostile .npz ----------------------------------------------------------------------------------------------------


def npy(array, **header):
    """A .npy file, whose header may lie."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array) | header)
    return file.getvalue() + array.tobytes()


def zipped(path, entries, method=zipfile.ZIP_STORED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in entries:
            archive.writestr(name, data)


def patched(path, signature, offset, value):
    """Change bytes after the last place where the signature is."""
    data = bytearray(path.read_bytes())
    start = data.rindex(signature) + offset
    data[start : start + len(value)] = value
    path.write_bytes(data)


class Canary:
    def __reduce__(self):
        return os.mkdir, ("canary",)


def test_arrays_of_objects_are_refused_and_run_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", good=np.ones(2), bad=np.array([Canary()], dtype=object))
    with pytest.raises(LoadError, match=r"x\.npz': entry 'bad\.npy': is an array of object, which is a pickle and could run code"):
        load("x.npz")
    assert os.listdir() == ["x.npz"]


@pytest.mark.parametrize("dtype", ["M8[s]", "m8[s]", "V5", [("a", "f4"), ("b", "O")]])
def test_arrays_of_other_things_are_refused(tmp_path, dtype):
    np.savez(tmp_path / "x.npz", a=np.zeros(2, dtype))
    with pytest.raises(LoadError, match=r"entry 'a\.npy': is an array of .* it is not loaded"):
        load(tmp_path / "x.npz")


ONES = np.ones(3)
DIRECTORY = b"PK\1\2"


@pytest.mark.parametrize("entries, message", [
    ([("a.npy", npy(ONES)), ("a.npy", npy(ONES))], "entry 'a.npy': is there twice"),
    ([("a.txt", b"hello")], "entry 'a.txt': is no array"),
    ([("a.npy", b"hello")], "entry 'a.npy': ends 3 bytes too early"),
    ([("a.npy", b"hello, world")], "entry 'a.npy': does not begin as a .npy file does"),
    ([("a.npy", npy(ONES, shape=(4,)))], "entry 'a.npy': has 24 bytes of data, where shape \\(4,\\) of float64 takes 32"),
    ([("a.npy", npy(ONES, shape=(2**40,)))], "where shape \\(1099511627776,\\) of float64 takes"),
    ([("a.npy", npy(ONES, shape=(2**62, 2**62, 0)))], "entry 'a.npy': "),
    ([("a.npy", npy(ONES, shape=(-1, -3)))], "entry 'a.npy': has the shape \\(-1, -3\\)"),
    ([("a.npy", npy(ONES, descr="<U0"))], "entry 'a.npy': is an array of <U0"),
    ([("a.npy", npy(ONES, shape=(1,) * 65 + (3,)))], "entry 'a.npy': "),
    ([("a.npy", b"\x93NUMPY\2\0\xff\xff\xff\x7f" + b" " * 9)], "entry 'a.npy': has a header of 2147483647 bytes"),
    ([("a.npy", b"\x93NUMPY\1\0\xff\x03" + b"[" * 1023)], "entry 'a.npy': has a damaged header"),
    ([("a.npy", npy(ONES)[:-1])], "entry 'a.npy': has 23 bytes"),
    ([("x/data.pkl", b"")], "seems to be a PyTorch file; load it with format='pt'"),
])  # fmt: skip
def test_hostile_zips_are_refused(tmp_path, entries, message):
    zipped(tmp_path / "x.npz", entries)
    with pytest.raises(LoadError, match=message):
        load(tmp_path / "x.npz")


def test_compressed_bombs_are_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "x.npz"
    zipped(path, [("a.npy", npy(ONES, shape=(2**28,)))], zipfile.ZIP_DEFLATED)
    patched(path, DIRECTORY, 24, struct.pack("<I", len(npy(ONES)) - 24 + 2**31))
    with pytest.raises(LoadError, match=r"entry 'a\.npy': .* bytes are said to hold 21474"), memory_below(10e6):
        load(path)
    zipped(path, [("a.npy", npy(np.zeros(2**17), shape=(2**17 + 100,)))], zipfile.ZIP_DEFLATED)  # could be, and is not
    patched(path, DIRECTORY, 24, struct.pack("<I", len(npy(ONES)) - 24 + 2**20 + 800))
    with pytest.raises(LoadError, match=r"entry 'a\.npy': is damaged: its data end too early"), memory_below(10e6):
        load(path)


@pytest.mark.parametrize("offset, value, message", [
    (8, b"\1\0", "entry 'b.npy': is encrypted"),
    (10, b"\x0c\0", "entry 'b.npy': is compressed by method 12"),
    (42, b"\0\0\0\0", "entry 'a.npy': overlaps with others"),
    (20, b"\1\0\0\0", "entry 'b.npy': overlaps with others, or there is something between"),
    (46, b"c", "entry 'c.npy': the header in front"),
])  # fmt: skip
def test_directories_that_lie_are_refused(tmp_path, offset, value, message):
    zipped(tmp_path / "x.npz", [("a.npy", npy(ONES)), ("b.npy", npy(ONES))])
    patched(tmp_path / "x.npz", DIRECTORY, offset, value)
    with pytest.raises(LoadError, match=message):
        load(tmp_path / "x.npz")


def test_a_zip_in_the_data_of_a_truncated_one_is_not_taken_for_it(tmp_path):
    inner = io.BytesIO()
    np.savez(inner, other=ONES)
    np.savez(tmp_path / "x.npz", a=np.frombuffer(inner.getvalue(), np.uint8))
    data = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(data[: data.index(inner.getvalue()) + len(inner.getvalue())])
    with pytest.raises(LoadError, match="does not begin where the file does"):
        load(tmp_path / "x.npz")


def manifest_of(obj, path):
    """The entries of a saved object, and its manifest."""
    save(obj, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return entries, json.loads(entries.pop("gradnerve.json"))


def rewritten(path, entries, manifest):
    zipped(path, [*entries.items(), ("gradnerve.json", manifest if isinstance(manifest, str) else json.dumps(manifest))])
    return path


def test_lost_added_and_exchanged_entries_are_seen(tmp_path):
    entries, manifest = manifest_of({"a": ONES, "b": 2 * ONES}, tmp_path / "x.npz")
    a, b = entries["a.npy"], entries["b.npy"]
    for changed, message in (
        ({"a.npy": a}, "entry 'b.npy': is missing"),
        ({"a.npy": a, "b.npy": b, "c.npy": b}, "entry 'c.npy': is not in the manifest"),
        ({"a.npy": b, "b.npy": a}, "entry 'a.npy': is not the one that the manifest describes"),
        ({"a.npy": npy(np.ones(4)), "b.npy": b}, "entry 'a.npy': is not the one that the manifest describes"),
        ({"a.npy": npy(np.ones(3, np.int64)), "b.npy": b}, "entry 'a.npy': is not the one that the manifest describes"),
    ):
        with pytest.raises(LoadError, match=message):
            load(rewritten(tmp_path / "x.npz", changed, manifest))


def test_a_tensor_of_words_is_none(tmp_path):
    entries, manifest = manifest_of({"a": np.array(["one", "two"])}, tmp_path / "x.npz")
    with pytest.raises(LoadError, match="'a' is an array of <U3, which is no tensor"):
        load(rewritten(tmp_path / "x.npz", entries, manifest | {"tree": {"tensor": ["a", False]}}))


def test_what_is_no_array_must_not_be_large(tmp_path, monkeypatch):
    save(list(range(1000)), tmp_path / "x.npz")
    monkeypatch.setattr("gradnerve.storage.manifest.LARGEST", 1000)
    with pytest.raises(LoadError, match="the manifest: is too large"):
        load(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="as JSON, and 1000 are the most"):
        save(list(range(1000)), tmp_path / "y.npz")
    assert not (tmp_path / "y.npz").exists()


def deeper(levels):
    return json.loads('{"dict": {"a": ' * levels + "1" + "}}" * levels)


def generator(kind, state):
    return {"generator": {"dict": {"bit_generator": kind, "has_uint32": 0, "uinteger": 0, "state": {"dict": state}}}}


@pytest.mark.parametrize("tree, message", [
    ({"array": "b"}, "the array 'b' is asked for twice, or is not there"),
    ([{"array": "a"}, {"array": "a"}], "the array 'a' is asked for twice"),
    (1, "the arrays 'a' have no place in it"),
    ({"pickle": "gASV"}, "'pickle' is not known"),
    ({"array": "a", "dict": {}}, "has not one member, but 2"),
    ({"tuple": 3}, "int where a list should be"),
    ({"dict": [["a", 1], ["a", 2]]}, "keys of a dict are not strings or integers that differ"),
    ({"dict": [[[], 1]]}, "keys of a dict"), ({"dict": [[1]]}, "no list of pairs"), ({"dict": "ab"}, "str where a list should be"),
    ({"int": "zz"}, "invalid literal"), ({"float": "00"}, "unpack requires"), ({"complex": [1, 2]}, "int where a float should be"),
    ({"scalar": ["O", "00" * 8]}, "8 bytes are no number of object"), ({"scalar": ["<f8", "00"]}, "1 bytes are no number of float64"),
    ({"scalar": ["nonsense", ""]}, "TypeError"), ({"bytes": "a"}, "'a' should hold bytes"), ({"tensor": ["a"]}, "ValueError"),
    ({"tensor": ["a", 1]}, "int where a bool should be"), (deeper(120), "more than 100 levels"),
    (deeper(100_000 // 400), "nested too deep"), ({"generator": 3}, "must be a dict that names one of PCG64"),
    (generator("os.system", {}), "names one of"), (generator("PCG64", {"state": -1, "inc": 2}), "'state' of a random generator is not"),
])  # fmt: skip
def test_hostile_manifests_are_refused(tmp_path, tree, message):
    entries, manifest = manifest_of({"a": ONES}, tmp_path / "x.npz")
    with pytest.raises(LoadError, match=r"load: '.*x\.npz': the manifest: .*" + message):
        load(rewritten(tmp_path / "x.npz", entries, manifest | {"tree": tree}))


@pytest.mark.parametrize("kind, name, value", [
    ("MT19937", "pos", 625), ("MT19937", "pos", -1), ("Philox", "buffer_pos", 5), ("PCG64", "has_uint32", 2), ("PCG64", "uinteger", 2**32),
    ("SFC64", "extra", 1),
])  # fmt: skip
def test_positions_beyond_a_generators_buffer_are_refused(tmp_path, kind, name, value):
    entries, manifest = manifest_of(np.random.Generator(getattr(np.random, kind)(0)), tmp_path / "x.npz")
    state = manifest["tree"]["generator"]["dict"]
    (state["state"]["dict"] if name == "pos" else state)[name] = value
    with pytest.raises(LoadError, match="of a random generator is not what it must be"):
        load(rewritten(tmp_path / "x.npz", entries, manifest))


def test_manifests_of_other_versions_and_no_json_are_refused(tmp_path):
    entries, manifest = manifest_of({"a": ONES}, tmp_path / "x.npz")
    for changed, message in (
        (manifest | {"version": 2}, "the manifest: has version 2; this GradNerve reads version 1, so use a later one"),
        (manifest | {"entries": {"a": {"dtype": {}, "shape": [3], "crc32": 0}}}, "the manifest: does not describe the entry 'a'"),
        (manifest | {"entries": 3}, "the manifest: lacks a part"),
        (manifest | {"format": "?"}, "the manifest: is none of GradNerve's"),
        ("{", "the manifest: is damaged"),
        ("[" * 100_000, "the manifest: is nested too deep"),
        ('{"a": NaN}', "the manifest: is damaged: there is NaN"),
        ('{"a": 1, "a": 2}', "a name is there twice"),
        ('{"a": ' + "9" * 5000 + "}", "the manifest: is damaged"),
    ):
        with pytest.raises(LoadError, match=message):
            load(rewritten(tmp_path / "x.npz", entries, changed))


# --- hostile .safetensors --------------------------------------------------------------------------------------------


def tensors(entries, **metadata):
    """The bytes of a file with entries (code, shape, bytes) one after the other."""
    header, data = {}, b""
    for name, (code, shape, part) in entries.items():
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    return framed(json.dumps({"__metadata__": metadata, **header} if metadata else header), data)


def framed(header, data=b""):
    return struct.pack("<Q", len(header.encode())) + header.encode() + data


def entry(begin, end, dtype="U8", shape=None):
    return json.dumps({"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]})


@pytest.mark.parametrize("data, message", [
    (framed(f'{{"a": {entry(0, 4)}, "b": {entry(2, 6)}}}', b"123456"), "SafetensorError"),
    (framed(f'{{"a": {entry(0, 2)}, "b": {entry(4, 6)}}}', b"123456"), "SafetensorError"),
    (framed(f'{{"a": {entry(0, 4)}}}', b"123456"), "SafetensorError"), (framed(f'{{"a": {entry(0, 8)}}}', b"123456"), "SafetensorError"),
    (framed(f'{{"a": {entry(0, 4, "F64")}}}', b"1234"), "SafetensorError"), (framed(f'{{"a": {entry(0, 4, "F4")}}}', b"1234"), "SafetensorError"),
    (framed(f'{{"a": {entry(0, 4, "F8_E4M3")}}}', b"1234"), "entry 'a': AttributeError: .*float8"),
    (framed(f'{{"a": {entry(0, 4, shape=[-4])}}}', b"1234"), "SafetensorError"), (framed('{"a": 3}'), "SafetensorError"),
    (framed(f'{{"a": {entry(0, 0, shape=[0, 10**3000])}}}'), "SafetensorError"), (framed(f'{{"a": {entry(0, 1, shape=[2**62] * 65)}}}'), "Error"),
    (framed('{"__metadata__": {"a": 3}}'), "SafetensorError"), (framed('{"a": ' + "[" * 100_000 + "}"), "SafetensorError"),
    (framed("{'a'}"), "SafetensorError"), (struct.pack("<Q", 2**40) + b"{}", "SafetensorError"), (struct.pack("<Q", 99) + b"{}", "SafetensorError"),
    (tensors({"a": ("U8", [1], b"1")}, gradnerve="{}"), "the manifest: is damaged: it does not give its checksum"),
])  # fmt: skip
def test_hostile_safetensors_are_refused(tmp_path, data, message):
    pytest.importorskip("safetensors")
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(LoadError, match=rf"load: '.*x\.safetensors': .*{message}"):
        load(tmp_path / "x.safetensors")


def test_exchanged_entries_of_safetensors_are_seen(tmp_path):
    path = tmp_path / "x.safetensors"
    save({"a": ONES, "b": 2 * ONES}, path)
    data = path.read_bytes()
    path.write_bytes(data[:-48] + data[-24:] + data[-48:-24])
    with pytest.raises(LoadError, match="entry 'a': is damaged: its bytes do not give its checksum"):
        load(path)
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["c"] = header.pop("b")
    path.write_bytes(framed(json.dumps(header), data[8 + size :]))
    with pytest.raises(LoadError, match=r"entry '[bc]': is (missing|not in the manifest)"):
        load(path)


# --- files that are something else -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name, data, message", [
    ("x.npz", b"", "is empty"), ("x.safetensors", b"", "is empty"), ("x.pt", b"", "is empty"),
    ("x.npz", framed("{}"), "seems to be a .safetensors file; it is no .npz file"),
    ("x.npz", b"\x80\x04\x95\x05\0\0\0\0\0\0\0K\x03.", "seems to be a plain pickle, which could run code"),
    ("x.pt", b"\x80\x04\x95\x05\0\0\0\0\0\0\0K\x03.", "seems to be a plain pickle"),
    ("x.npz", b"\n<!DOCTYPE html><html>", "seems to be an HTML page, with which a download"),
    ("x.safetensors", b"version https://git-lfs.github.com/spec/v1", "seems to be a Git LFS pointer.*'git lfs pull'"),
    ("x.npz", b"\x93NUMPY\1\0", "seems to be a single array, which np.load reads"),
    ("x.npz", b"\x1f\x8b123", "seems to be a gzip file: unpack it first"), ("x.pt", b"\x89HDF\r\n", "seems to be an HDF5 file"),
    ("x.npz", b'{"a": 1}', "seems to be JSON"), ("x.npz", b"nonsense", "seems to be of no kind that is known here, with the first bytes b'nonsense'"),
    ("x.pt", b"\0" * 257 + b"ustar", "seems to be a tar archive"), ("x.safetensors", b"PK\3\4", "seems to be a zip archive; as .npz"),
])  # fmt: skip
def test_files_of_another_kind_say_what_they_seem_to_be(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LoadError, match=rf"load: '.*{re.escape(name)}': {message}".replace(";", "[;,]")):
        load(tmp_path / name)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(LoadError, match="is a folder"):
        load(tmp_path, format="npz")


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_arrays_are_neither_copied_to_be_saved_nor_loaded_twice(tmp_path, format):
    array = np.ones((1000, 4000))
    with memory_below(0.1 * array.nbytes) if format == "npz" else contextlib.nullcontext():  # the package gives the bytes of a file at once
        save({"a": array, "b": array.T if format == "npz" else array}, tmp_path / f"x.{format}")
    with memory_below(2.1 * array.nbytes):
        assert load(tmp_path / f"x.{format}")["b"].size == array.size
