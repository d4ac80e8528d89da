"""The table of a network: counts that are known from formulas, and what a run of it must not change.

Read next: test_nn_module.py.
"""

import numpy as np
import pytest

import gradnerve as gn

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


def test_the_table_can_be_read():
    assert repr(nn.summary(Net(), (2, 1, 10, 10))) == """\
layer                     output shape    parameters  multiply-adds
-------------------------------------------------------------------
Net                       (2, 4), (2, 4)
  (features): Sequential  (2, 8, 8, 8)
    (0): Conv2d           (2, 8, 10, 10)          80         14,400
    (1): BatchNorm2d      (2, 8, 10, 10)          16          3,200
    (2): ReLU             (2, 8, 10, 10)
    (3): Conv2d           (2, 8, 8, 8)           152         18,432
  (head): Linear          (2, 4)                  36            128
  (unused): Linear                                 2
-------------------------------------------------------------------
286 parameters (286 trainable), 1.1 KiB; 36,160 multiply-adds"""
