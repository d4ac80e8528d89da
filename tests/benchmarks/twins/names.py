"""examples/14_names.py beside PyTorch: the same first weights, the same batches, read by the same loader.

The figure is the nats per held-out character; the time is that of an epoch of training.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import gradnerve as gn

SEED = 0


def ours(example, short):
    return compared(example, short, lambda network: network, example.train, example.probabilities)


def theirs(example, short):
    def train(network, rng, training, epochs):
        return train_theirs(example, network, rng, training, epochs)

    return compared(example, short, lambda network: make_network(example, network.state_dict()), train, probabilities)


def compared(example, short, converted, train, probabilities):
    rng = np.random.default_rng(SEED)
    gn.manual_seed(SEED)
    training, held_out = map(example.windows, example.load(rng))
    network, epochs = converted(example.make_network()), example.SHORT if short else example.EPOCHS
    start = time.perf_counter()
    train(network, rng, training, epochs)
    seconds = (time.perf_counter() - start) / epochs
    return float(example.nats(probabilities(network, held_out[0]), held_out[1])), seconds


def make_network(example, weights):
    n, width = len(example.CHARACTERS), example.HIDDEN
    network = nn.Sequential(
        nn.Embedding(n, example.EMBEDDED), nn.Flatten(),
        nn.Linear(example.SEEN * example.EMBEDDED, width, bias=False), nn.BatchNorm1d(width), nn.Tanh(),
        nn.Linear(width, n),
    )  # fmt: skip
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


def train_theirs(example, network, rng, training, epochs):
    loader = gn.data.DataLoader(gn.data.TensorDataset(*training), batch_size=example.BATCH, shuffle=True, generator=rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    losses = []
    for _ in range(epochs):
        for batch in loader:
            contexts, targets = (torch.from_numpy(part.data) for part in batch)
            loss = F.cross_entropy(network(contexts), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
    return losses, []


def probabilities(network, contexts):
    network.eval()
    with torch.no_grad():
        return F.softmax(network(torch.from_numpy(contexts)), 1).numpy()
