"""examples/16_policy_gradient.py beside PyTorch: the same first weights, the same world, the same draws of chance.

The figure is for how many of 200 choices the pole is upright, mean of the last 100 episodes; the time is that of one update, in which
both spend the same on the world, which is NumPy's. The first updates agree to rounding; then a choice that rounding has turned leads
to other episodes, so that figures agree as those of two seeds do.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import gradnerve as gn

SEED = 0


def timed(train, updates):
    start = time.perf_counter()
    upright = train(updates)
    return float(np.mean(upright[-100:])), (time.perf_counter() - start) / updates


def ours(example, short):
    gn.manual_seed(SEED)
    network, rng = example.make_network(), np.random.default_rng(SEED)
    return timed(lambda updates: example.train(network, rng, updates), example.SHORT if short else example.UPDATES)


def theirs(example, short):
    gn.manual_seed(SEED)
    network, rng = make_network(example.HIDDEN, example.make_network().state_dict()), np.random.default_rng(SEED)
    return timed(lambda updates: train(example, network, rng, updates), example.SHORT if short else example.UPDATES)


def make_network(n, weights):
    layers = lambda: [nn.Linear(5, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh(), nn.Linear(n, 1)]
    network = nn.ModuleDict({"policy": nn.Sequential(*layers()), "value": nn.Sequential(*layers())})
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


def improve(example, network, optimizer, inputs, right, weights, targets):
    scores, values = network["policy"](inputs)[:, 0], network["value"](inputs)[:, 0]
    choice = F.binary_cross_entropy_with_logits(scores, right, weights)
    entropy = torch.mean(F.softplus(scores) - scores * torch.sigmoid(scores))
    loss = choice - example.CURIOSITY * entropy + F.mse_loss(values, targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), example.LARGEST_NORM)
    optimizer.step()


def train(example, network, rng, updates):
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=updates)
    world = example.World(rng)

    def told(part, states):
        with torch.no_grad():
            return network[part](torch.from_numpy(example.seen(states)))[..., 0].numpy()

    for _ in range(updates):
        moves = example.play(world, rng, lambda states: told("policy", states))
        batch = example.lessons(lambda states: told("value", states), *moves)
        improve(example, network, optimizer, *map(torch.from_numpy, batch))
        schedule.step()
    return np.array(world.finished)
