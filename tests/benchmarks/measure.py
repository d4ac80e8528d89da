"""How it is timed: the libraries take turns in one process, with the garbage collector on, as users have it.

Two ratios are reported. One is taken within each round, where all libraries met the same machine, and is the median over
the rounds; the other is that of the best times. They differ where a library was disturbed, and an aim is judged by the
smaller, so that a rival's bad day does us no favour.

Read next: endurance.py, which measures memory and length instead.
"""

from statistics import median
from time import perf_counter

import numpy as np

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def check_agreement(runners):
    """Every library's gradients (or what else the case computes) must be those of the first, before anything is timed."""
    reference = runners[0].gradients()
    for runner in runners[1:]:
        gradients = runner.gradients()
        if gradients is None:
            continue
        for n, (expected, got) in enumerate(zip(reference, gradients, strict=True)):
            tolerance = TOLERANCE[expected.dtype.name] * (np.abs(expected).max() + 1e-12)
            if np.shape(got) != expected.shape or not np.abs(got - expected).max() <= tolerance:
                raise SystemExit(f"{runner.name} disagrees with {runners[0].name} on array {n}; nothing was timed")


def seconds(runner, repeats):
    start = perf_counter()
    for _ in range(repeats):
        runner.step()
    return (perf_counter() - start) / repeats


def fitting_repeats(runner, slot):
    """How often the step fits into `slot` seconds."""
    runner.step()
    return max(1, int(slot / max(seconds(runner, 3), 1e-7)))


def take_turns(runners, rounds, slot):
    """Seconds per step: one list per runner, one entry per round; each round starts with another runner."""
    repeats = [fitting_repeats(runner, slot) for runner in runners]
    times = [[] for _ in runners]
    for turn in range(rounds):
        for position in range(len(runners)):
            n = (turn + position) % len(runners)
            times[n].append(seconds(runners[n], repeats[n]))
    return times


def measure(case, runners, rounds, slot):
    """For every runner its best time, and how many times longer than the first it took."""
    for runner in runners:
        runner.step()
    check_agreement(runners)
    times = take_turns(runners, rounds, slot)
    return {
        runner.name: {
            "best_us": 1e6 * min(own),
            "us_per_operation": 1e6 * min(own) / case.operations,
            "ratio": median(t / ours for t, ours in zip(own, times[0], strict=True)),
            "ratio_of_best": min(own) / min(times[0]),
        }
        for runner, own in zip(runners, times, strict=True)
    }
