"""What the documentation says is true: snippets run and print what they show, commands and names exist, docstrings are there."""

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import forgetting_operations

import gradnerve as gn
from gradnerve._engine import Operation

ROOT = Path(__file__).parents[1]
README, INTERNALS, CI = ROOT / "README.md", ROOT / "docs" / "internals.md", ROOT / ".ci" / "run"
OWN_PAGES = [ROOT / "docs" / f"{name}.md" for name in ("masks", "networks", "own_operations", "training")]
PAGES = [README, INTERNALS, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "coverage.md", *OWN_PAGES]
KERNELS = [path.stem for path in sorted((ROOT / "csrc" / "kernels").glob("*.pyx"))]
COMPILED = [f"_{path.stem}" for path in sorted((ROOT / "csrc").glob("*.pyx"))] + [f"kernels.{name}" for name in KERNELS]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORDS = ("TODO", "FIXME")
TOOLS = {"perf", "trace"}  # names in docs/internals.md that are not ours


def text_of(path):
    """The file, which the sdist need not have all of."""
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    return path.read_text(encoding="utf-8")


def blocks(path):
    """The fenced blocks of a page: (language, text)."""
    return BLOCK.findall(text_of(path))


@pytest.mark.parametrize("page", [README, INTERNALS, *OWN_PAGES], ids=lambda page: page.name)
def test_snippets_print_what_is_shown(page, capsys, tmp_path, monkeypatch):
    """All Python blocks of a page run, in order and in one namespace; a text block right after one is what it prints."""
    monkeypatch.chdir(tmp_path)  # a snippet may save a file
    names, found = {"__name__": "snippets"}, blocks(page)
    with forgetting_operations():
        for (language, code), (following, shown) in zip(found, [*found[1:], ("", "")], strict=True):
            if language == "python":
                exec(compile(code, f"<{page.name}>", "exec"), names)
                printed = capsys.readouterr().out
                if following == "text":
                    assert printed.split("\n") == shown.split("\n"), code


def test_commands_are_those_that_ci_runs():
    commands = dict(re.findall(r"^(TRY|TEST)='(.*)'$", text_of(CI), re.MULTILINE))
    assert set(commands) == {"TRY", "TEST"}
    assert [text.strip() for language, text in blocks(README) if language == "bash"] == [commands["TRY"], commands["TEST"]]


@pytest.mark.parametrize("name", COMPILED)
def test_doctests_of_compiled_modules(name):
    """pytest collects doctests of Python files only."""
    module = import_module(f"gradnerve.{name}")
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=options).failed == 0
    assert module.__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("name", COMPILED)
def test_every_compiled_module_has_header_and_stub(name):
    path = ROOT / "gradnerve" / name.replace(".", "/")
    assert path.with_suffix(".pyi").exists()
    assert (ROOT / "gradnerve" / "py.typed").exists()
    assert path.with_suffix(".pxd").exists() or not re.search(rf"from gradnerve\.{name} cimport", everything_compiled())


def everything_compiled():
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "csrc").rglob("*.pyx"))


def public(holder):
    """The public functions and classes of a module or class: (name, what)."""
    for name in dir(holder):
        what = getattr(holder, name) if isinstance(holder, ModuleType) else inspect.getattr_static(holder, name)
        if not name.startswith("_") and not isinstance(what, ModuleType) and (callable(what) or isinstance(what, property)):
            yield name, what


MODULES = {"batching", "creation", "dispatch", "functional", "implicit", "inplace", "ops", "own", "recompute", "tensor",
           "tree"}  # `graph` is the function  # fmt: skip
NAMESPACES = {"array_api", "black_box", "data", "debugging", "diagnoses", "differences", "fft", "fit", "idioms", "kernels", "linalg", "nn", "optim",
              "polynomial", "random", "scipy", "special", "storage", "testing"}  # fmt: skip
OWN = """Tensor GraphError ShapeError graph no_grad enable_grad custom_gradient
    grad value_and_grad elementwise_grad vjp jvp jacobian hessian hvp vmap BatchWarning stop_gradient
    Function checkpoint checkpoint_sequential fixed_point root ConvergenceError
    relu sigmoid softmax log_softmax logsumexp cross_entropy""".split()


def test_public_names_are_numpys_or_listed():
    """`from ... import *` brings no helper along: what has another name than NumPy's is in the lists above."""
    names = {name for name in vars(gn) if not name.startswith("_")} - NAMESPACES
    assert {name for name in names if not hasattr(np, name)} == MODULES | set(OWN)
    for name in names - MODULES:
        what = getattr(gn, name)
        made_in = type(what) if isinstance(what, Operation) else what
        assert what is getattr(np, name, None) or getattr(made_in, "__module__", "").startswith("gradnerve.") or hasattr(what, "__wrapped__"), name


HOLDERS = [gn, gn.Tensor, gn.nn, gn.nn.functional, gn.nn.init, gn.nn.utils, gn.optim, gn.optim.lr_scheduler, gn.data, gn.fit]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: holder.__name__)
def test_public_names_have_docstrings(holder):
    bare = {name for name, what in public(holder) if not inspect.getdoc(what) and not stands_for_ndarray(holder, name)}
    assert not bare


def stands_for_ndarray(holder, name):
    """An attribute of Tensor that is ndarray's of the same name needs no words of its own."""
    return holder is gn.Tensor and hasattr(np.ndarray, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page):
    text = text_of(page)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:csrc|docs|examples|gradnerve|tests)/[\w./]*\w)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert not missing


def test_names_in_readme_exist():
    """Every `gn.NAME`, and every bare name in the table of what works."""
    text = text_of(README)
    names = set(re.findall(r"\bgn\.([a-zA-Z_]\w*)", text))
    table = text.split("## What works today")[1].split("## How it compares")[0]
    names |= set(re.findall(r"`([a-z_0-9]+)`", table)) - {"_prev", "_backward", "copy", "argnums"}
    places = [gn, gn.fft, gn.linalg, gn.random.Generator, gn.nn, gn.nn.functional, gn.nn.init, gn.nn.utils, gn.optim, gn.data]
    assert not {name for name in names if not any(hasattr(place, name) for place in places)}


def test_names_in_internals_exist():
    """Every `name` of one word in docs/internals.md stands somewhere in the code."""
    names = set(re.findall(r"`_?([A-Za-z]\w*)(?:\(\))?`", re.sub(BLOCK, "", text_of(INTERNALS))))
    code = everything_compiled() + "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "gradnerve").rglob("*.p*[ydx]"))
    known = set(re.findall(r"\w+", code))
    assert not {name for name in names if name not in known | TOOLS and f"_{name}" not in known}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_open(page):
    assert not [word for word in WORDS if word in text_of(page)]


UFUNCS = sorted({u.__name__: u for u in vars(np).values() if isinstance(u, np.ufunc)}.items())


@pytest.mark.parametrize(("name", "ufunc"), UFUNCS, ids=[name for name, _ in UFUNCS])
def test_no_ufunc_loses_a_gradient_in_silence(name, ufunc):
    """README: a function without a derivative raises; it never returns a number without its gradient."""
    x = gn.Tensor([[0.5, 0.25], [0.125, 0.75]], requires_grad=True)
    try:
        result = ufunc(*[x] * ufunc.nin)
    except TypeError:  # also NumPy's own: no loop for floating-point numbers
        return
    for part in result if isinstance(result, tuple) else (result,):
        assert part.dtype.kind in "biu" or part.requires_grad
