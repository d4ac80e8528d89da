"""The most memory that one training step takes, beyond what is there after the imports and the model: `python -m tests.benchmarks.peak`.

Each library, network and batch has a process of its own, with one thread. Linux forgets the peak of a process when asked to (clear_refs), so the
peak of each step is known; the first step also pays for what is kept from then on, as the state of the optimiser.

Read next: endurance.py.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from statistics import median

import numpy as np

STEPS = 12
NETWORKS = {"MLP 784-512-10": (128, 32), "LeNet": (32,)}
LIBRARIES = {"gradnerve": "gradnerve", "PyTorch": "torch"}


def model_and_images(nn, name, batch):
    if name == "LeNet":
        layers = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                  nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]  # fmt: skip
        return nn.Sequential(*layers), (batch, 1, 28, 28)
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)), (batch, 784)


def memory(field):
    """A line of what Linux knows of this process, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


def peaks(library, name, batch):
    """Bytes beyond those before the first step: the peak of each step, and what is there after the last."""
    if library == "PyTorch":
        import torch
        from torch import nn, optim

        torch.set_num_threads(1)
        convert = torch.from_numpy
    else:
        from gradnerve import Tensor as convert
        from gradnerve import nn, optim
    model, shape = model_and_images(nn, name, batch)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    rng, found = np.random.default_rng(0), []
    images, labels = convert(rng.normal(size=shape).astype(np.float32)), convert(rng.integers(10, size=batch))
    before = memory("VmRSS")
    for _ in range(STEPS):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        found.append(memory("VmHWM") - before)
    return found, memory("VmRSS") - before


def measured(*case):
    """In a process of its own."""
    program = f"import json; from tests.benchmarks.peak import peaks; print(json.dumps(peaks(*{case!r})))"
    one = dict.fromkeys(("GRADNERVE_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, env=os.environ | one)
    return json.loads(done.stdout)


def main():
    print(f"{'MiB':22}{'':12}{'first step':>12}{'a later one':>14}{'after all':>12}")
    for name, batches in NETWORKS.items():
        for batch in batches:
            for library in [library for library, package in LIBRARIES.items() if find_spec(package)]:
                found, after = measured(library, name, batch)
                first, later, kept = (f"{n / 2**20:.2f}" for n in (found[0], median(found[1:]), after))
                print(f"{f'{name}, {batch}':22}{library:12}{first:>12}{later:>14}{kept:>12}")


if __name__ == "__main__":
    main()
