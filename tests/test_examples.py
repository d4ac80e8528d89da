"""Every example runs as a user would run it, and the number it ends with is checked."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

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
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


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
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@needs("sklearn", "scipy")
def test_other_peoples_code(tmp_path):
    printed = run("05_other_peoples_code.py", tmp_path)
    assert printed.count("\n") == 11
    assert number(printed, "largest relative difference:") < 1e-7


@pytest.mark.parametrize("name", ["03_linear_regression.py", "04_digits.py", "05_other_peoples_code.py"])
def test_missing_extra_is_named(name, tmp_path):
    """Without scikit-learn an example ends with one line that says what to install."""
    hide = "import sys, runpy; sys.modules['sklearn'] = sys.modules['sklearn.datasets'] = None; runpy.run_path(sys.argv[1])"
    finished = python("-c", hide, EXAMPLES / name, folder=tmp_path)
    assert finished.returncode == 1
    assert "pip install 'gradnerve[examples]'" in finished.stderr
    assert "Traceback" not in finished.stderr
