"""Run examples beside their twins in PyTorch: the same recipe from the same first weights and random numbers, in a process of its own each.

A twin is a module with `ours(example, short)` and `theirs(example, short)`: each trains and gives the figure that the example ends with, and
seconds per epoch. The networks and optimisers of a twin are PyTorch's, the rest is the example's own code. Needs PyTorch.

    python -m tests.benchmarks.twins [NAME ...] [--short] [--rounds 3]
"""

import argparse
import json
import subprocess
import sys
from importlib import util
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"
TWINS = {
    "mnist": ("11_mnist", "held-out accuracy"),
    "characters": ("12_characters", "bits per character"),
    "small_gpt": ("13_small_gpt", "bits per character"),
    "names": ("14_names", "nats per character"),
    "autoencoder": ("15_autoencoder", "nats per image"),
    "policy_gradient": ("16_policy_gradient", "steps per episode"),
}


def module_at(path):
    """The module in a file; it is not imported by name, as there may be a package called so."""
    spec = util.spec_from_file_location(f"{path.stem}_of_{path.parent.name}", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alone(name, side, short):
    """The figure and the seconds of one side, from a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.twins", name, "--side", side, *(["--short"] if short else [])]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


def compare(name, short, rounds):
    """Both sides, turn by turn: a line with the figures and the best seconds."""
    results = [[alone(name, side, short) for side in ("ours", "theirs")] for _ in range(rounds)]
    (ours, _), (theirs, _) = results[0]
    fast, slow = (min(turn[side][1] for turn in results) for side in (0, 1))
    print(f"{name:16} {TWINS[name][1]:20} {ours:10.4f} {theirs:10.4f}   {fast:8.3f} s {slow:8.3f} s   {slow / fast:5.2f}")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.twins", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(TWINS)} (default: all)")
    parser.add_argument("--short", action="store_true", help="as the example's own --short")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs; the best time counts")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name = options.names[0]
        twin, example = module_at(Path(__file__).with_name(f"{name}.py")), module_at(EXAMPLES / f"{TWINS[name][0]}.py")
        print(json.dumps([float(x) for x in getattr(twin, options.side)(example, options.short)]))
        return
    print(f"{'example':16} {'figure':20} {'GradNerve':>10} {'PyTorch':>10}   {'per epoch':>10} {'PyTorch':>10}   ratio")
    for name in options.names or TWINS:
        compare(name, options.short, options.rounds)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
