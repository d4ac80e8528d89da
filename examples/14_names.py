"""Names: a network reads the surnames of a country, and makes up new ones.

What one learns: a language model says how likely each next character is. To count which letter follows which gives one; a network that
sees the last six characters is a better one. It looks up a few numbers for each of them (`Embedding`), puts these in a row, and has two
more layers with a `BatchNorm1d` between (Bengio et al., 2003; Karpathy's lessons "makemore"). The numbers are learned with all else:
afterwards letters that are used alike are close together, though nobody has said what a vowel is. How good a model is, is counted in nats
per character of names that it has not seen: the mean of -log(probability of the character that came). The data are the 88,799 most
common surnames in the US census of 1990, which nine of ten people have; the package `names` brings them.

Needs names, matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/14_names.py [--seed 0] [--picture names.png] [--short]
Read next: 15_autoencoder.py, which makes up pictures.
"""

import argparse
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import gradnerve as gn
from gradnerve import nn

F = nn.functional

try:
    import matplotlib.pyplot as plt
    from tqdm import tqdm

    SURNAMES = Path(distribution("names").locate_file("names/dist.all.last"))  # found without running that package
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

END, LETTERS = ".", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHARACTERS = END + LETTERS
SEEN, EMBEDDED, HIDDEN = 6, 16, 200  # characters that the network sees, numbers for each, units of the hidden layer
EPOCHS, SHORT, BATCH, LEARNING_RATE = 8, 1, 512, 0.01
CREATED = 20


# --- the data --------------------------------------------------------------------------------------------------------


def load(rng):
    """The names to train on, and one tenth that is held out."""
    names = [line.split()[0] for line in SURNAMES.read_text().splitlines()]
    return map(list, gn.data.random_split(names, [0.9, 0.1], generator=rng))


def windows(names):
    """The SEEN characters before each character (n, SEEN), and that character (n,), as places in CHARACTERS; END stands around a name."""
    text = END * SEEN + "".join(name + END * SEEN for name in names)
    rows = sliding_window_view(np.array([CHARACTERS.index(c) for c in text]), SEEN + 1)
    contexts, targets = rows[:, :-1], rows[:, -1]
    real = (contexts[:, -1] > 0) | (targets > 0)  # after an END there is no other
    return contexts[real], targets[real]


# --- the models ------------------------------------------------------------------------------------------------------


def counted(contexts, targets):
    """The yardstick: how likely each character (column) is after each (row), by counting; each pair counts once more, so that none is 0."""
    pairs = np.ones((len(CHARACTERS), len(CHARACTERS)))
    np.add.at(pairs, (contexts[:, -1], targets), 1)
    return pairs / pairs.sum(1, keepdims=True)


def make_network():
    network = nn.Sequential(
        nn.Embedding(len(CHARACTERS), EMBEDDED), nn.Flatten(),
        nn.Linear(SEEN * EMBEDDED, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.Tanh(),
        nn.Linear(HIDDEN, len(CHARACTERS)),
    )  # fmt: skip
    network[0].weight.data *= 0.1  # so that what a letter is like in the end comes from the names, not from chance
    return network


def train(network, rng, training, epochs, held_out=None):
    """Train in place; returns the nats per character of every batch, and after every epoch those of the held-out ones, if there are any."""
    loader = gn.data.DataLoader(gn.data.TensorDataset(*training), batch_size=BATCH, shuffle=True, generator=rng)
    optimizer = gn.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    scheduler = gn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    losses, checks = [], []
    progress = tqdm(range(epochs), desc="training", unit="epoch")
    for _ in progress:
        for contexts, targets in loader:
            loss = F.cross_entropy(network(contexts), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        if held_out is not None:
            checks.append(nats(probabilities(network, held_out[0]), held_out[1]))
            progress.set_postfix(loss=f"{np.mean(losses[-len(loader) :]):.3f}", held_out=f"{checks[-1]:.3f}")
    return losses, checks


def probabilities(network, contexts):
    """How likely each character is after each of these contexts, (n, characters)."""
    network.eval()
    with gn.no_grad():
        parts = [F.softmax(network(part), 1).data for part in np.array_split(contexts, len(contexts) // 10_000 + 1)]
    network.train()
    return np.concatenate(parts)


def nats(likely, targets):
    """The mean of -log(probability of what came)."""
    return -np.log(likely[np.arange(len(targets)), targets]).mean()


def create(network, rng, known, n=CREATED):
    """New names, each character drawn from what the network says after those before; and how many were drawn until n were new."""
    new, drawn = [], 0
    while len(new) < n:
        name = END * SEEN
        while len(name) == SEEN or name[-1] != END:
            likely = probabilities(network, np.array([[CHARACTERS.index(c) for c in name[-SEEN:]]]))[0].astype(float)
            name += rng.choice(list(CHARACTERS), p=likely / likely.sum())
        drawn += 1
        if (name := name.strip(END)) not in known:
            new.append(name.capitalize())
    return new, drawn


# --- the picture -----------------------------------------------------------------------------------------------------


def draw(network, losses, checks, bigrams, held_out, path):
    contexts, targets = held_out
    figure = plt.figure(figsize=(11, 10), layout="constrained")
    (curve, plane), tables = figure.subplots(2, 2)
    draw_losses(curve, losses, checks, nats(bigrams[contexts[:, -1]], targets))
    draw_letters(plane, network[0].weight.data[1:], np.bincount(targets)[1:])
    likely = probabilities(network, contexts)
    by_network = np.array([likely[contexts[:, -1] == k].mean(0) for k in range(len(CHARACTERS))])
    draw_tables(figure, tables, {"as counted": bigrams, "as the network says, mean over the held-out names": by_network})
    figure.savefig(path, dpi=150)


def draw_losses(axes, losses, checks, by_counting):
    steps = len(losses) // len(checks)
    smooth = np.convolve(losses, np.ones(100) / 100, mode="valid")
    axes.plot((np.arange(len(smooth)) + 50) / steps, smooth, label="training, mean of 100 batches", lw=1)
    axes.plot(np.arange(1, len(checks) + 1), checks, "o-", label="held-out names")
    axes.axhline(by_counting, color="k", ls="--", lw=1, label="held-out names, by counting pairs")
    axes.set(xlabel="epoch", ylabel="nats per character", title=f"held-out names: {checks[-1]:.2f} nats per character")
    axes.set_ylim(top=by_counting + 0.1)
    axes.grid(alpha=0.3)
    axes.legend()


def draw_letters(axes, embedding, counts):
    """The numbers that stand for the letters, seen from where they differ most: principal components, each letter as often as it is written."""
    often = counts[:, None] / counts.sum()
    centred = embedding - (often * embedding).sum(0)
    _, _, directions = np.linalg.svd(np.sqrt(often) * centred)
    places = centred @ directions[:2].T
    for letter, (x, y) in zip(LETTERS, places, strict=True):
        axes.text(x, y, letter, color="C3" if letter in "AEIOUY" else "k", ha="center", va="center", size="x-large")
    axes.scatter(*places.T, alpha=0)  # for the limits of the axes
    axes.set(title="what letters are like to the network (red: vowels)", xticks=[], yticks=[])


def draw_tables(figure, both, tables):
    for axes, (name, table) in zip(both, tables.items(), strict=True):
        shown = axes.imshow(np.sqrt(table), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(CHARACTERS)), CHARACTERS, size="small")
        axes.set_yticks(range(len(CHARACTERS)), CHARACTERS, size="small")
        axes.set(xlabel="next", ylabel="last", title=name)
    bar = figure.colorbar(shown, ax=both, label="probability of the next character, after the last one")
    bar.set_ticks(np.sqrt([0, 0.01, 0.05, 0.1, 0.2, 0.5, 1]), labels=["0", "0.01", "0.05", "0.1", "0.2", "0.5", "1"])


def main():
    parser = argparse.ArgumentParser(description="Train a network to make up surnames.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights, the order and what is drawn (default: 0)")
    parser.add_argument("--picture", default="names.png", help="where the picture goes (default: names.png)")
    parser.add_argument("--short", action="store_true", help=f"only {SHORT} epoch in place of {EPOCHS}")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    gn.manual_seed(options.seed)
    training_names, held_out_names = load(rng)
    training, held_out = windows(training_names), windows(held_out_names)
    network, bigrams = make_network(), counted(*training)
    losses, checks = train(network, rng, training, SHORT if options.short else EPOCHS, held_out)
    draw(network, losses, checks, bigrams, held_out, options.picture)

    names, drawn = create(network, rng, {*training_names, *held_out_names})
    print(f"{CREATED} names that are not in the data, of {drawn} that were drawn:")
    print(", ".join(names))
    print("nats per character             training  held out")
    print(f"all equally likely             {np.log(len(CHARACTERS)):8.3f}  {np.log(len(CHARACTERS)):8.3f}")
    print("by counting pairs              {:8.3f}  {:8.3f}".format(*(nats(bigrams[c[:, -1]], t) for c, t in (training, held_out))))
    print("network                        {:8.3f}  {:8.3f}".format(*(nats(probabilities(network, c), t) for c, t in (training, held_out))))
    print(f"picture: {options.picture}")
    print(f"held-out nats per character: {checks[-1]:.2f}")


if __name__ == "__main__":
    main()
