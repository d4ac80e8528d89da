"""examples/15_autoencoder.py beside PyTorch: the same split, first weights, batches and schedule, and the same pixels and codes are drawn.

The figure is the evidence lower bound of held-out digits, in nats per image; the time is that of an epoch of training, without evaluation.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import gradnerve as gn

SEED = 0


def begun(example, short):
    """How many epochs, the loaders, and the network before training."""
    gn.manual_seed(SEED)
    training, held_out = example.load()
    network = example.Autoencoder(np.random.default_rng(SEED))
    return example.SHORT if short else example.EPOCHS, *example.batches(training, held_out, SEED), network


def ours(example, short):
    epochs, training, held_out, network = begun(example, short)
    trainer = example.make_trainer(network, epochs * len(training), progress=False)
    history = trainer.fit(training, epochs)
    return -trainer.evaluate(held_out)["loss"], np.mean(history["seconds"])


def theirs(example, short):
    epochs, training, held_out, first = begun(example, short)
    network = make_network(example, first.state_dict())
    start = time.perf_counter()
    train(example, network, first.rng, training, epochs)
    seconds = (time.perf_counter() - start) / epochs
    network.eval()
    with torch.no_grad():
        losses = [float(sum(losses_of(example, network, first.rng, batch))) for batch in held_out]
    return -np.average(losses, weights=[len(batch[0]) for batch in held_out]), seconds


def make_network(example, weights):
    n, code = example.CHANNELS, example.CODE
    encoder = nn.Sequential(
        nn.Conv2d(1, n, 4, stride=2, padding=1), nn.BatchNorm2d(n), nn.ReLU(),
        nn.Conv2d(n, 2 * n, 4, stride=2, padding=1), nn.BatchNorm2d(2 * n), nn.ReLU(),
        nn.Flatten(), nn.Linear(2 * n * 7 * 7, 2 * code),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(code, 2 * n * 7 * 7), nn.Unflatten(1, (2 * n, 7, 7)), nn.BatchNorm2d(2 * n), nn.ReLU(),
        nn.ConvTranspose2d(2 * n, n, 4, stride=2, padding=1), nn.BatchNorm2d(n), nn.ReLU(),
        nn.ConvTranspose2d(n, 1, 4, stride=2, padding=1),
    )  # fmt: skip
    network = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


def losses_of(example, network, rng, batch):
    """The two parts of minus the bound."""
    images = torch.from_numpy(example.black_or_white(rng, batch[0].data))
    mean, log_variance = network["encoder"](images).chunk(2, dim=1)
    noise = torch.from_numpy(rng.standard_normal(mean.shape)).float()
    scores = network["decoder"](mean + torch.exp(log_variance / 2) * noise)
    pixels = F.binary_cross_entropy_with_logits(scores, images, reduction="sum") / len(images)
    return pixels, torch.sum(mean**2 + torch.exp(log_variance) - 1 - log_variance) / (2 * len(images))


def train(example, network, rng, batches, epochs):
    """Train in place; returns the two parts of the loss of each batch, which the Trainer notes too."""
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=example.LEARNING_RATE, total_steps=epochs * len(batches))
    history = []
    for _ in range(epochs):
        for batch in batches:
            optimizer.zero_grad()
            pixels, divergence = losses_of(example, network, rng, batch)
            (pixels + divergence).backward()
            optimizer.step()
            scheduler.step()
            history.append((pixels.item(), divergence.item()))
    return np.array(history)
