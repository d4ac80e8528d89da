"""Characters: an LSTM learns to write Python's documentation, one character after the other.

What one learns: a network that reads a text says of each next character how likely it is; what it is told about the past is a state
that it writes itself. The training loop is the one of every PyTorch lesson, with `gn.nn` and `gn.optim`. The text is read in pieces: the state
is carried on from piece to piece, but cut off from its past (`detach`), so that gradients go back through one piece only. How good it is
is counted in bits per character: as many would be needed to write down a text that it has not seen. And the gradient tells how
far back a network looks. The text is that of Python's own help("topics"), which every machine has; it differs from version to version.

Needs matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/12_characters.py [--seed 0] [--picture characters.png] [--short]
Read next: 13_small_gpt.py, which learns the same text with attention.
"""

import argparse
import lzma
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

STEPS, SHORT, READERS, LENGTH = 1000, 100, 64, 32  # 64 readers of one text, who read 32 characters in a step
EMBEDDED, HIDDEN = 64, 256
LEARNING_RATE, LARGEST_NORM = 8e-3, 1.0
TEMPERATURE, WRITTEN = 0.7, 300
FAR, EXAMPLES = 128, 64  # how far back the gradient is looked at, and in how many places


# --- the text --------------------------------------------------------------------------------------------------------


def load():
    """The alphabet, and the text as places in it: nine tenths to train on, and the last tenth, held out. What is repeated is left out."""
    paragraphs = "\n\n".join(topics.values()).split("\n\n")
    text = "\n\n".join({" ".join(p.split()): p for p in paragraphs}.values())
    alphabet, codes = np.unique(list(text), return_inverse=True)
    return alphabet, *np.split(codes, [len(codes) * 9 // 10])


def batches(rng, codes):
    """For ever: what the readers see, and the characters after these, both (LENGTH, READERS). Each goes on where it was, round the text."""
    starts = rng.integers(len(codes)) + np.arange(READERS) * len(codes) // READERS
    while True:
        piece = codes[(starts + np.arange(LENGTH + 1)[:, None]) % len(codes)]
        yield piece[:-1], piece[1:]
        starts = starts + LENGTH


def yardsticks(alphabet, training, held_out):
    """What the held-out text costs in bits per character without a network."""
    pairs = np.ones((len(alphabet), len(alphabet)))  # each pair of characters has been seen once, so to speak, so that none is impossible
    np.add.at(pairs, (training[:-1], training[1:]), 1)
    often, after = pairs.sum(1) / pairs.sum(), pairs / pairs.sum(1, keepdims=True)
    both, first = (len(lzma.compress("".join(alphabet[codes]).encode())) for codes in (np.append(training, held_out), training))
    return {
        "all characters equally likely": np.log2(len(alphabet)),
        "how often a character is": -np.log2(often[held_out]).mean(),
        "how often it follows the last one": -np.log2(after[held_out[:-1], held_out[1:]]).mean(),
        "packed by lzma after the training text": 8 * (both - first) / len(held_out),
    }


# --- the network -----------------------------------------------------------------------------------------------------


class Reader(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.embedding = nn.Embedding(characters, EMBEDDED)
        self.lstm = nn.LSTM(EMBEDDED, HIDDEN)
        self.head = nn.Linear(HIDDEN, characters)

    def forward(self, codes, state=None):
        """Scores of the characters after each of `codes` (time, readers), and the state at the end."""
        hidden, state = self.lstm(self.embedding(codes), state)
        return self.head(hidden), state


def loss_of(scores, targets):
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.ravel())


def train(network, rng, codes, steps, held_out=None):
    """Train in place; returns the bits per character of every step, and for some steps a pair (step, bits per held-out character)."""
    optimizer = gn.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    scheduler = gn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    state, losses, checks = None, [], []
    progress = tqdm(zip(range(steps), batches(rng, codes), strict=False), total=steps, desc="training", unit="step")
    for step, (inputs, targets) in progress:
        scores, state = network(inputs, state)
        state = [s.detach() for s in state]  # carried on as numbers: the past of this piece ends here
        loss = loss_of(scores, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item() / np.log(2))
        if held_out is not None and (step + 1) % 100 == 0:
            checks.append((step + 1, bits(network, held_out)))
            progress.set_postfix(bits=f"{losses[-1]:.2f}", held_out=f"{checks[-1][1]:.2f}")
    return losses, checks


def bits(network, codes, readers=32):
    """Bits per character of a text, of which each of the readers reads one part from end to end."""
    parts = np.stack(np.split(codes[: len(codes) // readers * readers], readers), axis=1)
    with gn.no_grad():
        scores, _ = network(parts[:-1])
        return float(loss_of(scores, parts[1:])) / np.log(2)


def write(network, rng, alphabet, beginning, characters=WRITTEN):
    """What the network writes on its own: each character is drawn from what it says after reading all before."""
    codes, state = list(np.searchsorted(alphabet, list(beginning))), None
    with gn.no_grad():
        scores, state = network(np.array(codes)[:, None], state)
        for _ in range(characters):
            likely = F.softmax(scores.data[-1, 0].astype(float) / TEMPERATURE, 0)
            codes.append(rng.choice(len(alphabet), p=likely))
            scores, state = network(np.array([[codes[-1]]]), state)
    return "".join(alphabet[codes])


# --- the picture -----------------------------------------------------------------------------------------------------


def reach(network, rng, codes):
    """How large the derivative of a loss is by what was read 0, 1, 2, ... characters before: the median over some places of the text."""
    starts = rng.integers(len(codes) - FAR - 1, size=EXAMPLES)
    piece = codes[starts + np.arange(FAR + 1)[:, None]]
    seen = network.embedding(piece[:-1]).detach().requires_grad_()
    hidden, _ = network.lstm(seen)
    F.cross_entropy(network.head(hidden[-1]), piece[-1], reduction="sum").backward()
    return np.median(np.linalg.norm(seen.grad, axis=-1), axis=1)[::-1]


def draw_learning(axes, losses, checks, sticks):
    axes.plot(1 + np.arange(len(losses)), losses, linewidth=0.8, alpha=0.6, label="training")
    axes.plot(*np.transpose(checks), "o-", label="held out")
    *upper, lowest = sticks.items()
    for name, cost in upper:
        axes.axhline(cost, color="0.4", linewidth=0.8, linestyle="--")
        axes.text(len(losses), cost, name, size="small", color="0.3", ha="right", va="bottom")
    axes.axhline(lowest[1], color="C2", label=lowest[0])
    axes.set(xlabel="step", ylabel="bits per character", ylim=(1, 7), title="What a character costs")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.92))


def draw_reach(axes, before, after):
    axes.semilogy(before / before[0], label="before training")
    axes.semilogy(after / after[0], label="after training")
    axes.axvspan(0, LENGTH - 1, color="0.9", label="a piece of training")
    axes.set(xlabel="characters before the last one", ylabel="size of the derivative, relative", ylim=(1e-6, 3))
    axes.set_title("How far back the gradient reaches")
    axes.legend()
    axes.grid(alpha=0.3)


def draw_costs(axes, network, alphabet, codes, shape=(5, 100)):
    """Some lines of text, each character on a ground that says how many bits it costs, after as much text again."""
    piece = codes[: 2 * np.prod(shape)]
    with gn.no_grad():
        scores, _ = network(piece[:-1, None])
        costs = F.cross_entropy(scores[:, 0], piece[1:], reduction="none").data / np.log(2)
    shown = axes.imshow(costs[-np.prod(shape) :].reshape(shape), cmap="Oranges", vmin=0, vmax=10, aspect="auto")
    for k, character in enumerate(alphabet[piece[-np.prod(shape) :]]):
        character = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}" if character == "\n" else character
        axes.text(k % shape[1], k // shape[1], character, family="monospace", size=8, ha="center", va="center", parse_math=False)
    axes.figure.colorbar(shown, ax=axes, label="bits", pad=0.01)
    axes.set_title("Held-out text, and what each of its characters costs")
    axes.set_axis_off()


def draw(network, alphabet, held_out, losses, checks, sticks, before, after, path):
    figure = plt.figure(figsize=(10, 6.5), layout="constrained")
    axes = figure.subplot_mosaic([["learning", "reach"], ["costs", "costs"]], height_ratios=[2.4, 1])
    draw_learning(axes["learning"], losses, checks, sticks)
    draw_reach(axes["reach"], before, after)
    draw_costs(axes["costs"], network, alphabet, held_out)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Train an LSTM to write Python's documentation.")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights, the readers' places, and what is written (default: 0)")
    parser.add_argument("--picture", default="characters.png", help="where the picture goes (default: characters.png)")
    parser.add_argument("--short", action="store_true", help=f"only {SHORT} steps in place of {STEPS:,}")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    gn.manual_seed(options.seed)
    alphabet, training, held_out = load()
    network = Reader(len(alphabet))
    before = reach(network, np.random.default_rng(options.seed), held_out)
    losses, checks = train(network, rng, training, SHORT if options.short else STEPS, held_out)
    after = reach(network, np.random.default_rng(options.seed), held_out)
    sticks = yardsticks(alphabet, training, held_out)
    draw(network, alphabet, held_out, losses, checks, sticks, before, after, options.picture)

    print(network)
    print(f"characters: {len(training):,} to learn from, {len(held_out):,} held out")
    print("what it writes:", "-" * 79, write(network, rng, alphabet, "The "), "-" * 79, sep="\n")
    for name, cost in sticks.items():
        print(f"{name + ':':41}{cost:.2f} bits per character")
    print(f"picture: {options.picture}")
    print(f"held-out bits per character: {checks[-1][1]:.2f}")


if __name__ == "__main__":
    main()
