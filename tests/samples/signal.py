"""Samples of `gradnerve.scipy.signal`; none where SciPy is missing. What a sample file holds is said in elementwise.py."""

import importlib.util

import numpy as np

from .shapes import layouts, values

f64, f32, c128, c64 = np.float64, np.float32, np.complex128, np.complex64
DTYPES = [(f64, f64), (c128, c128), (f32, f32), (f64, c128), (c64, c64), (c128, f64), (f32, f64)]
SHAPES = [((5,), (3,)), ((3,), (5,)), ((4,), (4,)), ((1,), (4,)), ((6,), (2,)), ((4, 3), (2, 3)), ((2, 2), (3, 4)), ((3, 1), (2, 1)),
          ((2, 3, 2), (2, 2, 1)), ((), ())]
CROSSED = [((4, 2), (2, 3))]  # none is the larger: not for "valid"
BROADCAST = [((2, 5), (1, 3), 1), ((1, 3), (2, 5), -1), ((2, 5), (2, 2), (1,)), ((4, 1, 3), (2, 2, 3), (0, 1)), ((1, 4), (3, 2), None),
             ((3, 1), (1, 4), [0, 1]), ((2, 3, 2), (2, 1, 3), (0, 2))]
MODES = ("full", "same", "valid")


def pairs(shapes, options):
    """Both arrays in all layouts and dtypes by turns, with every option."""
    samples = []
    for x, y, *axes in shapes:
        for args, kwargs in options:
            k = len(samples)
            one, two = DTYPES[k % len(DTYPES)]
            left, right = layouts(*x, dtype=one, seed=k), layouts(*y, dtype=two, seed=k + 1)
            sample = left[k // 2 % len(left)], right[k // 3 % len(right)]
            samples.append(((*sample, *args), kwargs | ({"axes": axes[0]} if axes else {})))
    return samples


def by_method():
    options = [((mode, how), {}) for mode in MODES for how in ("direct", "fft")]
    crossed = [((mode, how), {}) for mode in MODES[:2] for how in ("direct", "auto")]
    return [*pairs(SHAPES, [*options, ((), {}), ((), {"mode": "same"})]), *pairs(CROSSED, crossed)]


def by_transforms():
    options = [((mode,), {}) for mode in MODES]
    empty = [((values(0), values(3)), {}), ((values(3), values(0)), {}), ((values(2, 0), values(2, 3), "same"), {})]
    fits = [*BROADCAST[:5], ((3, 1, 5), (3, 4, 2), (0, 2))]
    return [*pairs(SHAPES, options), *pairs(BROADCAST, options[:2]), *pairs(fits, options), *pairs(CROSSED, options[:2]), *empty]


def overlapped():
    long = [((40,), (2,)), ((3,), (50,)), ((2, 40), (2, 3), 1), ((30, 1), (3, 2), (0, 1))]
    return [*by_transforms(), *pairs(long, [((mode,), {}) for mode in MODES])]


x, y = values(4, 3), values(2, 5)
ALL = [((values(3), x), {}, ValueError, "same dimensionality"), ((x, y, "valid"), {}, ValueError, "at least as large"),
       ((x, y, "most"), {}, ValueError, "mode")]  # fmt: skip
NARROW = [((x, y), {"axes": 0}, ValueError, "incompatible shapes"), ((x, y), {"axes": 2}, ValueError, ""),
          ((x, y), {"axes": []}, ValueError, "empty")]  # fmt: skip

SAMPLES, ERRORS, PARTS = {}, {}, {}
if importlib.util.find_spec("scipy"):
    import gradnerve.scipy.signal  # noqa: F401  gn.scipy is there once it is imported

    SAMPLES = {"convolve": by_method, "correlate": by_method, "fftconvolve": by_transforms, "oaconvolve": overlapped}
    SAMPLES = {f"scipy.signal.{name}": samples for name, samples in SAMPLES.items()}
    ERRORS = {name: ALL + (NARROW if samples is not by_method else []) for name, samples in SAMPLES.items()}
    PARTS = {"convolution": "scipy.signal.convolve"}
