"""Recurrent layers and cells, and packed sequences, against PyTorch."""

import itertools

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn
from gradnerve.kernels import recurrent as kernels
from gradnerve.ops import recurrent

rnn, torch_rnn = gn.nn.utils.rnn, torch.nn.utils.rnn
STEPS, BATCH, INPUTS, HIDDEN = 4, 3, 2, 3
LENGTHS = [2, 4, 1]
LAYERS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("LSTM", {"proj_size": 2}), ("GRU", {})]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pair(kind, *sizes, **options):
    """The layer here and PyTorch's."""
    torch.manual_seed(0)
    return getattr(gn.nn, kind)(*sizes, dtype=np.float64, **options), getattr(torch.nn, kind)(*sizes, dtype=torch.float64, **options)


def states(kind, options, *batch):
    """Initial states of a layer."""
    number = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    h = numbers(number, *batch, options.get("proj_size") or HIDDEN, seed=1)
    return [h, numbers(number, *batch, HIDDEN, seed=2)] if kind == "LSTM" else [h]


def with_states(layer, x, *hx):
    return layer(x, hx if len(hx) == 2 else hx[0])


STACKS = [{}, {"num_layers": 2, "bidirectional": True}, {"bidirectional": True, "bias": False}, {"num_layers": 2, "bias": False}]


@pytest.mark.parametrize(("kind", "options", "stack"), [(kind, options, stack) for (kind, options), stack in itertools.product(LAYERS, STACKS)])
def test_a_layer_gives_what_pytorch_gives(kind, options, stack):
    options = options | stack
    second = not options.get("proj_size") or options == {"proj_size": 2}
    check_layer(*pair(kind, INPUTS, HIDDEN, **options), numbers(STEPS, BATCH, INPUTS), *states(kind, options, BATCH), call=with_states, second=second)
    check_layer(*pair(kind, INPUTS, HIDDEN, **options), numbers(STEPS, BATCH, INPUTS), second=False)


@pytest.mark.parametrize(("kind", "options"), LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_takes_a_batch_first_or_none(kind, options, batch_first):
    options = options | {"batch_first": batch_first, "bidirectional": True}
    x, single = numbers(BATCH, STEPS, INPUTS), numbers(STEPS, INPUTS)
    check_layer(*pair(kind, INPUTS, HIDDEN, **options), x if batch_first else x.swapaxes(0, 1), second=False)
    check_layer(*pair(kind, INPUTS, HIDDEN, **options), single, second=False)
    check_layer(*pair(kind, INPUTS, HIDDEN, **options), single, *states(kind, options), call=with_states, second=False)


@pytest.mark.parametrize(("kind", "options"), LAYERS)
@pytest.mark.parametrize(("stack", "second"), [({}, True), ({"num_layers": 2, "bidirectional": True}, False)])
def test_a_layer_takes_packed_sequences(kind, options, stack, second):
    options = options | stack

    def call(layer, x, *hx):
        ours = not isinstance(x, torch.Tensor)
        utils = rnn if ours else torch_rnn
        y, last = with_states(layer, utils.pack_padded_sequence(x, LENGTHS, enforce_sorted=False), *hx)
        assert isinstance(y, utils.PackedSequence)
        return y.data, utils.pad_packed_sequence(y)[0], last

    check_layer(*pair(kind, INPUTS, HIDDEN, **options), numbers(STEPS, BATCH, INPUTS), *states(kind, options, BATCH), call=call, second=second)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_sorted_packed_sequences_need_no_states(kind):
    def call(layer, x):
        return layer((torch_rnn if isinstance(x, torch.Tensor) else rnn).pack_padded_sequence(x, [4, 4, 2]))

    check_layer(*pair(kind, INPUTS, HIDDEN), numbers(STEPS, BATCH, INPUTS), call=lambda layer, x: (lambda y, h: (y.data, h))(*call(layer, x)))


CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]


@pytest.mark.parametrize(("kind", "options"), CELLS)
@pytest.mark.parametrize("batch", [(), (BATCH,)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_cell_gives_what_pytorch_gives(kind, options, batch, bias):
    layers = pair(kind, INPUTS, HIDDEN, bias=bias, **options)
    hx = [numbers(*batch, HIDDEN, seed=k) for k in range(1 + (kind == "LSTMCell"))]
    check_layer(*layers, numbers(*batch, INPUTS), *hx, call=with_states)
    check_layer(*layers, numbers(*batch, INPUTS), second=False)


def test_saturated_gates_are_as_exact():
    x = 30 * numbers(STEPS, BATCH, INPUTS)
    for kind in ("RNN", "LSTM", "GRU"):
        check_layer(*pair(kind, INPUTS, HIDDEN), x, second=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_larger_layers_agree_with_the_composed_form(kind, options, dtype, monkeypatch):
    """Many rows and steps, which threads share, with sequences that end one by one."""
    layer = getattr(gn.nn, kind)(24, 40, bidirectional=True, generator=np.random.default_rng(0), dtype=dtype, **options)
    x, lengths = numbers(30, 21, 24).astype(dtype), np.arange(30, 9, -1)

    def run():
        leaf = gn.Tensor(x, requires_grad=True)
        y, last = layer(rnn.pack_padded_sequence(leaf, lengths))
        h, c = last if kind == "LSTM" else (last, last)
        layer.zero_grad()
        ((y.data**2).sum() + (h * np.cos(h)).sum() + np.sin(c).sum()).backward()
        return [y.data.data, h.data, c.data, leaf.grad, *(p.grad for p in layer.parameters())]

    found = run()
    monkeypatch.setattr(recurrent, "fused", lambda *_: None)
    for ours, wanted in zip(found, run(), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=(2e-5 if dtype == np.float32 else 1e-12) * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_weights_that_change_before_backward_change_no_gradient(kind, options):
    layer, x = getattr(gn.nn, kind)(INPUTS, HIDDEN, generator=np.random.default_rng(0), **options), gn.Tensor(numbers(STEPS, BATCH, INPUTS), True)
    x = gn.Tensor(x.data.astype(np.float32), requires_grad=True)

    def gradients(change):
        for t in (x, *layer.parameters()):
            t.zero_grad()
        y, _ = layer(x)
        loss = (y * y).sum()
        if change:
            y.data[...] = 7
            for t in (x, *layer.parameters()):
                t.data -= 0.5
        loss.backward()
        return [t.grad.copy() for t in (x, *layer.parameters())]

    for before, after in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(before, after)


def test_an_array_that_changes_before_backward_changes_no_gradient():
    layer, x = gn.nn.LSTM(INPUTS, HIDDEN, dtype=np.float64), numbers(STEPS, BATCH, INPUTS)
    y, _ = layer(x)
    x[...] = 0
    y.sum().backward()
    assert np.abs(layer.weight_ih_l0.grad).max() > 0


def test_third_derivatives_and_empty_batches_are_there():
    layer, x = gn.nn.LSTM(INPUTS, HIDDEN, dtype=np.float64), numbers(STEPS, BATCH, INPUTS)
    along = gn.grad(gn.grad(lambda t: (layer(x * t)[0] ** 3).sum()))
    difference = (float(along(1.0 + 1e-4)) - float(along(1.0 - 1e-4))) / 2e-4
    assert float(gn.grad(along)(1.0)) == pytest.approx(difference, rel=1e-5)
    assert layer(x[:, :0])[0].shape == (STEPS, 0, HIDDEN)


def test_one_tensor_may_be_both_states():
    def call(layer, x, s):
        return layer(x, (s, s))

    check_layer(*pair("LSTM", INPUTS, HIDDEN), numbers(STEPS, BATCH, INPUTS), numbers(1, BATCH, HIDDEN), call=call)


def test_backward_runs_twice_on_a_graph_that_is_kept():
    layer, x = gn.nn.GRU(INPUTS, HIDDEN, dtype=np.float64), gn.Tensor(numbers(STEPS, BATCH, INPUTS), requires_grad=True)
    loss = layer(x)[0].sum()
    loss.backward(retain_graph=True)
    once = x.grad.copy()
    loss.backward()
    np.testing.assert_allclose(x.grad, 2 * once, rtol=1e-14)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_vmap_and_jvp_agree_with_single_calls(kind):
    layer, xs = getattr(gn.nn, kind)(INPUTS, HIDDEN, dtype=np.float64), numbers(5, STEPS, BATCH, INPUTS)
    total = lambda x: (layer(x)[0] ** 2).sum()
    np.testing.assert_allclose(gn.vmap(total)(xs).data, [total(x).data for x in xs], rtol=1e-12)
    np.testing.assert_allclose(gn.vmap(gn.grad(total))(xs).data, [gn.grad(total)(x).data for x in xs], rtol=1e-10, atol=1e-12)
    _, along = gn.jvp(total, (xs[0],), (xs[1],))
    np.testing.assert_allclose(along.data, (gn.grad(total)(xs[0]).data * xs[1]).sum(), rtol=1e-10)
    gn.check_gradients(total, xs[0])


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_overflows_is_infinite_and_warned_of():
    layer, x = gn.nn.RNN(1, 1, nonlinearity="relu", bias=False, dtype=np.float64), gn.Tensor(np.full((3, 1, 1), 1e200), requires_grad=True)
    layer.weight_ih_l0.data[...] = layer.weight_hh_l0.data[...] = 1e60
    with pytest.warns(RuntimeWarning, match="overflow"):
        y, _ = layer(x)
    assert np.isposinf(y.data[1:]).all()
    x.data[...], layer.weight_ih_l0.data[...] = 1.0, 1e-200
    y, _ = layer(x)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        (y * 1e280).sum().backward()
    with pytest.warns(RuntimeWarning, match="overflow"):
        (layer(x)[0] * 1e280).sum().backward()
    assert np.isposinf(layer.weight_hh_l0.grad).all()


def test_without_recording_nothing_is_tracked():
    layer = gn.nn.LSTM(INPUTS, HIDDEN, dtype=np.float64)
    x = numbers(STEPS, BATCH, INPUTS)
    with gn.no_grad():
        y, (h, _) = layer(x)
    assert not y.requires_grad and not h.requires_grad
    np.testing.assert_array_equal(y.data, layer(x)[0].data)


def test_dropout_is_between_layers_and_only_in_training():
    layer = gn.nn.GRU(INPUTS, HIDDEN, num_layers=2, dropout=0.5, generator=np.random.default_rng(3), dtype=np.float64)
    x = numbers(STEPS, BATCH, INPUTS)
    trained = layer(x)[0].data.copy()
    assert not np.array_equal(trained, layer(x)[0].data)
    again = gn.nn.GRU(INPUTS, HIDDEN, num_layers=2, dropout=0.5, generator=np.random.default_rng(3), dtype=np.float64)
    np.testing.assert_array_equal(trained, again(x)[0].data)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].data, layer(x)[0].data)
    always = gn.nn.GRU(INPUTS, HIDDEN, num_layers=2, dropout=1.0, bias=False, dtype=np.float64)
    assert not always(x)[0].data.any()
    with pytest.warns(UserWarning, match="only one"):
        gn.nn.GRU(INPUTS, HIDDEN, dropout=0.5)


def test_weights_begin_as_in_pytorch_and_are_the_same_for_a_seed():
    layer, theirs = gn.nn.LSTM(50, 25, generator=np.random.default_rng(0)), torch.nn.LSTM(50, 25)
    for (name, ours), (other, wanted) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
        assert (name, ours.shape, ours.dtype) == (other, tuple(wanted.shape), np.float32)
        assert 0.15 < np.abs(ours.data).max() <= 0.2 and abs(ours.data.mean()) < 0.03
    again = gn.nn.LSTM(50, 25, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(layer.weight_hh_l0.data, again.weight_hh_l0.data)
    assert [w.shape for w in layer.all_weights[0]] == [(100, 50), (100, 25), (100,), (100,)]
    assert layer.flatten_parameters() is None


def test_names_and_repr_are_pytorchs():
    for kind, options in [*LAYERS, ("GRU", {"num_layers": 2, "bidirectional": True, "dropout": 0.5, "batch_first": True, "bias": False})]:
        ours, theirs = pair(kind, INPUTS, HIDDEN, **options)
        assert repr(ours) == repr(theirs)
        assert [(name, t.shape) for name, t in ours.state_dict().items()] == [(name, tuple(t.shape)) for name, t in theirs.state_dict().items()]
    for kind, options in [*CELLS, ("GRUCell", {"bias": False})]:
        ours, theirs = pair(kind, INPUTS, HIDDEN, **options)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())


# --- packed sequences ------------------------------------------------------------------------------------------------


def same(ours, theirs):
    assert (ours is None) == (theirs is None)
    if theirs is not None:
        np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("tail", [(), (2,), (2, 3)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_and_padding_give_what_pytorch_gives(tail, batch_first):
    x = numbers(3, 5, *tail) if batch_first else numbers(5, 3, *tail)
    ours = rnn.pack_padded_sequence(x, LENGTHS, batch_first, enforce_sorted=False)
    theirs = torch_rnn.pack_padded_sequence(torch.tensor(x), LENGTHS, batch_first, enforce_sorted=False)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)
    for first, options in itertools.product([False, True], [{}, {"padding_value": -1.0, "total_length": 6}]):
        for a, b in zip(rnn.pad_packed_sequence(ours, first, **options), torch_rnn.pad_packed_sequence(theirs, first, **options), strict=True):
            same(a, b)
    for a, b in zip(rnn.unpack_sequence(ours), torch_rnn.unpack_sequence(theirs), strict=True):
        same(a, b)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_lists_of_sequences_give_what_pytorch_gives(side, batch_first):
    sequences = [numbers(n, 2) for n in LENGTHS]
    theirs = [torch.tensor(x) for x in sequences]
    same(rnn.pad_sequence(sequences, batch_first, 0.5, side), torch_rnn.pad_sequence(theirs, batch_first, 0.5, side))
    for a, b in zip(rnn.pack_sequence(sequences, False), torch_rnn.pack_sequence(theirs, False), strict=True):
        same(a, b)
    longest_first = sorted(sequences, key=len, reverse=True)
    same(rnn.pack_sequence(longest_first).data, torch_rnn.pack_sequence([torch.tensor(x) for x in longest_first]).data)
    padded = rnn.pad_sequence(sequences, batch_first)
    for a, b in zip(rnn.unpad_sequence(padded, LENGTHS, batch_first), sequences, strict=True):
        np.testing.assert_array_equal(a, b)


def test_packing_and_padding_are_differentiable():
    def there_and_back(utils):
        def run(x, y):
            packed = utils.pack_sequence([x, y], enforce_sorted=False)
            padded, _ = utils.pad_packed_sequence(packed, padding_value=2.0)
            return padded, utils.pack_padded_sequence(padded**3, [1, 3], enforce_sorted=False).data, *utils.unpack_sequence(packed)

        return run

    check(there_and_back(rnn), there_and_back(torch_rnn), numbers(2, 2), numbers(3, 2))


def test_a_packed_sequence_changes_its_dtype():
    packed = rnn.pack_sequence([numbers(3), numbers(1)])
    assert packed.float().data.dtype == np.float32 and packed.float().double().data.dtype == np.float64
    assert packed.to(np.float32).batch_sizes is packed.batch_sizes


# --- errors ----------------------------------------------------------------------------------------------------------

x, hx = numbers(STEPS, BATCH, INPUTS), numbers(1, BATCH, HIDDEN)
lstm, gru, cell = gn.nn.LSTM(INPUTS, HIDDEN), gn.nn.GRU(INPUTS, HIDDEN, batch_first=True), gn.nn.LSTMCell(INPUTS, HIDDEN)
packed = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
ERRORS = [
    (lambda: lstm(x[..., :1]), ValueError, r"LSTM: input must be \(T, B, 2\)[^$]*input +\(4, 3, 1\)"),
    (lambda: gru(x[None]), ValueError, r"GRU: input must be \(B, T, 2\)[^$]*input +\(1, 4, 3, 2\)"),
    (lambda: lstm(packed._replace(data=x)), ValueError, r"LSTM: input must be \(rows, 2\), packed"),
    (lambda: lstm(x[:0]), ValueError, "one or more steps"),
    (lambda: lstm(x, hx), TypeError, r"pair \(h_0, c_0\)"),
    (lambda: lstm(x, (hx, hx[:, :2])), ValueError, r"LSTM: c_0 must be \(1, 3, 3\)[^$]*c_0 +\(1, 2, 3\)"),
    (lambda: lstm(x, (hx[0], hx)), ValueError, r"LSTM: h_0 must be \(1, 3, 3\)"),
    (lambda: lstm(x[:, 0], (hx, hx)), ValueError, r"LSTM: h_0 must be \(1, 3\)"),
    (lambda: lstm(packed, (hx[:, :2], hx)), ValueError, r"LSTM: h_0 must be \(1, 3, 3\)"),
    (lambda: gru(x, hx), ValueError, r"GRU: h_0 must be \(1, 4, 3\)"),
    (lambda: cell(x), ValueError, r"LSTMCell: input must be \(B, 2\) or \(2,\)"),
    (lambda: cell(x[0], hx), TypeError, r"LSTMCell: hx must be a pair"),
    (lambda: cell(x[0], (hx[0], hx[0, :2])), ValueError, r"LSTMCell: c must be \(3, 3\)"),
    (lambda: gn.nn.GRUCell(INPUTS, HIDDEN)(x[0], hx), ValueError, r"GRUCell: hx must be \(3, 3\)"),
    (lambda: gn.nn.RNN(2, 3, nonlinearity="sin"), ValueError, "RNN: nonlinearity must be 'tanh' or 'relu', not 'sin'"),
    (lambda: gn.nn.RNNCell(2, 3, nonlinearity="sin"), ValueError, "RNNCell: nonlinearity"),
    (lambda: gn.nn.RNN(0, 3), ValueError, "RNN: input_size must be at least 1, not 0"),
    (lambda: gn.nn.GRU(2, 3.0), TypeError, "GRU: hidden_size must be a whole number, not 3.0"),
    (lambda: gn.nn.LSTM(2, 3, 0), ValueError, "LSTM: num_layers must be at least 1"),
    (lambda: gn.nn.LSTM(2, 3, proj_size=3), ValueError, "LSTM: proj_size must be smaller than hidden_size, 3, not 3"),
    (lambda: gn.nn.LSTM(2, 3, 2, dropout=1.5), ValueError, "LSTM: dropout must be a probability"),
    (lambda: gn.nn.LSTM(2, 3, 1, 0.5), TypeError, "LSTM: bias must be True or False, not 0.5"),
    (lambda: gn.nn.LSTMCell(2, -1), ValueError, "LSTMCell: hidden_size must be at least 1"),
    (lambda: rnn.pack_padded_sequence(x[:, 0, 0], LENGTHS), ValueError, r"pack_padded_sequence: input must be \(T, B, ...\)"),
    (lambda: rnn.pack_padded_sequence(x, LENGTHS[:2]), ValueError, "2 lengths for 3 sequences"),
    (lambda: rnn.pack_padded_sequence(x, LENGTHS), ValueError, "longest sequence must come first"),
    (lambda: rnn.pack_padded_sequence(x, [5, 4, 1]), ValueError, "lengths must be from 1 to 4"),
    (lambda: rnn.pack_padded_sequence(x, [4, 4, 0]), ValueError, "lengths must be from 1 to 4"),
    (lambda: rnn.pack_padded_sequence(x, [4.0, 4.0, 1.0]), TypeError, "lengths must be whole numbers, not float64"),
    (lambda: rnn.pad_packed_sequence(packed, total_length=3), ValueError, "total_length must be at least 4"),
    (lambda: rnn.pad_packed_sequence(x), TypeError, "PackedSequence, not a ndarray"),
    (lambda: rnn.pad_sequence([x, x[0]]), ValueError, r"sequence 1 +\(3, 2\)"),
    (lambda: rnn.pad_sequence([]), ValueError, "one or more sequences"),
    (lambda: rnn.pad_sequence([x], padding_side="top"), ValueError, "padding_side must be 'right' or 'left'"),
    (lambda: rnn.unpad_sequence(x, [1, 2]), ValueError, "2 lengths for 3 sequences"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), ERRORS)
def test_errors_name_what_came_and_what_was_expected(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()


def test_the_kernel_declines_what_does_not_fit():
    nothing = [None] * 3
    fits = {"kind": "tanh", "reverse": False, "sizes": np.array([2, 1]), "w": np.ones((3, 3)), "bias": np.ones(3), "project": None}
    fits |= {"h": np.zeros((2, 3)), "c": None, "y": np.zeros((3, 3)), "scratch": np.zeros((2, 3))}
    fits |= {"kept": [np.zeros((3, 3)), np.zeros((3, 3)), *nothing]}
    assert kernels.forward(*fits.values()) and np.isfinite(fits["y"]).all() and fits["y"].all()
    room = {"dh": np.ones((2, 3)), "dc": None, "dy": np.ones((3, 3))}
    for wrong in [{"sizes": np.array([1, 2])}, {"sizes": np.array([2, 2])}, {"sizes": [2, 1]}, {"h": [0.0]}, {"h": np.zeros((2, 4))},
                  {"w": np.ones((3, 4))}, {"w": np.ones((3, 3), "f4")}, {"y": np.zeros((2, 3))}, {"y": np.zeros((3, 3), "f4")},
                  {"c": np.zeros((2, 3))}, {"scratch": np.zeros(1)}, {"kind": "gru"}]:  # fmt: skip
        assert not kernels.forward(*(fits | wrong).values()), wrong
    common = [fits["kind"], False, fits["sizes"], fits["w"], None]
    assert not kernels.back(*common, *room.values(), fits["kept"], fits["scratch"], np.zeros((3, 4)), None, None)
    assert not kernels.back(*common[:3], np.ones((4, 4)), None, *room.values(), fits["kept"], fits["scratch"], np.zeros((3, 3)), None, None)
