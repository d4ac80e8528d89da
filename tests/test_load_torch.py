"""A network trained in PyTorch loads into the modules of the same names here, and gives the same outputs and gradients; and the way back.

Each network is written once, as a function of the namespace: `torch.nn` or `gn.nn`.

Read next: test_pytorch_files.py, for what else such files may hold.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from as_torch import close, torch

import gradnerve as gn

LABELS, STEPS = 3, 10
OURS = SimpleNamespace(nn=gn.nn, optim=gn.optim, tensor=gn.Tensor, dtypes={"float32": np.float32, "float64": np.float64})
THEIRS = SimpleNamespace(nn=torch.nn, optim=torch.optim, tensor=torch.tensor, dtypes={"float32": torch.float32, "float64": torch.float64})
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}


# --- the networks ----------------------------------------------------------------------------------------------------


def cnn(nn, p):
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Dropout(p), nn.Linear(32, LABELS),
    )  # fmt: skip


def lstm(nn, p):
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 6, padding_idx=0)
            self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, dropout=p, bidirectional=True)
            self.head = nn.Linear(10, LABELS)

        def forward(self, words):
            states, _ = self.lstm(self.embedding(words))
            return self.head(states.mean(1))

    return Classifier()


def transformer(nn, p, norm_first=False):
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=p, activation="gelu", batch_first=True, norm_first=norm_first)
            self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)
            self.head = nn.Linear(8, LABELS)

        def forward(self, x, padded):
            return self.head(self.encoder(x, src_key_padding_mask=padded)[:, 0])

    return Classifier()


def norm_first_transformer(nn, p):
    return transformer(nn, p, norm_first=True)


def images(rng, dtype):
    return [rng.normal(size=(12, 2, 10, 10)).astype(dtype)]


def words(rng, dtype):
    return [rng.integers(0, 11, size=(12, 7))]


def sequences(rng, dtype):
    return [rng.normal(size=(12, 6, 8)).astype(dtype), np.arange(6) >= rng.integers(1, 7, size=(12, 1))]


NETWORKS = {"cnn": (cnn, images), "lstm": (lstm, words), "transformer": (transformer, sequences), "norm_first": (norm_first_transformer, sequences)}
ALL = pytest.mark.parametrize("name", NETWORKS)
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES)
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def make(library, name, dtype, p=0.0):
    return NETWORKS[name][0](library.nn, p).to(library.dtypes[dtype])


def batches(name, dtype, seed, n=STEPS):
    """Inputs and labels."""
    rng = np.random.default_rng(seed)
    return [(NETWORKS[name][1](rng, dtype), rng.integers(0, LABELS, size=12)) for _ in range(n)]


def loss_of(library, network, inputs, labels):
    output = network(*inputs)
    return output, library.nn.functional.cross_entropy(output, library.tensor(labels))


def train(library, network, optimizer, data):
    for inputs, labels in data:
        _, loss = loss_of(library, network, map(library.tensor, inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def trained(library, name, dtype, p=0.3):
    """A network after some steps with dropout, so that nothing has its first value, and its optimizer."""
    torch.manual_seed(0)
    gn.manual_seed(0)
    network = make(library, name, dtype, p)
    optimizer = library.optim.Adam(network.parameters(), lr=0.01)
    train(library, network, optimizer, batches(name, dtype, seed=1))
    return network, optimizer


# --- outputs and gradients -------------------------------------------------------------------------------------------


def told(library, network, inputs, labels):
    """What a network gives for a batch, by names: the output, the gradients of a loss, and the buffers as they are after it."""
    inputs = [library.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    network.zero_grad()
    output, loss = loss_of(library, network, inputs, labels)
    loss.backward()
    gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters()}
    by_inputs = {f"gradient of input {k}": x.grad for k, x in enumerate(inputs) if x.requires_grad}
    return {"output": output.detach(), **gradients, **by_inputs, **dict(network.named_buffers())}


def check_same(ours, theirs, name, dtype):
    inputs, labels = batches(name, dtype, seed=2, n=1)[0]
    found, wanted = told(OURS, ours, inputs, labels), told(THEIRS, theirs, inputs, labels)
    assert list(found) == list(wanted)
    assert all(wanted[what].abs().max() > 0 for what in wanted if "running" in what or what == "output")
    for what in wanted:
        close(found[what], wanted[what], TOLERANCES[dtype], what)


@ALL
@DTYPES
@FORMATS
def test_outputs_and_gradients_are_the_same(tmp_path, name, dtype, zipped):
    theirs, _ = trained(THEIRS, name, dtype)
    torch.save(theirs.state_dict(), tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    ours = make(OURS, name, dtype, p=0.3)
    assert ours.load_state_dict(gn.load(tmp_path / "x.pt")) == ([], [])
    assert [(path, a.shape) for path, a in ours.state_dict().items()] == [(path, a.shape) for path, a in theirs.state_dict().items()]
    check_same(ours.eval(), theirs.eval(), name, dtype)


@ALL
@DTYPES
def test_outputs_gradients_and_running_statistics_are_the_same_in_training(tmp_path, name, dtype):
    network, _ = trained(THEIRS, name, dtype)
    torch.save(network.state_dict(), tmp_path / "x.pt")
    ours, theirs = make(OURS, name, dtype), make(THEIRS, name, dtype)  # without dropout
    ours.load_state_dict(gn.load(tmp_path / "x.pt"))
    theirs.load_state_dict(network.state_dict())
    check_same(ours.train(), theirs.train(), name, dtype)
    moved = [path for path, before in network.state_dict().items() if not torch.equal(before, theirs.state_dict()[path])]
    assert moved == [path for path in network.state_dict() if re.search("running|tracked", path)]


@ALL
@FORMATS
def test_training_goes_on_from_pytorchs_checkpoint(tmp_path, name, zipped):
    network, optimizer = trained(THEIRS, name, "float64")
    checkpoint = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(checkpoint, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    networks = []
    for library, loaded in ((OURS, gn.load(tmp_path / "x.pt")), (THEIRS, torch.load(tmp_path / "x.pt"))):
        networks.append(make(library, name, "float64"))
        networks[-1].load_state_dict(loaded["model"])
        optimizer = library.optim.Adam(networks[-1].parameters())
        optimizer.load_state_dict(loaded["optimizer"])
        assert optimizer.param_groups[0]["lr"] == 0.01
        train(library, networks[-1], optimizer, batches(name, "float64", seed=3))
    ours, theirs = (n.state_dict() for n in networks)
    assert list(ours) == list(theirs)
    for path, wanted in theirs.items():
        close(ours[path], wanted, 1e-9, path)
        assert not torch.equal(wanted, network.state_dict()[path])


# --- the way back ----------------------------------------------------------------------------------------------------


def read_by_others(path):
    """The arrays of a file as PyTorch's tensors, read without this package."""
    if path.suffix == ".safetensors":
        return pytest.importorskip("safetensors.torch").load_file(path)
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files if name != "gradnerve.json"}


@ALL
@DTYPES
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_pytorch_gives_the_same_with_our_files(tmp_path, name, dtype, ending):
    ours, _ = trained(OURS, name, dtype)
    gn.save(ours.state_dict(), tmp_path / f"x.{ending}")
    theirs = make(THEIRS, name, dtype, p=0.3)
    missing, unexpected = theirs.load_state_dict(read_by_others(tmp_path / f"x.{ending}"))
    assert missing == unexpected == []
    check_same(ours.eval(), theirs.eval(), name, dtype)


# --- what does not fit -----------------------------------------------------------------------------------------------


def changed(name):
    """PyTorch's state of a network, of which entries are missing, have another name, or another shape."""
    state = make(THEIRS, name, "float32").state_dict()
    paths = list(state)
    del state[paths[0]]
    state["another.weight"] = state.pop(paths[3])
    state[paths[-1]] = torch.zeros(LABELS + 1)
    state[paths[-2]] = state[paths[-2]].T.clone()
    return state


def message(network, state, strict):
    """What `load_state_dict` says, with shapes as NumPy writes them."""
    with pytest.raises(RuntimeError) as error:
        network.load_state_dict(state, strict=strict)
    return re.sub(r"torch\.Size\(\[([\d, ]*)\]\)", lambda found: str(tuple(map(int, found[1].split(",")))), str(error.value))


@ALL
@pytest.mark.parametrize("strict", [True, False])
def test_errors_say_what_pytorchs_say(tmp_path, name, strict):
    torch.save(changed(name), tmp_path / "x.pt")
    ours = make(OURS, name, "float32")
    before = ours.state_dict()
    found = message(ours, gn.load(tmp_path / "x.pt"), strict)
    assert found == message(make(THEIRS, name, "float32"), torch.load(tmp_path / "x.pt"), strict)
    assert [("Missing" in found), ("Unexpected" in found), found.count("size mismatch")] == [strict, strict, 2]
    assert all(np.array_equal(a, before[path]) for path, a in ours.state_dict().items())


@ALL
def test_what_is_there_is_loaded_if_not_strict(tmp_path, name):
    theirs = make(THEIRS, name, "float32").state_dict()
    paths = list(theirs)
    state = {path: a for path, a in theirs.items() if path not in (paths[0], paths[-1])} | {"another": torch.ones(2)}
    torch.save(state, tmp_path / "x.pt")
    ours = make(OURS, name, "float32")
    before = ours.state_dict()
    assert ours.load_state_dict(gn.load(tmp_path / "x.pt"), strict=False) == ([paths[0], paths[-1]], ["another"])
    assert make(THEIRS, name, "float32").load_state_dict(state, strict=False) == ([paths[0], paths[-1]], ["another"])
    for path, a in ours.state_dict().items():
        np.testing.assert_array_equal(a, before[path] if path in (paths[0], paths[-1]) else theirs[path].numpy())
