"""Builds the compiled core: csrc/NAME.pyx becomes gradnerve._NAME, csrc/kernels/NAME.pyx becomes gradnerve.kernels.NAME.

GRADNERVE_BUILD chooses the variant (see CONTRIBUTING.md); everything that is not code lives in pyproject.toml.
"""

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as setuptools_build_ext
from setuptools.errors import BaseError, CCompilerError

CHECKS = ("boundscheck", "wraparound", "nonecheck", "initializedcheck", "overflowcheck")
VARIANTS = {  # name: (Cython directives, C macros)
    "fast":    ({}, [("CYTHON_WITHOUT_ASSERTIONS", "1")]),
    "profile": ({"profile": True}, []),
    "trace":   ({"profile": True, "linetrace": True}, [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]),
    "debug":   (dict.fromkeys(CHECKS, True), []),
    "sanitize": ({}, []),
}  # fmt: skip
UNCHECKED = dict.fromkeys(("wraparound", "initializedcheck"), False)  # kernels work on pointers; a list is indexed with a check
NUMPY_API = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
# Never -ffast-math (it breaks NaN and inf) nor -march=native (a wheel must run elsewhere). Without contraction
# to fused multiply-adds a result is the same on every machine, as NumPy's own are. -g1 is for native profilers.
GCC_FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-g1"]
MSVC_FLAGS = ["/O2"]
SANITIZERS = ["-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined,float-cast-overflow"]

NO_COMPILER = """GradNerve has a small compiled core and found no working C compiler{tried}.
  Debian, Ubuntu   sudo apt install build-essential python3-dev
  Fedora           sudo dnf install gcc python3-devel
  macOS            xcode-select --install
  Windows          "Desktop development with C++" of https://visualstudio.microsoft.com/visual-cpp-build-tools/
  conda            conda install c-compiler
Then run the same command again. Another compiler is chosen with the environment variable CC."""
NO_HEADERS = """GradNerve has a small compiled core, and this Python comes without the C headers for it: no {path}
  Debian, Ubuntu   sudo apt install python3-dev   (for the version of {python})
  Fedora           sudo dnf install python3-devel
Then run the same command again."""
FAILED = """GradNerve's compiled core did not build; the compiler's own message is above.
  A file not found   the compiler's or Python's headers are not complete: install build-essential and python3-dev
  Killed, no memory  build one file at a time: python setup.py build_ext -j 1 --inplace
  Anything else      please report it with the message, `python --version` and the compiler's version"""
NO_PACKAGE = """GradNerve needs {need} to build, and found {found}.
  Let pip fetch it:   pip install .     (without --no-build-isolation)
  or install it here: pip install "{need}"
Then run the same command again."""


def stop(message):
    raise SystemExit("\n" + message)


def variant():
    """The build that GRADNERVE_BUILD asks for, fast when it asks for none."""
    name = os.environ.get("GRADNERVE_BUILD") or "fast"
    if name not in VARIANTS:
        stop(f"GRADNERVE_BUILD={name} is not a build of GradNerve: choose one of {', '.join(VARIANTS)}.")
    return name


def directives(kernels):
    """Cython's directives for the core or for kernels; a header line of a .pyx wins over them, also in the debug build."""
    chosen = {"language_level": 3, **(UNCHECKED if kernels else {}), **VARIANTS[variant()][0]}
    if kernels:
        chosen["wraparound"] = False  # so that debug takes a negative index for what it is there: out of bounds
    return chosen


def check_packages():
    """The versions of Cython and NumPy; stop unless they build a core that works."""
    try:
        from Cython import __version__ as cython
    except ImportError:
        cython = "none"
    if not (3, 1) <= numbers(cython) < (3, 3):
        stop(NO_PACKAGE.format(need="cython>=3.1,<3.3", found=cython))
    try:
        from numpy import __version__ as numpy
    except ImportError:
        numpy = "none"
    if numbers(numpy) < (2, 0) or numbers(numpy)[:3] == (2, 5, 0):  # built on 2.5.0, it crashes on older ones
        stop(NO_PACKAGE.format(need="numpy>=2.0,!=2.5.0", found=numpy))
    return f"Cython {cython}, NumPy {numpy}"


def numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def check_compiler(compiler):
    """Stop when it is plain before the first call that nothing can be compiled."""
    command = getattr(compiler, "compiler_so", None)  # None: MSVC, which looks for itself
    if command and not shutil.which(command[0]):
        stop(NO_COMPILER.format(tried=f" (tried: {command[0]})"))
    header = Path(sysconfig.get_config_var("INCLUDEPY") or sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        stop(NO_HEADERS.format(path=header, python=sys.executable))


def headers():
    """Files that change what is compiled without being compiled themselves."""
    found = [*Path("gradnerve").rglob("*.pxd"), *Path("csrc").rglob("*.pxd"), *Path("csrc").rglob("*.h")]
    return ["setup.py", *sorted(path.as_posix() for path in found)]


def extension(module, source):
    source = source.as_posix()
    return Extension(
        module,
        [source],
        include_dirs=["csrc"],
        depends=[source, *headers()],  # these are what an sdist is sure to carry
        define_macros=NUMPY_API + VARIANTS[variant()][1],
        undef_macros=["NDEBUG"] if variant() == "debug" else [],  # C asserts, also those in Python's headers
    )


def extensions():
    core = [extension(f"gradnerve._{path.stem}", path) for path in sorted(Path("csrc").glob("*.pyx"))]
    kernels = [extension(f"gradnerve.kernels.{path.stem}", path) for path in sorted(Path("csrc/kernels").glob("*.pyx"))]
    return core + kernels


class build_ext(setuptools_build_ext):
    """Translates with Cython just before it compiles (an sdist needs neither) and explains what went wrong."""

    def finalize_options(self):
        if self.parallel is None:
            self.parallel = os.cpu_count()
        super().finalize_options()

    def build_extensions(self):
        check_compiler(self.compiler)
        command = " ".join(getattr(self.compiler, "compiler_so", None) or [self.compiler.compiler_type])
        stamp, now = Path("build/cython/stamp"), f"{variant()}\n{check_packages()}\n{command}\n"
        if outdated(stamp, now):
            # New C is newer than every compiled module, so all are compiled again, also by a later try if this one fails.
            shutil.rmtree(f"build/cython/{variant()}", ignore_errors=True)
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text(now)
        for kernels in (False, True):
            self.translate([each for each in self.extensions if (".kernels." in each.name) == kernels], directives(kernels))
        self.compile()

    def translate(self, extensions, directives):
        """Replace each extension's .pyx by the C that Cython makes of it in build/cython/VARIANT."""
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError

        name = variant()
        try:
            translated = cythonize(
                [Extension(each.name, each.sources) for each in extensions],
                build_dir=f"build/cython/{name}",
                compiler_directives=directives,
                force=self.force,
                annotate=name != "fast",
                emit_linenums=True,  # profilers and gdb show lines of the .pyx
                nthreads=min(4, os.cpu_count() or 1) if sys.platform == "linux" else 0,  # elsewhere a worker starts slowly
            )
        except CompileError as error:
            stop(f"Cython could not translate {error}: its own message is above.")
        sources = {each.name: each.sources for each in translated}
        for each in extensions:
            each.sources = sources[each.name]

    def compile(self):
        import numpy

        for each in self.extensions:
            each.include_dirs.append(numpy.get_include())
            each.extra_compile_args += MSVC_FLAGS if self.compiler.compiler_type == "msvc" else GCC_FLAGS
            if variant() == "sanitize":
                each.extra_compile_args += SANITIZERS
                each.extra_link_args += SANITIZERS
        try:
            super().build_extensions()
        except (BaseError, CCompilerError):
            stop(FAILED if compiles(self.compiler) else NO_COMPILER.format(tried=": not even an empty file compiles"))


def outdated(stamp, now):
    """Whether everything must be built again: another variant, another Cython or NumPy, or a header that was edited."""
    if not stamp.exists() or stamp.read_text() != now:
        return True
    return any(os.path.getmtime(path) > stamp.stat().st_mtime for path in headers())


def compiles(compiler):
    """Whether the compiler can make an object of an empty file."""
    probe = Path("build/probe.c")
    probe.parent.mkdir(exist_ok=True)
    probe.write_text("int gradnerve_probe;\n")
    try:
        return bool(compiler.compile([str(probe)], output_dir="build"))
    except (BaseError, CCompilerError):
        return False


if __name__ == "__main__":  # Cython's workers import this file
    setup(ext_modules=extensions(), cmdclass={"build_ext": build_ext})
