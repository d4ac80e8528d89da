"""Convolutions: a network of layers reads handwritten digits, and gets more than 99 of 100 right.

What one learns: a network is built of the layers of `gn.nn`, which know their parameters; filters slide over the whole image, so that
what was learned in one place is known in all; images that are turned, stretched and shifted a little (`affine_grid` and `grid_sample`)
stand for digits that nobody has written yet; labels that leave a tenth of the probability to the other digits keep it from being too
sure; and gradient descent is a few lines of NumPy. The data are 1,797 real digits of 8 x 8 pixels that scikit-learn ships: the same as
in 04_digits.py, whose network does not know which pixels are neighbours.

Needs scikit-learn, matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/10_convolutions.py [--seed 0] [--picture convolutions.png]
Read next: the package itself, in the order that README.md gives at its end.
"""

import argparse

import numpy as np

import gradnerve as gn
from gradnerve import nn

F = nn.functional

try:
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits
    from tqdm import tqdm
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

EPOCHS, BATCH, CHANNELS = 30, 32, 32
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 1e-3
BEND, SMOOTHING = 0.08, 0.1


def load(rng, held_out=360):
    """Images (n, 1, 8, 8) between 0 and 1 and labels (n,), shuffled: those to train on, and those held out."""
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    images, labels = images[order].reshape(-1, 1, 8, 8).astype(np.float32) / 16, labels[order]
    return (images[held_out:], labels[held_out:]), (images[:held_out], labels[:held_out])


def make_network():
    """Filters of 3 x 3 pixels see strokes, those behind them see corners and arcs, and the last layer sees digits."""
    block = lambda n, m: [nn.Conv2d(n, m, 3, padding=1), nn.BatchNorm2d(m), nn.ReLU()]
    return nn.Sequential(
        *block(1, CHANNELS), *block(CHANNELS, CHANNELS), nn.MaxPool2d(2),  # 8 x 8 to 4 x 4
        *block(CHANNELS, 2 * CHANNELS), nn.MaxPool2d(2),  # to 2 x 2
        nn.Flatten(), nn.Linear(8 * CHANNELS, 10),
    )  # fmt: skip


def bent(rng, images):
    """The images, each turned, stretched and shifted by a little."""
    moves = np.eye(2, 3) + BEND * rng.normal(size=(len(images), 2, 3))
    return F.grid_sample(images, F.affine_grid(moves.astype(images.dtype), images.shape, align_corners=False), align_corners=False)


def batches(rng, images, labels):
    for chosen in np.array_split(rng.permutation(len(images)), len(images) // BATCH):
        yield images[chosen], labels[chosen]


def scores_of(network, images):
    network.eval()
    with gn.no_grad():
        scores = network(images).data
    network.train()
    return scores


def train(network, rng, training, held_out):
    """Train in place; return for every epoch the mean loss and the share of errors on the held-out images."""
    parameters = list(network.parameters())
    velocities = [np.zeros_like(p.data) for p in parameters]
    losses, errors = [], []
    progress = tqdm(range(EPOCHS), desc="training", unit="epoch")
    for epoch in progress:
        rate = LEARNING_RATE * (1 - epoch / EPOCHS)
        epoch_losses = []
        for images, labels in batches(rng, *training):
            loss = F.cross_entropy(network(bent(rng, images)), labels, label_smoothing=SMOOTHING)
            loss.backward()
            for p, velocity in zip(parameters, velocities, strict=True):
                velocity *= MOMENTUM
                velocity += p.grad + WEIGHT_DECAY * p.data
                p.data -= rate * velocity
                p.grad = None
            epoch_losses.append(loss.item())
        losses.append(np.mean(epoch_losses))
        errors.append(np.mean(scores_of(network, held_out[0]).argmax(1) != held_out[1]))
        progress.set_postfix(loss=f"{losses[-1]:.4f}", held_out=f"{1 - errors[-1]:.1%}")
    return losses, errors


def draw(network, losses, errors, held_out, path):
    """The learning curve, the filters of the first layer, and the held-out digits that it misreads or is least sure of."""
    figure = plt.figure(figsize=(9, 4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[2.2, 1.4, 1.4])
    axes = left.subplots()
    epochs = range(1, len(losses) + 1)
    axes.semilogy(epochs, losses, label="training loss")
    axes.semilogy(epochs, np.maximum(errors, 1e-3), label="held-out errors (0.001: none)")
    axes.set(xlabel="epoch", title=f"held out: {1 - errors[-1]:.1%} right")
    axes.grid(alpha=0.3)
    axes.legend()

    filters = network[0].weight.data[:, 0]
    middle.suptitle("filters of the first layer")
    for axes, one in zip(middle.subplots(8, CHANNELS // 8).flat, filters, strict=True):
        axes.imshow(one, cmap="RdBu", vmin=-abs(filters).max(), vmax=abs(filters).max())
        axes.set_axis_off()

    images, labels = held_out
    scores = F.softmax(scores_of(network, images), 1)
    hardest = scores[np.arange(len(labels)), labels].argsort()[:9]
    right.suptitle("the hardest held-out digits")
    for axes, k in zip(right.subplots(3, 3).flat, hardest, strict=True):
        axes.imshow(images[k, 0], cmap="gray_r")
        axes.set_title(f"{labels[k]}, read {scores[k].argmax()}", size="small", color="C3" if scores[k].argmax() != labels[k] else "k")
        axes.set_axis_off()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Train a small convolutional network on real handwritten digits.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and the images' order and bending (default: 0)")
    parser.add_argument("--picture", default="convolutions.png", help="where the picture goes (default: convolutions.png)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    gn.manual_seed(options.seed)
    training, held_out = load(rng)
    network = make_network()
    losses, errors = train(network, rng, training, held_out)
    draw(network, losses, errors, held_out, options.picture)

    print(network)
    print(f"parameters: {sum(p.size for p in network.parameters()):,}")
    print(f"picture: {options.picture}")
    print(f"held-out accuracy: {1 - errors[-1]:.2%}")


if __name__ == "__main__":
    main()
