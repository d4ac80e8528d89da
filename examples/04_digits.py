"""Handwritten digits: a network learns to read, in seconds.

What one learns: a model is a list of arrays and a function; mini-batches, a learning rate that sinks, momentum and a
little noise on the images (so that the network cannot learn them by heart) are a few lines of NumPy each; and a model is
judged by data that it has not seen. The data are 1,797 real digits of 8 x 8 pixels that scikit-learn ships.

Needs scikit-learn, matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/04_digits.py [--seed 0] [--picture digits.png]
Read next: 05_other_peoples_code.py, gradients through NumPy, SciPy and scikit-learn.
"""

import argparse
from itertools import pairwise

import numpy as np

import gradnerve as gn

try:
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits
    from tqdm import tqdm
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

EPOCHS, BATCH, HIDDEN = 40, 32, 128
LEARNING_RATE, MOMENTUM, NOISE = 0.2, 0.9, 0.2


def load(rng, held_out=360):
    """Images (n, 64) between 0 and 1 and labels (n,), shuffled: those to train on, and those held out."""
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    images, labels = images[order] / 16, labels[order]
    return (images[held_out:], labels[held_out:]), (images[:held_out], labels[:held_out])


def make_model(rng, *sizes):
    """Weights and biases of all layers; the scale keeps the signal's size through each relu (He et al., 2015)."""
    pairs = [(rng.normal(size=(n, m)) * np.sqrt(2 / n), np.zeros(m)) for n, m in pairwise(sizes)]
    return [gn.Tensor(array, requires_grad=True) for pair in pairs for array in pair]


def predict(model, images):
    w1, b1, w2, b2 = model
    return gn.relu(images @ w1 + b1) @ w2 + b2


def accuracy(model, images, labels):
    with gn.no_grad():
        scores = predict(model, images)
    return np.mean(scores.data.argmax(axis=1) == labels)


def batches(rng, images, labels):
    order = rng.permutation(len(images))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        yield images[chosen], labels[chosen]


def train(model, rng, training, held_out):
    """Train in place; return for every epoch the mean loss and the share of errors on the held-out images."""
    velocities = [np.zeros_like(p.data) for p in model]
    losses, errors = [], []
    progress = tqdm(range(EPOCHS), desc="training", unit="epoch")
    for epoch in progress:
        rate = LEARNING_RATE * (1 - epoch / EPOCHS)
        epoch_losses = []
        for images, labels in batches(rng, *training):
            noisy = images + NOISE * rng.normal(size=images.shape)
            loss = gn.cross_entropy(predict(model, noisy), labels)
            loss.backward()
            for p, velocity in zip(model, velocities, strict=True):
                velocity *= MOMENTUM
                velocity += p.grad
                p.data -= rate * velocity
                p.grad = None
            epoch_losses.append(loss.item())
        losses.append(np.mean(epoch_losses))
        errors.append(1 - accuracy(model, *held_out))
        progress.set_postfix(loss=f"{losses[-1]:.4f}", held_out=f"{1 - errors[-1]:.1%}")
    return losses, errors


def draw(losses, errors, path):
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    epochs = range(1, len(losses) + 1)
    axes.semilogy(epochs, losses, label="loss on the training images")
    axes.semilogy(epochs, errors, label="share of errors on the held-out images")
    axes.set(xlabel="epoch", title=f"1,797 handwritten digits: {1 - errors[-1]:.1%} of the held-out ones read right")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Train a small network on real handwritten digits.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and the order (default: 0)")
    parser.add_argument("--picture", default="digits.png", help="where the learning curve goes (default: digits.png)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    training, held_out = load(rng)
    model = make_model(rng, 64, HIDDEN, 10)
    losses, errors = train(model, rng, training, held_out)
    draw(losses, errors, options.picture)

    print(f"learning curve: {options.picture}")
    print(f"held-out accuracy: {accuracy(model, *held_out):.2%}")


if __name__ == "__main__":
    main()
