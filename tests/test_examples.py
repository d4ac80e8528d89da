"""Every example runs as a user would run it, and the number it ends with is checked."""

import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import gradnerve as gn

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = r"(-?\d[\d.,]*(?:e[+-]\d+)?)"


def python(*arguments, folder):
    """Run Python in `folder`, with the very package that is under test."""
    package = str(Path(gn.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": paths}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


def run(name, folder, *options):
    """What the example prints."""
    finished = python(EXAMPLES / name, *options, folder=folder)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def number(text, label):
    """The number that `text` shows after `label`."""
    found = re.search(re.escape(label) + r"\s*" + NUMBER, text)
    assert found, f"{label!r} and a number are not in:\n{text}"
    return float(found[1].replace(",", ""))


def assert_picture(path):
    assert path.read_bytes().startswith(b"\x89PNG")


def needs(*modules):
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} missing: pip install 'gradnerve[examples]'")


def test_engine_in_60_lines(tmp_path):
    assert number(run("00_engine_in_60_lines.py", tmp_path), "largest difference:") < 1e-8


def test_one_neuron(tmp_path):
    printed = run("01_one_neuron.py", tmp_path)
    assert number(printed, "the neuron says") == 0.7071
    assert "gradient of inputs   [-1.5  0.5]" in printed
    assert "gradient of weights  [1. 0.]" in printed
    assert number(printed, "the gradient promised") == -0.00125
    assert abs(number(printed, "changes the output by") + 0.00125) < 2e-5


def test_see_the_graph(tmp_path):
    printed = run("02_see_the_graph.py", tmp_path)
    assert "exp" in printed
    assert "multiply" in printed
    assert number(printed, "gradient by hand") == number(printed, "by backward()") == 2.763957


@needs("sklearn")
def test_linear_regression(tmp_path):
    printed = run("03_linear_regression.py", tmp_path)
    assert number(printed, "largest difference:") < 1e-5
    assert number(printed, "step 5,000: mean squared error") == 2859.696


@needs("sklearn", "matplotlib", "tqdm")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits(tmp_path, seed):
    printed = run("04_digits.py", tmp_path, "--seed", seed, "--picture", "curve.png")
    assert number(printed, "held-out accuracy:") >= 97
    assert_picture(tmp_path / "curve.png")


@needs("sklearn", "scipy")
def test_other_peoples_code(tmp_path):
    printed = run("05_other_peoples_code.py", tmp_path)
    assert printed.count("\n") == 11
    assert number(printed, "largest relative difference:") < 1e-7


@needs("sklearn", "scipy", "matplotlib")
def test_fits(tmp_path):
    printed = run("06_fits.py", tmp_path, "--picture", "fits.png")
    assert number(printed, "L-BFGS and trust-ncg differ by") < 1e-5
    assert number(printed, "largest difference from scikit-learn:") < 1e-6
    assert_picture(tmp_path / "fits.png")


@needs("matplotlib")
def test_orbits(tmp_path):
    printed = run("07_orbits.py", tmp_path, "--picture", "orbits.png")
    by_derivative, flown = number(printed, "derivative through 1,000 steps:"), number(printed, "two more flights:")
    assert abs(by_derivative / flown - 1) < 1e-5
    assert number(printed, "distance from the target at last:") < 1e-3
    assert_picture(tmp_path / "orbits.png")


@needs("sklearn", "scipy", "matplotlib")
def test_gaussian_process(tmp_path):
    printed = run("08_gaussian_process.py", tmp_path, "--picture", "heights.png")
    assert 90 <= number(printed, "other heights inside the band:") <= 99
    assert abs(number(printed, "log marginal likelihood:") - number(printed, "by scikit-learn:")) < 1e-5
    assert_picture(tmp_path / "heights.png")


@needs("sklearn", "matplotlib")
def test_hamiltonian_monte_carlo(tmp_path):
    printed = run("09_hamiltonian_monte_carlo.py", tmp_path, "--picture", "draws.png")
    for line in printed.splitlines()[:2]:
        assert number(line, "accepted:") > 70
        assert number(line, "error of the mean:") < 0.15
        assert number(line, "error of the covariance:") < 0.3
    assert_picture(tmp_path / "draws.png")


@needs("sklearn", "matplotlib", "tqdm")
def test_convolutions(tmp_path):
    printed = run("10_convolutions.py", tmp_path, "--picture", "convolutions.png")
    assert number(printed, "held-out accuracy:") >= 99
    assert_picture(tmp_path / "convolutions.png")


@needs("mlxtend", "matplotlib", "tqdm")
def test_mnist(tmp_path):
    printed = run("11_mnist.py", tmp_path, "--short", "--picture", "digits.png")
    assert "80,298 parameters" in printed
    assert number(printed, "held-out accuracy:") >= 93
    assert_picture(tmp_path / "digits.png")

    # with Ctrl-C, which Python makes a KeyboardInterrupt, in the second epoch, and then with --resume: the same weights
    interrupted = """if True:
        import runpy, sys
        from itertools import count
        from gradnerve.fit import Trainer
        step, numbers = Trainer.train_step, count(1)
        def step_or_stop(*args):
            if next(numbers) == 80:
                raise KeyboardInterrupt
            return step(*args)
        Trainer.train_step = step_or_stop
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")"""
    folder = tmp_path / "interrupted"
    folder.mkdir()
    stopped = python("-c", interrupted, EXAMPLES / "11_mnist.py", "--short", folder=folder)
    assert stopped.returncode == 1
    assert "interrupted after 1 of 3 epochs; with --resume it goes on there" in stopped.stderr
    assert run("11_mnist.py", folder, "--short", "--resume").splitlines()[-1] == printed.splitlines()[-1]
    weights, again = gn.load(tmp_path / "mnist.npz"), gn.load(folder / "mnist.npz")
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


@needs("mlxtend", "matplotlib", "tqdm")
def test_autoencoder(tmp_path):
    printed = run("15_autoencoder.py", tmp_path, "--short", "--picture", "codes.png")
    single_pixels = number(printed, "log-likelihood if each pixel goes its own way:")
    bound = number(printed, "held-out evidence lower bound:")
    assert -215 < single_pixels < -200
    assert single_pixels + 40 < bound < -80  # much better, but the best networks, which have seen 60,000 digits, come to about -80
    assert_picture(tmp_path / "codes.png")


@needs("matplotlib", "tqdm")
@pytest.mark.parametrize(("name", "yardstick"), [("12_characters", "how often it follows the last one:"),
                                                 ("13_small_gpt", "how often a character is:")])  # fmt: skip
def test_texts(name, yardstick, tmp_path):
    """After a few steps text that it has not seen costs less than what is known without a network."""
    printed = run(f"{name}.py", tmp_path, "--short", "--picture", "text.png")
    assert number(printed, "held-out bits per character:") < number(printed, yardstick) < number(printed, "all characters equally likely:")
    assert_picture(tmp_path / "text.png")


@needs("names", "matplotlib", "tqdm")
def test_names(tmp_path):
    printed = run("14_names.py", tmp_path, "--short", "--picture", "names.png")
    assert number(printed, "held-out nats per character:") < 2.27
    by_counting, network = (re.search(label + r" +([\d.]+) +([\d.]+)", printed).groups() for label in ("by counting pairs", "network"))
    assert all(float(network[k]) < float(by_counting[k]) - 0.25 for k in (0, 1))  # in training and held out
    known = {line.split()[0] for line in distribution("names").locate_file("names/dist.all.last").read_text().splitlines()}
    created = printed.splitlines()[1].upper().split(", ")
    assert len(created) == 20
    assert not known.intersection(created)
    assert_picture(tmp_path / "names.png")


@needs("matplotlib", "tqdm")
def test_policy_gradient(tmp_path):
    printed = run("16_policy_gradient.py", tmp_path, "--short", "--picture", "policy.png")
    assert number(printed, "upright of the first 100 episodes:") < 5
    assert number(printed, "upright of the last 100 episodes:") > 60
    assert_picture(tmp_path / "policy.png")


WITH_EXTRA = """03_linear_regression 04_digits 05_other_peoples_code 06_fits 08_gaussian_process 09_hamiltonian_monte_carlo
    10_convolutions 11_mnist 15_autoencoder""".split()


@pytest.mark.parametrize("name", [f"{name}.py" for name in WITH_EXTRA])
def test_missing_extra_is_named(name, tmp_path):
    """Without the package that has its data, an example ends with one line that says what to install."""
    hide = "import sys, runpy; sys.modules.update(dict.fromkeys(['sklearn', 'sklearn.datasets', 'mlxtend'])); runpy.run_path(sys.argv[1])"
    finished = python("-c", hide, EXAMPLES / name, folder=tmp_path)
    assert finished.returncode == 1
    assert "pip install 'gradnerve[examples]'" in finished.stderr
    assert "Traceback" not in finished.stderr
