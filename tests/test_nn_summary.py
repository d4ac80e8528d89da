"""The table of a network: counts that are known from formulas, memory against PyTorch's, and what a run of it must not change.

Read next: test_nn_module.py.
"""

import gc
import tracemalloc

import numpy as np
import pytest
from as_torch import torch

import gradnerve as gn
from gradnerve import _graph, _loops, _sweep, tree
from gradnerve._memory import Count
from gradnerve.nn.summary import memory

nn = gn.nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4))
        self.head = nn.Linear(8, 4)
        self.again = self.head
        self.unused = nn.Linear(1, 1)

    def forward(self, x, scale=1.0):
        x = self.features(x).mean((2, 3)) * scale
        return self.head(x), self.again(x)


def row(found, path):
    return next(r for r in found.rows if r.path == path)


def test_counts_are_those_of_the_formulas():
    found = nn.summary(Net(), (2, 1, 10, 10), scale=(2, 8))
    assert row(found, "features.0").multiply_adds == 2 * 8 * 100 * 9 and row(found, "features.0").parameters == 80
    assert row(found, "features.1").multiply_adds == 2 * 1600
    assert row(found, "features.3").multiply_adds == 2 * 8 * 64 * 2 * 9 and row(found, "features.3").shapes == "(2, 8, 8, 8)"
    assert row(found, "head").multiply_adds == 2 * 2 * 8 * 4  # called twice
    assert row(found, "head").parameters == 36
    assert found.parameters == sum(p.size for p in Net().parameters()) == sum(r.parameters for r in found.rows) == found.trainable
    assert found.bytes == 4 * found.parameters and found.multiply_adds == sum(r.multiply_adds for r in found.rows)


@pytest.mark.parametrize(("layer", "shapes", "count"), [
    (lambda: nn.Linear(3, 4), [(5, 6, 3)], 5 * 6 * 12),
    (lambda: nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], 2 * 5 * 12),
    (lambda: nn.Conv1d(4, 6, 3, groups=2, stride=2), [(2, 4, 9)], 2 * 6 * 4 * 2 * 3),
    (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), [(2, 4, 5, 5)], 2 * 4 * 25 * 3 * 9),
    (lambda: nn.RNN(3, 5), [(7, 2, 3)], 14 * (15 + 25)),
    (lambda: nn.LSTM(3, 5, 2, bidirectional=True), [(7, 2, 3)], 14 * 2 * 4 * (15 + 25 + 50 + 25)),
    (lambda: nn.GRUCell(3, 5), [(2, 3)], 2 * 3 * (15 + 25)),
    (lambda: nn.MultiheadAttention(6, 2), [(4, 2, 6), (5, 2, 6), (5, 2, 6)], 2 * (4 * 72 + 10 * 36) + 2 * 2 * 4 * 5 * 6),
    (lambda: nn.MultiheadAttention(6, 2, batch_first=True), [(2, 4, 6), (2, 5, 6), (2, 5, 6)], 2 * (4 * 72 + 10 * 36) + 2 * 2 * 4 * 5 * 6),
    (lambda: nn.LayerNorm(3), [(5, 3)], 30),
])  # fmt: skip
def test_multiply_adds_of_single_layers(layer, shapes, count):
    assert nn.summary(layer(), *shapes).multiply_adds == count


# --- memory ----------------------------------------------------------------------------------------------------------


def kept(found):
    return {r.path: r.forward_bytes for r in found.rows if r.forward_bytes}


@pytest.mark.parametrize(("layers", "shape", "wanted"), [
    (lambda: [nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 50)], (100, 30), {"1": 100 * 40 * 4}),
    (lambda: [nn.Linear(30, 40), nn.Sigmoid(), nn.Sigmoid()], (100, 30), {"1": 100 * 40 * 4, "2": 100 * 40 * 4}),
    (lambda: [nn.Linear(30, 40), nn.Flatten(0), nn.Unflatten(0, (100, 40)), nn.Linear(40, 50)], (100, 30), {"3": 100 * 40 * 4}),
    (lambda: [nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(800, 600)], (5, 3, 14, 14), {"1": 5760 * 4, "3": 4000 * 4}),
    (lambda: [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()], (5, 3, 12, 12), {"1": 4000 * 4 + 2 * 8 * 8, "2": 4000 * 4}),
    (lambda: [nn.Linear(30, 40), nn.Dropout(), nn.Linear(40, 50)], (100, 30), {"1": 100 * 40 * 4, "2": 100 * 40 * 4}),
])  # fmt: skip
def test_what_layers_keep_is_what_their_derivatives_read(layers, shape, wanted):
    """All arrays are larger than the results that are kept in any case. Moments are in float64, a mask of dropout has the dtype of x."""
    found = nn.summary(nn.Sequential(*layers()), shape)
    assert kept(found) == wanted and found.forward_bytes == sum(wanted.values())


def test_what_an_lstm_keeps():
    """For each row of each step four gates, and what is computed of h and c; the first h and c; and how many rows each step has."""
    steps, batch, hidden = 20, 16, 100
    found = nn.summary(nn.LSTM(30, hidden), (steps, batch, 30))
    rows, state = steps * batch * hidden, batch * hidden
    assert kept(found) == {"": 4 * (4 * rows + 3 * rows + 2 * state) + 8 * steps}


def kept_by_torch(net, x):
    """The bytes that PyTorch saves, of each storage once, without parameters and the input."""
    saved, own = {}, {t.untyped_storage().data_ptr() for t in [x, *net.parameters()]}

    def pack(t):
        saved[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _held = net(x)
    return sum(nbytes for pointer, nbytes in saved.items() if pointer not in own)


@pytest.mark.parametrize(("layers", "shape"), [
    (lambda nn: [nn.Linear(30, 40), nn.Tanh(), nn.Linear(40, 50)], (100, 30)),
    (lambda nn: [nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 50), nn.Sigmoid(), nn.Linear(50, 50), nn.GELU(), nn.Linear(50, 30)], (100, 30)),
    (lambda nn: [nn.Linear(30, 40), nn.SiLU(), nn.Linear(40, 50), nn.Softmax(-1)], (100, 30)),
    (lambda nn: [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 5, stride=2), nn.Flatten(), nn.Linear(256, 60)], (20, 3, 20, 20)),
    (lambda nn: [nn.ConvTranspose1d(4, 8, 3, groups=2), nn.Tanh(), nn.Conv1d(8, 8, 3, dilation=2)], (20, 4, 30)),
])  # fmt: skip
def test_networks_keep_as_much_as_with_pytorch(layers, shape):
    found = nn.summary(nn.Sequential(*layers(nn)), shape)
    assert found.forward_bytes == kept_by_torch(torch.nn.Sequential(*layers(torch.nn)), torch.zeros(shape)) > 0


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x)


class Checkpointed(nn.Sequential):
    def forward(self, x):
        return gn.checkpoint(super().forward, x)


class Exponential(gn.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.beside = np.ones((30, 50))
        ctx.save_for_backward(np.exp(x))
        return np.exp(x)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class Own(nn.Module):
    def forward(self, x):
        return Exponential.apply(x)


@pytest.mark.parametrize(("make", "shape"), [
    (lambda: nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d()), (10, 3, 16, 16)),
    (lambda: nn.LSTM(16, 32, 2, bidirectional=True, dropout=0.3), (10, 8, 16)),
    (lambda: nn.GRU(16, 32), (10, 8, 16)),
    (lambda: Attention(32, 4, dropout=0.1), (20, 8, 32)),
    (lambda: nn.TransformerEncoderLayer(32, 4, 64), (20, 8, 32)),
    (lambda: nn.Sequential(nn.Linear(16, 32), Checkpointed(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 8))), (50, 16)),
    (lambda: nn.Sequential(nn.Linear(16, 32), Own()), (50, 16)),
    (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(64, 64)), nn.LayerNorm(64), nn.LeakyReLU()), (50, 64)),
])  # fmt: skip
def test_nothing_stays_after_a_forward_pass_that_no_layer_is_said_to_keep(make, shape):
    net, x = make(), gn.Tensor(np.zeros(shape, np.float32))
    nn.summary(net, x)  # some layers work out tables when they first run
    found = nn.summary(net, x)
    with Count() as count:
        total = sum(out.sum() for out in tree.flatten(net(x))[0])  # of which only a few numbers stay
        stays = count.live
    assert 0 <= stays - found.forward_bytes <= 64 and total.requires_grad


def test_the_peak_of_a_single_layer():
    """Backward, it holds the gradients of its output and of its parameters."""
    found = nn.summary(nn.Linear(300, 400), (50, 300))
    x, out, parameters = 4 * 50 * 300, 4 * 50 * 400, 4 * (300 * 400 + 400)
    assert found.output_bytes == out and found.bytes == found.gradient_bytes == parameters
    assert found.backward_bytes == out + parameters and found.peak_bytes == x + 2 * out + 2 * parameters


def test_the_peak_is_that_which_tracemalloc_finds():
    net, x = nn.Sequential(nn.Linear(300, 2000), nn.GELU(), nn.Linear(2000, 300), nn.LayerNorm(300)), np.ones((1000, 300), np.float32)
    found = nn.summary(net, x)
    parameters, seed = list(net.parameters()), np.broadcast_to(np.float32(1), (1000, 300))
    gc.collect()
    was = _loops.keep_arrays(False)
    tracemalloc.start()
    try:
        out = net(gn.Tensor(x))
        before = tracemalloc.get_traced_memory()[0]
        gradients = _sweep.gradients([out], parameters, [seed], recorded=False)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        _loops.keep_arrays(was)
    assert before == pytest.approx(x.nbytes + found.forward_bytes + found.output_bytes, rel=0.01)
    assert peak == pytest.approx(found.peak_bytes - found.bytes, rel=0.01) and peak > after > found.gradient_bytes and len(gradients) == 6


def test_a_checkpoint_keeps_less_and_is_counted_once():
    layers = [nn.Linear(30, 400), nn.Tanh(), nn.Linear(400, 30), nn.Linear(30, 30)]
    found, wanted = nn.summary(Checkpointed(*layers), (100, 30)), nn.summary(nn.Sequential(*layers), (100, 30))
    assert found.forward_bytes < wanted.forward_bytes / 4 and found.backward_bytes > wanted.backward_bytes
    assert found.multiply_adds == wanted.multiply_adds == 100 * (2 * 30 * 400 + 30 * 30)


def test_what_is_frozen_needs_no_gradients():
    net = nn.Sequential(nn.Linear(300, 400), nn.Tanh(), nn.Linear(400, 200))
    net[0].requires_grad_(False)
    found = nn.summary(net, (50, 300))
    assert kept(found) == {"2": 4 * 50 * 400} and found.gradient_bytes == 4 * (400 * 200 + 200)
    net[2].requires_grad_(False)
    found = nn.summary(net, (50, 300))
    assert found.forward_bytes == found.gradient_bytes == found.backward_bytes == 0
    assert found.peak_bytes == found.bytes + 4 * 50 * (300 + 2 * 400)  # while tanh runs
    found = nn.summary(net, gn.Tensor(np.ones((50, 300), np.float32), requires_grad=True))
    assert kept(found) == {"1": 4 * 50 * 400} and found.gradient_bytes == 0 < found.backward_bytes


def test_outputs_without_a_gradient():
    class Classes(nn.Linear):
        def forward(self, x):
            return {"class": super().forward(x).argmax(1), "name": "cat"}

    found = nn.summary(Classes(30, 40), (100, 30))
    assert found.forward_bytes == found.backward_bytes == 0 and found.output_bytes == 800 and found.rows[0].shapes == "(100,)"


@pytest.mark.parametrize("given", [lambda a: a.shape, lambda a: a, gn.Tensor, gn.asarray])
def test_arrays_tensors_and_shapes_are_as_good(given):
    net = nn.Sequential(nn.Linear(30, 40), nn.Tanh(), nn.Linear(40, 50))
    with gn.no_grad():
        found = nn.summary(net, given(np.zeros((100, 30), np.float32)))
    assert vars(found) == vars(nn.summary(net, (100, 30))) and found.forward_bytes == 100 * 40 * 4


def test_an_input_that_comes_twice_is_one_array():
    x = np.zeros((20, 8, 32), np.float32)
    found, wanted = nn.summary(nn.MultiheadAttention(32, 4), x, x, x), nn.summary(Attention(32, 4), x)
    assert found.multiply_adds == wanted.multiply_adds and found.forward_bytes == wanted.forward_bytes
    assert found.peak_bytes == wanted.peak_bytes


def test_layers_are_in_training_mode_unless_they_alone_are_not():
    net = nn.Sequential(nn.Linear(30, 40), nn.Dropout(), nn.Linear(40, 50))
    training = nn.summary(net, (100, 30)).forward_bytes
    assert nn.summary(net.eval(), (100, 30)).forward_bytes == training
    net.train()[1].eval()
    assert nn.summary(net, (100, 30)).forward_bytes == training - 100 * 40 * 4


def test_bytes_are_counted_wherever_arrays_come_from_and_go_to():
    before = np.ones(1000)
    with Count() as count:
        a = np.fromiter(range(1000), float)  # which grows as it is filled
        b = np.exp(gn.Tensor(before))
        assert count.live == 16000 and count.made(a) and count.made(b._array) and not count.made(before)
        a.resize(2000, refcheck=False)
        del before, b
        assert count.live == 16000 and count.peak == 24000
        count.restart()
        np.zeros(1000)
    assert count.peak == 24000
    del a  # after the block
    assert count.live == 0


# --- no trace --------------------------------------------------------------------------------------------------------


def test_a_network_is_afterwards_what_it_was():
    net = Net()
    net.features.eval()
    net.head.requires_grad_(False)
    before = net.state_dict()
    found = nn.summary(net, np.ones((2, 1, 10, 10), np.float32))
    assert found.trainable == found.parameters - 36
    assert net.training and not net.features.training and not any(m._hooks for m in net.modules())
    assert all(np.array_equal(a, before[name]) for name, a in net.state_dict().items())
    with pytest.raises(ValueError):
        nn.summary(net, (2, 3, 10, 10))
    assert net.training and not any(m._hooks for m in net.modules())


def test_gradients_stay():
    net = Net()
    net.head.weight.grad = np.full((4, 8), 3.0)
    seen = []
    net.head.weight.register_hook(seen.append)
    x = gn.Tensor(np.ones((2, 1, 10, 10), np.float32), requires_grad=True)
    nn.summary(net, x)
    assert (net.head.weight.grad == 3).all() and not seen
    assert not any(p.grad.any() for p in net.parameters() if p is not net.head.weight) and not x.grad.any()


def test_buffers_and_parameters_stay():
    net = nn.Sequential(nn.Embedding(10, 4, max_norm=0.1), nn.Unflatten(1, (1, 3)), nn.BatchNorm2d(1))
    net.append(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)))
    before, own = net.state_dict(), [*net.parameters(), *net.buffers()]
    nn.summary(net, np.arange(9).reshape(3, 3))
    assert all(a is b for a, b in zip([*net.parameters(), *net.buffers()], own, strict=True))
    assert list(before) == list(net.state_dict()) and all(np.array_equal(a, before[name]) for name, a in net.state_dict().items())
    nn.Sequential.__call__(net, np.arange(9).reshape(3, 3))
    changed = {name for name, a in net.state_dict().items() if not np.array_equal(a, before[name])}
    assert {"0.weight", "2.running_mean", "2.num_batches_tracked"} <= changed  # by a call that is none of ours


def test_generators_stay():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + np.random.standard_normal(x.shape) + gn.random.normal(size=x.shape)

    own = np.random.default_rng(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Dropout(generator=own), Noisy())

    def drawn(run):
        gn.manual_seed(0)
        np.random.seed(0)
        own.bit_generator.state = np.random.default_rng(0).bit_generator.state
        run()
        return [float(gn.random.random()), np.random.random(), own.random()]

    untouched = drawn(lambda: None)
    assert drawn(lambda: nn.summary(net, (5, 3))) == untouched
    assert not set(drawn(lambda: net(np.ones((5, 3))))) & set(untouched)


def test_inputs_and_rows_stay():
    class InPlace(nn.Linear):
        def forward(self, x):
            x *= 2
            return super().forward(x)

    net, x, t = InPlace(3, 3), np.ones((5, 3), np.float32), gn.Tensor(np.ones((5, 3), np.float32))
    rows = _graph.live_rows()
    nn.summary(net, x)
    nn.summary(net, t)
    assert (x == 1).all() and (t.data == 1).all() and _graph.live_rows() == rows


def test_a_failing_network_stays_as_it_was():
    class Fails(nn.Module):
        def forward(self, x):
            raise RuntimeError("on purpose")

    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), Fails()).eval()
    before, own, kept = net.state_dict(), [*net.parameters(), *net.buffers()], _loops.keep_arrays(True)
    gn.manual_seed(0)
    draw = float(gn.random.random())
    gn.manual_seed(0)
    with pytest.raises(RuntimeError, match="on purpose"):
        nn.summary(net, (5, 3))
    assert all(np.array_equal(a, before[name]) for name, a in net.state_dict().items()) and draw == float(gn.random.random())
    assert all(a is b for a, b in zip([*net.parameters(), *net.buffers()], own, strict=True))
    assert not any(m.training or m._hooks for m in net.modules()) and _loops.keep_arrays(kept)


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_can_be_read():
    found = nn.summary(Net(), (2, 1, 10, 10))
    table, _, last = repr(found).rpartition("\n")
    assert table == """\
layer                     output shape    parameters  multiply-adds       kept
------------------------------------------------------------------------------
Net                       (2, 4), (2, 4)                             192 bytes
  (features): Sequential  (2, 8, 8, 8)
    (0): Conv2d           (2, 8, 10, 10)          80         14,400
    (1): BatchNorm2d      (2, 8, 10, 10)          16          3,200    6.4 KiB
    (2): ReLU             (2, 8, 10, 10)                               6.2 KiB
    (3): Conv2d           (2, 8, 8, 8)           152         18,432    4.0 KiB
  (head): Linear          (2, 4)                  36            128   64 bytes
  (unused): Linear                                 2
------------------------------------------------------------------------------
286 parameters (286 trainable), 1.1 KiB; gradients 1.1 KiB
36,160 multiply-adds; forward 16.9 KiB kept for backward, outputs 64 bytes"""
    assert last == f"backward up to {memory(found.backward_bytes)} more; peak of a training step {memory(found.peak_bytes)}"


def test_the_table_is_not_too_wide():
    class Many(nn.Module):
        def forward(self, x):
            return (x[None, None, None, None],) * 5

    net = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(1000, 2000), nn.TransformerEncoderLayer(2000, 2, 4)), Many()))
    lines = repr(nn.summary(net, (1, 2, 1000))).splitlines()
    assert max(map(len, lines)) == 110 and lines[2] == f"{'Sequential':39}  (1, 1, 1, 1, 1, 2, 2000), (1,..."


@pytest.mark.parametrize(("n", "shown"), [(0, "0 bytes"), (1023, "1,023 bytes"), (1024, "1.0 KiB"), (5 << 19, "2.5 MiB"), (3 << 40, "3,072.0 GiB")])
def test_bytes_for_people(n, shown):
    assert memory(n) == shown
