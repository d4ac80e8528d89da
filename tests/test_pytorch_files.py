"""PyTorch's files read without PyTorch: what `torch.load` gives; and pickles that would do harm, which do none.

Read next: test_storage.py.
"""

import collections
import io
import os
import pickle
import re
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from as_torch import torch
from test_storage import check_damage, memory_below, zipped

from gradnerve.storage import LoadError, load

ZIP, LEGACY = True, False
LEGACY_START = b"".join(pickle.dumps(n, 2) for n in (0x1950A86A20F9469CFC6C, 1001, {}))
FORMATS = pytest.mark.parametrize("zipfile_format", [ZIP, LEGACY], ids=["zip", "legacy"])


def numbers(x):
    """What we should give for an object that PyTorch gives."""
    if isinstance(x, torch.Tensor):
        x = x.detach().resolve_conj().resolve_neg()
        return (x.float() if x.dtype.itemsize < 4 and x.dtype.is_floating_point and x.dtype != torch.float16 else x).numpy()
    if isinstance(x, collections.Counter):
        return x
    if isinstance(x, dict):
        return type(x)((key, numbers(value)) for key, value in x.items())
    return type(x)(map(numbers, x)) if isinstance(x, list | tuple) and type(x) in (list, tuple) else x


def equal(ours, theirs):
    """The same types, order and bits."""
    if isinstance(theirs, dict):
        return type(ours) is type(theirs) and list(ours) == list(theirs) and all(map(equal, ours.values(), theirs.values()))
    if type(theirs) in (list, tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(theirs, np.ndarray):
        return type(ours) is np.ndarray and (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape) and ours.tobytes() == theirs.tobytes()
    return type(ours) is type(theirs) and ours == theirs


def check(obj, path, **options):
    torch.save(obj, path, **options)
    assert equal(load(path), numbers(torch.load(path, weights_only=False)))


def network():
    nn = torch.nn
    return nn.ModuleDict({"cnn": nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "lstm": nn.LSTM(3, 4, num_layers=2, bidirectional=True),
                          "encoder": nn.TransformerEncoderLayer(8, 2, 16)})  # fmt: skip


def trained(model, optimizer):
    for _ in range(2):
        optimizer.zero_grad()
        sum((p**2).sum() for p in model.parameters()).backward()
        optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": np.float64(0.5), "name": "ä"}


# --- what PyTorch gives ----------------------------------------------------------------------------------------------

LIKE_NUMPYS = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128".split()
LATER = "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu".split()


@FORMATS
@pytest.mark.parametrize("dtype", LIKE_NUMPYS + LATER)
def test_tensors_of_every_dtype(tmp_path, dtype, zipfile_format):
    dtype = getattr(torch, dtype, None) or pytest.skip(f"this PyTorch has no {dtype}")
    raw = torch.from_numpy(np.random.default_rng(0).integers(0, 256, size=48 * dtype.itemsize, dtype=np.uint8))
    tensor = (raw > 127 if dtype == torch.bool else raw.view(dtype)).reshape(6, 8)
    obj = [tensor, tensor[2:, ::3], tensor.T, tensor[1, 1], tensor[:0]]
    torch.save(obj, tmp_path / "x.pt", _use_new_zipfile_serialization=zipfile_format)
    for ours, theirs in zip(load(tmp_path / "x.pt"), numbers(obj), strict=True):  # torch.load has not all of them in the older format
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_array_equal(ours, theirs)


def test_all_codes_of_8_bits_are_what_pytorch_says(tmp_path):
    for name in LATER[3:]:
        dtype = getattr(torch, name, None) or pytest.skip(f"this PyTorch has no {name}")
        torch.save(torch.arange(256, dtype=torch.uint8).view(dtype), tmp_path / "x.pt")
        np.testing.assert_array_equal(load(tmp_path / "x.pt"), torch.arange(256, dtype=torch.uint8).view(dtype).float().numpy())


@FORMATS
def test_models_and_optimizers(tmp_path, zipfile_format):
    model = network()
    checkpoint = trained(model, torch.optim.Adam(model.parameters(), amsgrad=True))
    check(checkpoint, tmp_path / "x.pth", _use_new_zipfile_serialization=zipfile_format)
    found = load(tmp_path / "x.pth")
    assert type(found["model"]) is collections.OrderedDict
    assert type(found["optimizer"]) is type(found["optimizer"]["state"][0]) is dict
    assert not hasattr(found["model"], "_metadata")


@FORMATS
def test_containers_and_what_is_no_tensor(tmp_path, zipfile_format):
    obj = {"list": [1, 2.5, None, True, "a", 10**30, -1], 3: (b"bytes\xff", 1j, {1, 2}), "counter": collections.Counter({5: 2}), "f": np.float32(1.5),
           "i": np.int64(-3), "b": np.bool_(True), "array": np.arange(6).reshape(2, 3), "fortran": np.asfortranarray(np.ones((2, 3), np.float32)),
           "parameter": torch.nn.Parameter(torch.ones(2)), "empty": {}, "strings": np.array(["a", "bc"])}  # fmt: skip
    check(obj, tmp_path / "x.pt", _use_new_zipfile_serialization=zipfile_format)
    for protocol in (3, 4):
        del obj["array"], obj["fortran"]
        obj |= {"array": np.arange(3), "fortran": np.ones(2)}
        check(obj, tmp_path / "x.pt", _use_new_zipfile_serialization=zipfile_format, pickle_protocol=protocol)


def test_dtypes_devices_and_sizes_are_numpys_strings_and_tuples(tmp_path):
    torch.save([torch.float32, torch.int64, torch.bfloat16, torch.device("cuda:1"), torch.device("cpu"), torch.Size([2, 3])], tmp_path / "x.pt")
    assert load(tmp_path / "x.pt") == [np.dtype("f4"), np.dtype("i8"), "bfloat16", "cuda:1", "cpu", (2, 3)]


@FORMATS
def test_views_share_their_storage_and_keep_their_strides(tmp_path, zipfile_format):
    base = torch.arange(24.0)
    views = [base, base.view(2, 3, 4).permute(2, 0, 1), base[5:6].expand(7, 1), base.as_strided((3, 3), (1, 2), 4), torch.zeros(0, 3)]
    check(views, tmp_path / "x.pt", _use_new_zipfile_serialization=zipfile_format)
    found = load(tmp_path / "x.pt")
    assert all(np.shares_memory(found[0], view) for view in found[1:4])
    assert found[1].strides == (4, 48, 16)
    assert found[0].flags.writeable and found[0].flags.aligned


def test_conjugated_and_negated_views(tmp_path):
    z = torch.complex(torch.arange(4.0), torch.ones(4))
    check({"z": z, "conj": z.conj(), "part": z.conj()[1:3]}, tmp_path / "x.pt")
    check(z.conj().imag, tmp_path / "x.pt")


def test_files_without_checksums_load_and_with_them_damage_is_seen(tmp_path):
    before = torch.serialization.get_crc32_options()
    try:
        torch.serialization.set_crc32_options(False)
        check({"a": torch.arange(100.0)}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert {info.CRC for info in zipfile.ZipFile(tmp_path / "x.pt").infolist()} == {0}
    data = (tmp_path / "x.pt").read_bytes()
    for cut in range(0, len(data), 97):  # what is missing is seen all the same
        (tmp_path / "x.pt").write_bytes(data[:cut])
        with pytest.raises(LoadError):
            load(tmp_path / "x.pt")


def test_no_damage_goes_unseen(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
    torch.save(trained(model, torch.optim.Adam(model.parameters())), tmp_path / "x.pt")
    assert check_damage(tmp_path / "x.pt", load(tmp_path / "x.pt")) > 150


def test_damaged_legacy_files_give_errors_or_objects_but_nothing_else(tmp_path):
    """They have no checksums, so that numbers can be wrong."""
    torch.save(torch.nn.Linear(5, 4).state_dict(), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    data = (tmp_path / "x.pt").read_bytes()
    rng = np.random.default_rng(0)
    for k in range(300):
        changed = bytearray(data)
        changed[rng.integers(len(data))] ^= 1 << rng.integers(8)
        (tmp_path / "x.pt").write_bytes(changed if k % 5 else data[: rng.integers(len(data))])
        try:
            load(tmp_path / "x.pt")
        except LoadError as error:
            assert str(error).startswith(f"load: '{tmp_path / 'x.pt'}': ")
        else:
            assert k % 5


def test_damage_names_file_and_entry(tmp_path):
    torch.save({"w": torch.full((1000,), 1.5)}, tmp_path / "x.pt")
    data = bytearray((tmp_path / "x.pt").read_bytes())
    data[data.index(np.full(9, 1.5, np.float32).tobytes()) + 6] ^= 4
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(LoadError, match=r"x\.pt': entry 'x/data/0': is damaged: its bytes do not give its checksum"):
        load(tmp_path / "x.pt")


# --- what is not read ------------------------------------------------------------------------------------------------


@FORMATS
def test_whole_models_and_other_tensors_are_named(tmp_path, zipfile_format):
    model = torch.nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to drop them
        quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    for obj, message in (
        (model, r"holds torch\.nn\.modules\.linear\.Linear, which is code, and not loaded; of a whole model, save the state_dict\(\)"),
        (torch.eye(2).to_sparse(), r"holds a sparse tensor \(torch\._utils\._rebuild_sparse_tensor\), which is not loaded"),
        ([quantized], "holds a quantized tensor"),
    ):
        torch.save(obj, tmp_path / "x.pt", _use_new_zipfile_serialization=zipfile_format)
        with pytest.raises(LoadError, match=message):
            load(tmp_path / "x.pt")


def test_torchscript_and_other_archives_are_named(tmp_path):
    torch_script = {"x/constants.pkl": b"", "x/data.pkl": b"", "x/code/__torch__.py": b"", "x/version": b"3"}
    for entries, message in ((torch_script, "is a TorchScript archive, which is code"), ({"a.txt": b""}, "is a zip archive without 'data.pkl'"),
                             ({"a.npy": b""}, "seems to be an .npz file; load it with format='npz'")):  # fmt: skip
        zipped(tmp_path / "x.pt", entries.items())
        with pytest.raises(LoadError, match=message):
            load(tmp_path / "x.pt")
    with tarfile.open(tmp_path / "x.pt", "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(LoadError, match="seems to be a tar archive"):
        load(tmp_path / "x.pt")


# --- files that PyTorch would not write ------------------------------------------------------------------------------


def write(path, pickled, storages=(), **more):
    """A file in PyTorch's format around a pickle, with storages by key."""
    entries = {"any/data.pkl": pickled, "any/byteorder": more.get("order", b"little"), "any/version": b"3\n"}
    zipped(path, (entries | {f"any/data/{key}": data for key, data in dict(storages).items()}).items(), more.get("method", zipfile.ZIP_STORED))


class Call:
    """Pickled as a call of a function by its name."""

    def __init__(self, name, *args, state=None):
        self.name, self.args, self.state = name, args, state


class Pickler(pickle._Pickler):
    """Writes calls of functions that need not exist, and storages."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_call(self, call):
        self.save_name(call)
        self.save(call.args)
        self.write(pickle.REDUCE)
        if call.state is not None:
            self.save(call.state)
            self.write(pickle.BUILD)

    def save_name(self, call):
        self.write(pickle.GLOBAL + call.name.replace(" ", "\n").encode() + b"\n")

    dispatch[Call] = save_call

    def persistent_id(self, obj):
        return ("storage", Name(f"torch {obj[1]}Storage"), obj[2], "cpu", obj[3]) if isinstance(obj, tuple) and obj[:1] == ("STORAGE",) else None


class Name:
    def __init__(self, name):
        self.name = name


Pickler.dispatch[Name] = Pickler.save_name


def pickled(obj):
    file = io.BytesIO()
    Pickler(file, 2).dump(obj)
    return file.getvalue()


def tensor(offset=0, shape=(3,), strides=(1,), key="0", count=3, kind="Float", **more):
    return Call("torch._utils _rebuild_tensor_v2", ("STORAGE", kind, key, count), offset, shape, strides, False, None, *more.values())


FLOATS = np.arange(3, dtype=np.float32)


def test_big_endian_files(tmp_path):
    write(tmp_path / "x.pt", pickled([tensor(), tensor(kind="BFloat16", key="1")]), {"0": FLOATS.astype(">f4").tobytes(), "1": b"\x3f\x80\x40\0\0\0"},
          order=b"big")  # fmt: skip
    np.testing.assert_array_equal(load(tmp_path / "x.pt"), [[0, 1, 2], [1, 2, 0]])


@pytest.mark.parametrize("arguments, message", [
    ({"offset": 1}, "reaches beyond its storage of 3 numbers"), ({"shape": (2, 2), "strides": (2, 1)}, "reaches beyond"),
    ({"strides": (-1,), "offset": 2}, "damaged shape, offset or strides"), ({"offset": -1}, "damaged shape"), ({"shape": (2.5,)}, "damaged shape"),
    ({"shape": (2**62, 2**62), "strides": (0, 0)}, "the pickle: "), ({"shape": (1,) * 65, "strides": (1,) * 65}, "damaged shape"),
    ({"strides": (2**63,)}, "damaged shape"), ({"strides": ()}, "damaged shape"), ({"shape": (0, 2**70), "strides": (1, 1)}, "damaged shape"),
    ({"count": 4}, "'any/data/0': is missing, compressed, or does not have 16 bytes"), ({"count": 2**60}, "does not have 4611686018427387904 bytes"),
    ({"key": "1"}, "'any/data/1': is missing"), ({"key": "../data.pkl"}, "is missing"), ({"kind": "Double"}, "does not have 24 bytes"),
    ({"kind": "QInt8"}, "a quantized tensor"), ({"count": -1}, "two sizes, or a negative one"), ({"count": 3.0}, "float where a int should be"),
])  # fmt: skip
def test_tensors_stay_inside_of_their_storage(tmp_path, arguments, message):
    write(tmp_path / "x.pt", pickled(tensor(**arguments)), {"0": FLOATS.tobytes()})
    with pytest.raises(LoadError, match=r"load: '.*x\.pt': entry 'any/data\.pkl': .*" + message):
        load(tmp_path / "x.pt")


@pytest.mark.parametrize("dtype, message", [("quark", "without a dtype"), (Name("torch uint16"), "3 bytes has no numbers of uint16")])
def test_bytes_that_are_no_numbers(tmp_path, dtype, message):
    made = Call("torch._utils _rebuild_tensor_v3", ("STORAGE", "Byte", "0", 3), 0, (1,), (1,), False, None, dtype)
    write(tmp_path / "x.pt", pickled(made), {"0": b"abc"})
    with pytest.raises(LoadError, match=message):
        load(tmp_path / "x.pt")


def test_one_storage_read_as_numbers_of_two_kinds(tmp_path):
    for order, letter in (b"little", "<"), (b"big", ">"):
        data = FLOATS.astype(f"{letter}f4").tobytes()
        write(tmp_path / "x.pt", pickled([tensor(), tensor(kind="Int")]), {"0": data}, order=order)
        floats, integers = load(tmp_path / "x.pt")
        assert floats.tolist() == FLOATS.tolist() and integers.tolist() == FLOATS.view(np.int32).tolist()


def test_compressed_storages_and_unknown_byte_orders_are_refused(tmp_path):
    write(tmp_path / "x.pt", pickled(tensor()), {"0": FLOATS.tobytes()}, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(LoadError, match="is compressed, which it must not be"):
        load(tmp_path / "x.pt")
    write(tmp_path / "x.pt", pickled(tensor()), {"0": FLOATS.tobytes()}, order=b"middle")
    with pytest.raises(LoadError, match="entry 'byteorder': is b'middle'"):
        load(tmp_path / "x.pt")


class Harm:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def nested_tuples(levels):
    return b"\x80\x02)" + b"\x85" * levels + b"."


EVIL = {
    "os.system": (pickle.dumps(Harm(os.system, ("touch canary",)), 2), r"holds posix\.system|nt\.system"),
    "eval": (pickle.dumps(Harm(eval, ("open('canary', 'w')",)), 2), r"holds builtins\.eval"),
    "nested reduce": (pickle.dumps([Harm(collections.OrderedDict, ([[Harm(eval, ("open('canary', 'w')",)), 1]],))], 2), r"holds builtins\.eval"),
    "getattr": (pickle.dumps(Harm(getattr, ("a", "join")), 2), r"holds builtins\.getattr"),
    "protocol 4": (pickle.dumps(Harm(os.mkdir, ("canary",)), 4), r"holds posix\.mkdir|nt\.mkdir"),
    "protocol 0": (b"cos\nsystem\n(S'touch canary'\ntR.", r"holds os\.system"),
    "a name with dots": (b"\x80\x02ccollections\nOrderedDict.__init__.__globals__\n.", r"holds collections\.OrderedDict\.__init__"),
    "a method of an allowed class": (b"\x80\x04\x8c\x0bcollections\x8c\x11OrderedDict.clear\x93.", r"holds collections\.OrderedDict\.clear"),
    "inst": (b"(S'touch canary'\nios\nsystem\n.", "instruction b'S'|instruction b'i'"),
    "obj": (b"\x80\x02(cos\nsystem\nX\x0c\0\0\0touch canaryo.", r"holds os\.system"),
    "extension": (b"\x80\x02\x82\x01.", r"instruction b'\\x82', which PyTorch does not write"),
    "attributes": (b"\x80\x02ctorch\nSize\n}X\x04\0\0\0callK\x01sb.", "sets attributes of a Name"),
    "attributes of an array": (pickle.dumps(np.ones(2), 2)[:-1] + b"}b.", "sets attributes of a ndarray"),
    "call of a string": (b"\x80\x02X\x01\0\0\0a)R.", "calls a str, which is no function"),
    "call of a dtype": (b"\x80\x02cnumpy\nndarray\n(K\x01tR.", "calls a numpy.ndarray, which is no function"),
    "new object": (b"\x80\x02ctorch\nFloatStorage\n)\x81.", "calls a torch.FloatStorage, which is no function"),
    "objects in an array": (pickle.dumps(np.array([None]), 2), "of object, which are not loaded"),
    "array of more than there is": (pickled(Call("numpy.core.multiarray _reconstruct", Name("numpy ndarray"), (0,), "b", state=(
        1, (2**40,), Call("numpy dtype", "f8", False, True), False, Call("_codecs encode", "12345678", "latin1")))), "has 8 bytes for an array"),
    "array of a huge shape": (pickled(Call("numpy.core.multiarray _reconstruct", Name("numpy ndarray"), (0,), "b", state=(
        1, (2**70,) * 1000, Call("numpy dtype", "f8", False, True), False, Call("_codecs encode", "12345678", "latin1")))), "one that is damaged"),
    "number of more than there is": (pickled(Call(
        "numpy.core.multiarray scalar", Call("numpy dtype", "f8"), Call("_codecs encode", "1", "latin1"))), "1 bytes are no number of float64"),
    "numbers in another byte order": (pickled(Call("numpy dtype", "f8", False, True, state=(3, ">", None, None, None, -1, -1, 0))),
                                      "another byte order"),
    "a storage of another kind": (pickled(tensor(kind="Quark")), "QuarkStorage"),
    "other encoding": (pickled(Call("_codecs encode", "a", "rot13")), "text in the encoding 'rot13'"),
    "memo bomb": (b"\x80\x02Nr\xff\xff\xff\xff" + b"h\1.", "the pickle: "),
    "bytes that are not there": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.", "the pickle: "),
    "frame that is not there": (b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"abc.", "the pickle: "),
    "bytearray that is not there": (b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"abc.", r"instruction b'\\x96'"),
    "deep tuples": (nested_tuples(100_000), "more than 100 levels of containers"),
    "a list in itself": (b"\x80\x02]q\0h\0a.", "more than 100 levels of containers, or one that contains itself"),
    "a key that is hard to hash": (b"\x80\x02})q\0" + b"0h\0h\0\x86q\0" * 60 + b"Ns.", "has a tuple as a key"),
    "billion laughs": (b"\x80\x02]" + b"".join(b"q%c](" % k + b"h%c" % k * 10 + b"e" for k in range(200)) + b".", "more than 100 levels"),
    "a class as a value": (b"\x80\x02ctorch\nFloatStorage\n.", "has a torch.FloatStorage as a value"),
    "the same text encoded again and again": (pickled(0)[:-1] + b"]q\1X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\2(" + (
        b"c_codecs\nencode\nh\2X\6\0\0\0latin1\x86R" * 10_000) + b"e.", "asks for far more memory than it has bytes"),
    "cut off": (b"\x80\x02]q", "the pickle: "), "empty": (b"", "the pickle: "), "nonsense": (b"\xff" * 10, "instruction b'\\\\xff'"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("wrapped", ["zip", "legacy", "plain"])
def test_evil_pickles_run_nothing_and_take_no_memory(tmp_path, monkeypatch, name, wrapped):
    monkeypatch.chdir(tmp_path)
    program, message = EVIL[name]
    if wrapped == "zip":
        write("x.pt", program)
    else:
        (tmp_path / "x.pt").write_bytes(LEGACY_START * (wrapped == "legacy") + program)
        message = message if wrapped == "legacy" and program else "seems to be|is empty|the pickle: "
    with memory_below(300e6), pytest.raises(LoadError, match=r"(?s)load: 'x\.pt': .*(" + message + ")"):
        load("x.pt")
    assert os.listdir() == ["x.pt"]


def test_dags_of_lists_take_no_time(tmp_path):
    """Each list has the one before it twice: of 90 levels, 2**90 ways lead to the first one."""
    write(tmp_path / "x.pt", b"\x80\x02]" + b"".join(b"q%c](h%ch%ce" % (k, k, k) for k in range(90)) + b".")
    assert len(load(tmp_path / "x.pt")) == 2


def test_a_file_that_conjugates_one_storage_again_and_again_is_refused(tmp_path):
    again = [tensor(kind="ComplexFloat", metadata={"conj": True}) for _ in range(100)]
    write(tmp_path / "x.pt", pickled(again), {"0": FLOATS.astype(np.complex64).tobytes()})
    with pytest.raises(LoadError, match="tensor that is larger than its storage"):
        load(tmp_path / "x.pt")


def test_booleans_are_0_or_1(tmp_path):
    write(tmp_path / "x.pt", pickled(tensor(kind="Bool")), {"0": b"\0\2\xff"})
    assert load(tmp_path / "x.pt").view(np.uint8).tolist() == [0, 1, 1]


def test_legacy_storages_that_are_not_there(tmp_path):
    class Legacy(Pickler):
        def persistent_id(self, obj):
            identity = super().persistent_id(obj)
            return identity and (*identity, None)

    for count, keys, data, message in (
        (3, ["0"], struct.pack("<Q", 3) + FLOATS.tobytes(), None),
        (3, ["0"], struct.pack("<Q", 4) + FLOATS.tobytes(), "storage '0': has not the 3 numbers"),
        (3, ["0", "0"], struct.pack("<Q", 3) + FLOATS.tobytes(), "the list of the storages is damaged"),
        (3, [], b"", "the list of the storages is damaged"),
        (3, ["0"], struct.pack("<Q", 3) + FLOATS.tobytes() + b"!", "has 1 bytes after its end"),
        (3, ["0"], struct.pack("<Q", 3) + FLOATS.tobytes()[:-1], "storage '0': the file ends too early"),
        (2**40, ["0"], b"", "storage '0': the file has not as many bytes"),
    ):
        file = io.BytesIO()
        Legacy(file, 2).dump(tensor(count=count))
        (tmp_path / "x.pt").write_bytes(LEGACY_START + file.getvalue() + pickle.dumps(keys, 2) + data)
        if message:
            with pytest.raises(LoadError, match=re.escape(message)):
                load(tmp_path / "x.pt")
        else:
            np.testing.assert_array_equal(load(tmp_path / "x.pt"), FLOATS)
