"""examples/12_characters.py beside PyTorch: the same first weights, the same text, the same pieces of it.

The figure is bits per held-out character; the time is that of 100 steps of training. `losses` lets one see that both learn alike: the bits
of each step differ by rounding, which grows with the steps.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import gradnerve as gn

SEED = 0


def timed(train, steps):
    start = time.perf_counter()
    train(steps)
    return 100 * (time.perf_counter() - start) / steps


def ours(example, short):
    alphabet, training, held_out = example.load()
    network, rng = first(example, alphabet), np.random.default_rng(SEED)
    seconds = timed(lambda steps: example.train(network, rng, training, steps), example.SHORT if short else example.STEPS)
    return float(example.bits(network, held_out)), seconds


def theirs(example, short):
    alphabet, training, held_out = example.load()
    network, rng = Reader(example, first(example, alphabet)), np.random.default_rng(SEED)
    seconds = timed(lambda steps: train(example, network, rng, training, steps), example.SHORT if short else example.STEPS)

    def read(codes):
        with torch.no_grad():
            return network(torch.from_numpy(codes))[0].numpy(), None

    return float(example.bits(read, held_out)), seconds


def first(example, alphabet):
    gn.manual_seed(SEED)
    return example.Reader(len(alphabet))


class Reader(nn.Module):
    def __init__(self, example, weights_of):
        super().__init__()
        self.embedding = nn.Embedding(*weights_of.embedding.weight.shape)
        self.lstm = nn.LSTM(example.EMBEDDED, example.HIDDEN)
        self.head = nn.Linear(example.HIDDEN, len(weights_of.embedding.weight))
        self.load_state_dict({name: torch.from_numpy(array) for name, array in weights_of.state_dict().items()})

    def forward(self, codes, state=None):
        hidden, state = self.lstm(self.embedding(codes), state)
        return self.head(hidden), state


def train(example, network, rng, codes, steps):
    """The bits per character of each step."""
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    state, losses = None, []
    for _, (inputs, targets) in zip(range(steps), example.batches(rng, codes), strict=False):
        scores, state = network(torch.from_numpy(inputs), state)
        state = [s.detach() for s in state]
        loss = F.cross_entropy(scores.flatten(0, 1), torch.from_numpy(targets).flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), example.LARGEST_NORM)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item() / np.log(2))
    return losses
