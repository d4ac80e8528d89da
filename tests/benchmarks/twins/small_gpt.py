"""examples/13_small_gpt.py beside PyTorch: the same first weights, the same text, the same pieces of it.

The figure is bits per held-out character; the time is that of 100 steps of training.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import gradnerve as gn
from tests.benchmarks.twins.characters import SEED, timed


def ours(example, short):
    alphabet, training, held_out = example.load()
    network, rng = first(example, alphabet), np.random.default_rng(SEED)
    seconds = timed(lambda steps: example.train(network, rng, training, steps), example.SHORT if short else example.STEPS)
    return float(example.bits(network, held_out)), seconds


def theirs(example, short):
    alphabet, training, held_out = example.load()
    network, rng = GPT(example, first(example, alphabet).state_dict()), np.random.default_rng(SEED)
    seconds = timed(lambda steps: train(example, network, rng, training, steps), example.SHORT if short else example.STEPS)

    def scores_of(codes):
        with torch.no_grad():
            return network(torch.from_numpy(codes)).numpy()

    return float(example.bits(scores_of, held_out)), seconds


def first(example, alphabet):
    gn.manual_seed(SEED)
    return example.GPT(len(alphabet))


class Block(nn.Module):
    def __init__(self, n, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(n, 3 * n), "c_proj": nn.Linear(n, n)})
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(n, 4 * n), "c_proj": nn.Linear(4 * n, n)})

    def forward(self, x):
        q, k, v = self.attn["c_attn"](self.ln_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn["c_proj"](y.transpose(1, 2).flatten(2))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, example, weights):
        super().__init__()
        characters, n = weights["wte.weight"].shape
        self.wte, self.wpe = nn.Embedding(characters, n), nn.Embedding(example.CONTEXT, n)
        self.h = nn.ModuleList([Block(n, example.HEADS) for _ in range(example.LAYERS)])
        self.ln_f, self.lm_head = nn.LayerNorm(n), nn.Linear(n, characters, bias=False)
        self.lm_head.weight = self.wte.weight
        self.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})

    def forward(self, codes):
        x = self.wte(codes) + self.wpe.weight[: codes.shape[1]]
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


def train(example, network, rng, codes, steps):
    """The bits per character of each step."""
    rate, warm_up = example.LEARNING_RATE, example.WARM_UP
    optimizer = torch.optim.AdamW(example.groups(network), lr=rate, betas=example.BETAS)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / warm_up, total_iters=warm_up)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - warm_up, eta_min=rate / 10)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warm_up])
    losses = []
    for _, (inputs, targets) in zip(range(steps), example.batches(rng, codes), strict=False):
        loss = F.cross_entropy(network(torch.from_numpy(inputs)).flatten(0, 1), torch.from_numpy(targets).flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), example.LARGEST_NORM)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item() / np.log(2))
    return losses
