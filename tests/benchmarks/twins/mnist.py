"""examples/11_mnist.py beside PyTorch: the same split, first weights, batches and schedule; only dropout draws numbers of its own.

The figure is the share of held-out digits that are read right; the time is that of an epoch of training, without evaluation.
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
    return example.SHORT if short else example.EPOCHS, *example.batches(training, held_out, SEED), example.make_network()


def ours(example, short):
    epochs, training, held_out, network = begun(example, short)
    trainer = example.make_trainer(network, epochs * len(training), progress=False)
    history = trainer.fit(training, epochs)
    return trainer.evaluate(held_out)["accuracy"], np.mean(history["seconds"])


def theirs(example, short):
    epochs, training, held_out, first = begun(example, short)
    torch.manual_seed(SEED)
    network = make_network(example, first.state_dict())
    start = time.perf_counter()
    train(example, network, training, epochs)
    seconds = (time.perf_counter() - start) / epochs
    return evaluate(network, held_out), seconds


def make_network(example, weights):
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(example.DROPOUT), nn.Linear(512, 128), nn.ReLU(), nn.Dropout(example.DROPOUT), nn.Linear(128, 10),
    )  # fmt: skip
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


def train(example, network, batches, epochs):
    """Train in place; returns the mean loss and the accuracy of each epoch, which the Trainer notes too."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=example.LEARNING_RATE, weight_decay=example.WEIGHT_DECAY)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=example.LEARNING_RATE, total_steps=epochs * len(batches))
    history = []
    for _ in range(epochs):
        sums, total = np.zeros(2), 0
        for batch in batches:
            images, labels = (torch.from_numpy(part.data) for part in batch)
            optimizer.zero_grad()
            scores = network(images)
            loss = F.cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += len(labels)
            sums += len(labels) * np.array([loss.item(), (scores.argmax(1) == labels).float().mean().item()])
        history.append(sums / total)
    return np.array(history)


def evaluate(network, batches):
    network.eval()
    with torch.no_grad():
        right = [(network(torch.from_numpy(images.data)).argmax(1).numpy() == labels.data) for images, labels in batches]
    return np.concatenate(right).mean()
