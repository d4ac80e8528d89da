"""A small GPT: the network behind today's language models, in 60 lines, learns to write Python's documentation.

What one learns: attention lets each character ask all characters before it, and takes from those that answer; blocks of attention and of a
small network for each place add to a stream, one after the other (Radford et al., 2019; the names are those of Karpathy's nanoGPT). It is trained
by the recipe of the large ones: AdamW that decays matrices only, a rate that rises first and then sinks as a cosine, and gradients
that are clipped. A hook on a layer shows what a head looks at. The text is that of 12_characters.py: Python's own help("topics").

Needs matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/13_small_gpt.py [--seed 0] [--picture small_gpt.png] [--short]
Read next: 14_names.py, where a network makes up names.
"""

import argparse
from pydoc_data.topics import topics

import numpy as np

import gradnerve as gn
from gradnerve import nn

F = nn.functional

try:
    import matplotlib.pyplot as plt
    from tqdm import tqdm
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

STEPS, SHORT, BATCH = 1200, 60, 24
CONTEXT, WIDTH, LAYERS, HEADS = 64, 128, 3, 4
LEARNING_RATE, WARM_UP, DECAY, BETAS, LARGEST_NORM = 3e-3, 50, 0.1, (0.9, 0.95), 1.0
TEMPERATURE, WRITTEN = 0.7, 300
LINE = 'The value of a list is a list of values: "list"'  # what the heads are shown


# --- the text --------------------------------------------------------------------------------------------------------


def load():
    """The alphabet, and the text as places in it: nine tenths to train on, and the last tenth, held out. What is repeated is left out."""
    paragraphs = "\n\n".join(topics.values()).split("\n\n")
    text = "\n\n".join({" ".join(p.split()): p for p in paragraphs}.values())
    alphabet, codes = np.unique(list(text), return_inverse=True)
    return alphabet, *np.split(codes, [len(codes) * 9 // 10])


def batches(rng, codes):
    """For ever: pieces from anywhere in the text, and the characters after each of theirs, both (BATCH, CONTEXT)."""
    while True:
        starts = rng.integers(len(codes) - CONTEXT, size=BATCH)
        piece = codes[starts[:, None] + np.arange(CONTEXT + 1)]
        yield piece[:, :-1], piece[:, 1:]


def yardsticks(alphabet, training, held_out):
    """What the held-out text costs in bits per character without a network."""
    pairs = np.ones((len(alphabet), len(alphabet)))  # each pair of characters has been seen once, so to speak, so that none is impossible
    np.add.at(pairs, (training[:-1], training[1:]), 1)
    often, after = pairs.sum(1) / pairs.sum(), pairs / pairs.sum(1, keepdims=True)
    return {
        "all characters equally likely": np.log2(len(alphabet)),
        "how often a character is": -np.log2(often[held_out]).mean(),
        "how often it follows the last one": -np.log2(after[held_out[:-1], held_out[1:]]).mean(),
    }


# --- the network -----------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Each place asks (q) all places up to itself, each of these says what it has (k), and the mean of what they give (v) is taken."""

    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.c_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = in_heads(self.c_attn(x))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(0, 2, 1, 3).reshape(x.shape))


def in_heads(qkv):
    """Three arrays (batch, heads, time, width / heads) of one (batch, time, 3 * width)."""
    return qkv.reshape(*qkv.shape[:2], 3, HEADS, -1).transpose(2, 0, 3, 1, 4)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.c_proj = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    """Both read the stream normalised, and add to it."""

    def __init__(self):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(WIDTH), Attention()
        self.ln_2, self.mlp = nn.LayerNorm(WIDTH), MLP()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.wte = nn.Embedding(characters, WIDTH)  # what a character is
        self.wpe = nn.Embedding(CONTEXT, WIDTH)  # and where it stands
        self.h = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.ln_f = nn.LayerNorm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, characters, bias=False)
        self.lm_head.weight = self.wte.weight  # one table says what a character is, and which one comes next
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.1)  # as PyTorch has it, 1, the first scores would be far too large

    def forward(self, codes):
        """Scores (batch, time, characters) of the characters after each of `codes` (batch, time)."""
        x = self.wte(codes) + self.wpe(np.arange(codes.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


# --- the learning ----------------------------------------------------------------------------------------------------


def loss_of(scores, targets):
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.ravel())


def groups(network):
    """The parameters of matrices, which decay, and those of biases and norms, which do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim == 2], "weight_decay": DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def train(network, rng, codes, steps, held_out=None):
    """Train in place; returns the bits per character of every step, and for some steps a pair (step, bits per held-out character)."""
    optimizer = gn.optim.AdamW(groups(network), lr=LEARNING_RATE, betas=BETAS)
    rise = gn.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / WARM_UP, total_iters=WARM_UP)
    fall = gn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - WARM_UP, eta_min=LEARNING_RATE / 10)
    scheduler = gn.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[WARM_UP])
    losses, checks = [], []
    progress = tqdm(zip(range(steps), batches(rng, codes), strict=False), total=steps, desc="training", unit="step")
    for step, (inputs, targets) in progress:
        loss = loss_of(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item() / np.log(2))
        if held_out is not None and ((step + 1) % 150 == 0 or step + 1 == steps):
            checks.append((step + 1, bits(network, held_out)))
            progress.set_postfix(bits=f"{losses[-1]:.2f}", held_out=f"{checks[-1][1]:.2f}")
    return losses, checks


def bits(network, codes):
    """Bits per character of a text, each character guessed after half the context at least."""
    starts, half = np.arange(0, len(codes) - CONTEXT, CONTEXT // 2), CONTEXT // 2
    costs = []
    with gn.no_grad():
        for some in np.array_split(starts, len(starts) // BATCH):
            piece = codes[some[:, None] + np.arange(CONTEXT + 1)]
            costs.append(len(some) * float(loss_of(network(piece[:, :-1])[:, half:], piece[:, 1 + half :])))
    return np.sum(costs) / len(starts) / np.log(2)


def write(network, rng, alphabet, beginning, characters=WRITTEN):
    """What the network writes on its own: each character is drawn from what it says after reading those before, as many as it can see."""
    codes = list(np.searchsorted(alphabet, list(beginning)))
    with gn.no_grad():
        for _ in range(characters):
            scores = network(np.array([codes[-CONTEXT:]])).data[0, -1]
            codes.append(rng.choice(len(alphabet), p=F.softmax(scores.astype(float) / TEMPERATURE, 0)))
    return "".join(alphabet[codes])


# --- the picture -----------------------------------------------------------------------------------------------------


def looks(network, codes):
    """How much each place takes from each place before it: (layers, heads, time, time). Hooks keep the q and k that layers give."""
    kept = []
    hooks = [block.attn.c_attn.register_forward_hook(lambda layer, given, out: kept.append(in_heads(out.data))) for block in network.h]
    with gn.no_grad():
        network(codes[None])
    for hook in hooks:
        hook.remove()
    q, k = np.stack([qkv[:2, 0] for qkv in kept], axis=1)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(WIDTH / HEADS)
    return F.softmax(np.where(np.tri(len(codes), dtype=bool), scores, -np.inf), -1)


def draw_learning(axes, losses, checks, sticks):
    axes.plot(1 + np.arange(len(losses)), losses, linewidth=0.8, alpha=0.6, label="training")
    axes.plot(*np.transpose(checks), "o-", label="held out")
    for name, cost in sticks.items():
        axes.axhline(cost, color="0.4", linewidth=0.8, linestyle="--")
        axes.text(len(losses), cost, name, size="small", color="0.3", ha="right", va="bottom")
    axes.set(xlabel="step", ylabel="bits per character", ylim=(1, 7), title="What a character costs")
    axes.legend(loc=(0.45, 0.65))


def draw_head(axes, weights, text):
    axes.imshow(np.sqrt(weights), cmap="Purples", vmin=0, vmax=1)
    labels = list(text.replace(" ", "\N{OPEN BOX}"))
    axes.set_xticks(range(len(text)), labels, family="monospace", size=8)
    axes.set_yticks(range(len(text)), labels, family="monospace", size=8)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set(ylabel="the last character read", xlabel="how much the head takes from each character up to it")


def draw(network, alphabet, losses, checks, sticks, path):
    weights = looks(network, np.searchsorted(alphabet, list(LINE)))
    far = np.tri(len(LINE), k=-3, dtype=bool)  # not the first place either, where heads look that have found nothing
    layer, head = np.unravel_index((weights[..., 1:] ** 2 * far[:, 1:]).sum((2, 3)).argmax(), weights.shape[:2])
    figure = plt.figure(figsize=(12, 7), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.3])
    above, below = left.subfigures(2, 1, height_ratios=[1.3, 1])
    draw_learning(above.subplots(), losses, checks, sticks)
    below.suptitle("What all heads look at: a row for each layer")
    for axes, one in zip(below.subplots(LAYERS, HEADS).flat, weights.reshape(-1, *far.shape), strict=True):
        axes.imshow(np.sqrt(one), cmap="Purples", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    axes = right.subplots()
    draw_head(axes, weights[layer, head], LINE)
    axes.set_title(f"Head {head + 1} of layer {layer + 1}, which looks farthest and surest")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Train a small GPT to write Python's documentation.")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights, the pieces of text, and what is written (default: 0)")
    parser.add_argument("--picture", default="small_gpt.png", help="where the picture goes (default: small_gpt.png)")
    parser.add_argument("--short", action="store_true", help=f"only {SHORT} steps in place of {STEPS:,}")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    gn.manual_seed(options.seed)
    alphabet, training, held_out = load()
    network = GPT(len(alphabet))
    losses, checks = train(network, rng, training, SHORT if options.short else STEPS, held_out)
    sticks = yardsticks(alphabet, training, held_out)
    draw(network, alphabet, losses, checks, sticks, options.picture)

    print(network)
    print(f"parameters: {sum(p.size for p in network.parameters()):,}")
    print(f"characters: {len(training):,} to learn from, {len(held_out):,} held out")
    print("what it writes:", "-" * 79, write(network, rng, alphabet, "The "), "-" * 79, sep="\n")
    for name, cost in sticks.items():
        print(f"{name + ':':36}{cost:.2f} bits per character")
    print(f"picture: {options.picture}")
    print(f"held-out bits per character: {checks[-1][1]:.2f}")


if __name__ == "__main__":
    main()
