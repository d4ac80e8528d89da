"""Whole networks: they learn, the same seed gives the same bits, and trained weights go out and come in."""

import io

import numpy as np
import pytest

import gradnerve as gn
from gradnerve import nn

F = nn.functional

pytestmark = pytest.mark.usefixtures("rows_return")


def pictures(rng, n=64):
    """A bright bar in one of four directions, in noise."""
    labels = rng.integers(4, size=n)
    images = 0.3 * rng.random((n, 1, 8, 8), np.float32)
    for image, label in zip(images[:, 0], labels, strict=True):
        k = rng.integers(2, 6)
        bar = [(k, slice(None)), (slice(None), k), np.diag_indices(8), (np.arange(8), np.arange(8)[::-1])][label]
        image[bar] += 1
    return images, labels


def convolutional(generator=None):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, generator=generator), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, generator=generator),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2, generator=generator), nn.Linear(256, 4, generator=generator),
    )  # fmt: skip


class Recurrent(nn.Module):
    """Reads the rows of a picture one after the other."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 24, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 4)

    def forward(self, images):
        return self.head(np.max(self.rnn(images[:, 0])[0], axis=1))


class Attentive(nn.Module):
    """Looks at all rows at once."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(np.zeros((8, 8), np.float32))
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 32, dropout=0.1, batch_first=True), 2)
        self.head = nn.Linear(64, 4)

    def forward(self, images):
        return self.head(self.layers(images[:, 0] + self.place).reshape(len(images), -1))


def train(make, seed, steps, rate):
    gn.manual_seed(seed)
    net, (images, labels) = make(), pictures(np.random.default_rng(1))
    memory = [np.zeros_like(p.data) for p in net.parameters()]
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(net(images), labels)
        net.zero_grad()
        loss.backward()
        for p, m in zip(net.parameters(), memory, strict=True):
            m *= 0.9
            m += p.grad
            p.data -= rate * m
        losses.append(loss.item())
    return net, losses


@pytest.mark.parametrize(("make", "steps", "rate"), [(convolutional, 40, 0.03), (Recurrent, 120, 0.2), (Attentive, 150, 0.05)])
def test_networks_learn(make, steps, rate):
    net, losses = train(make, 0, steps, rate)
    images, labels = pictures(np.random.default_rng(2), 200)
    with gn.no_grad():
        right = np.mean(net.eval()(images).data.argmax(1) == labels)
    assert losses[0] > 1 and np.mean(losses[-5:]) < 0.3
    assert right > 0.8


@pytest.mark.parametrize("make", [convolutional, Recurrent, Attentive])
def test_the_same_seed_gives_the_same_bits(make):
    (net, losses), (again, losses_again) = train(make, 3, 5, 0.05), train(make, 3, 5, 0.05)
    assert losses == losses_again
    for one, other in zip(net.state_dict().values(), again.state_dict().values(), strict=True):
        assert np.array_equal(one, other)
    assert losses != train(make, 4, 5, 0.05)[1]


def test_a_generator_of_ones_own_is_the_only_one_that_is_drawn_from():
    def run(seed):
        gn.manual_seed(seed)
        net = convolutional(np.random.default_rng(7))
        images, _ = pictures(np.random.default_rng(1), 8)
        return net(images).data, float(gn.random.random())

    (one, drawn), (other, drawn_then) = run(0), run(1)
    assert np.array_equal(one, other)
    gn.manual_seed(0)
    assert drawn == float(gn.random.random()) != drawn_then


def test_weights_go_through_a_file():
    net, _ = train(convolutional, 0, 3, 0.03)
    file = io.BytesIO()
    np.savez(file, **net.state_dict())
    file.seek(0)
    other = convolutional()
    other.load_state_dict(np.load(file))
    images, _ = pictures(np.random.default_rng(5))
    assert np.array_equal(net.eval()(images).data, other.eval()(images).data)
