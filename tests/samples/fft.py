"""Samples of the Fourier transforms. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from .shapes import BOX, cross, plain, values

ANY, COMPLEX = (np.float64, np.complex128, np.float32, np.complex64), (np.complex128, np.float64, np.complex64, np.float32)
REAL, FLAT = (np.float64, np.float32), [(5,), (6,), (2, 3), (3, 1, 4)]

# the whole length, cropped and padded, odd and even, in each scale
LENGTHS = [plain(), plain(1), plain(2), plain(3, norm="ortho"), plain(4, -1, "forward"), plain(7, norm="backward"), plain(8, norm="ortho"),
           plain(None, 0), plain(5, axis=0, norm="forward"), plain(n=2, axis=0), plain(axis=1, shape=BOX), plain(4, -2, "ortho", shape=BOX),
           plain(shape=(1,)), plain(2, shape=(1,)), plain(shape=(0, 3)), plain(shape=(2, 0, 3)), plain(4, 1, shape=(0, 3)), plain(6, shape=(6, 1))]
LENGTHS_BACK = [plain(), plain(1), plain(2), plain(3, norm="ortho"), plain(4, -1, "forward"), plain(7, norm="backward"), plain(12, norm="ortho"),
                plain(5, 0), plain(6, axis=0, norm="forward"), plain(n=2, axis=0), plain(axis=1, shape=BOX), plain(6, -2, "ortho", shape=BOX),
                plain(1, shape=(1,)), plain(4, shape=(1,)), plain(shape=(0, 3)), plain(shape=(2, 0, 3)), plain(5, 1, shape=(0, 3)),
                plain(9, shape=(6, 2))]
DEEP = [(2, 3), BOX, (1, 4)]
TWO = [plain(), plain((3, 4), (-2, -1)), plain((2, 5), [0, 1], norm="ortho"), plain(None, (0, 1), "forward"), plain((4, 3), (-1, 0)),
       plain((-1, 2), (0, 1), norm="backward"), plain(axes=(1, 2), shape=BOX)]
MANY = [*TWO, plain(axes=(1,)), plain((4,), (0,), "ortho"), plain(axes=(0, 0), shape=(3, 2)), plain((2, 3, 4), (2, 0, 1), "forward", shape=BOX),
        plain(shape=(5,))]

OPTIONS = {
    "fft":    (ANY, FLAT, LENGTHS),         "ifft":     (COMPLEX, FLAT, LENGTHS),
    "rfft":   (REAL, FLAT, LENGTHS),        "irfft":    (COMPLEX, FLAT[:3], LENGTHS_BACK),
    "hfft":   (ANY, FLAT[:3], LENGTHS_BACK), "ihfft":   (REAL, FLAT, LENGTHS),
    "fft2":   (ANY, DEEP, TWO),             "ifft2":    (COMPLEX, DEEP, TWO),
    "rfft2":  (REAL, DEEP, TWO),            "irfft2":   (COMPLEX, DEEP, TWO),
    "fftn":   (ANY, DEEP, MANY),            "ifftn":    (COMPLEX, DEEP, MANY),
    "rfftn":  (REAL, DEEP, MANY),           "irfftn":   (COMPLEX, DEEP, MANY),
}  # fmt: skip
SHIFTS = [plain(), plain(0, shape=(5,)), plain(1, shape=BOX), plain((0, 2), shape=BOX), plain(axes=[-1], shape=BOX), plain(-1, shape=(2, 0, 3))]

SAMPLES = {f"fft.{name}": partial(cross, shapes, options, dtypes) for name, (dtypes, shapes, options) in OPTIONS.items()}
SAMPLES |= {f"fft.{name}": partial(cross, [(1,), (0,), (5,), (2, 3), (3, 1, 4)], SHIFTS, least=20) for name in ("fftshift", "ifftshift")}

nan = np.nan
TIES = {
    # the imaginary parts of the frequency zero and, for an even length, of the last one do not count
    "fft.irfft": [((values(3, dtype=np.complex128), 4), {}, ([1.0, 0.0, 0.0], None)), ((np.array([1j, nan * 1j]), 2), {}, ([1.0, 0.0], None)),
                  ((values(2, dtype=np.complex128), 1), {}, ([1.0, 0.0], None)), ((values(2), 3, -1, "forward"), {}, ([3.0, 0.0], None))],
    "fft.fft":   [((np.array([nan, 1.0]),), {}, ([2.0, 0.0],)), ((values(3), 2), {}, ([2.0, 0.0, 0.0], None)),
                  ((np.array([]), 2), {}, ([], None))],
    "fft.rfft":  [((values(4),), {}, ([3.0, 0.0, 1.0, 0.0],)), ((values(1), 3), {}, ([2.0], None))],
}  # fmt: skip

x, z = values(2, 3), values(2, 3, dtype=np.complex128)
NAMES = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
ERRORS = {f"fft.{name}": [((x, 0), {}, ValueError, "Invalid number of FFT data points"), ((x, 3, 2), {}, (IndexError, ValueError), "out of"),
                          ((x, 2.5), {}, TypeError, ""), ((x, 3, -1, "sideways"), {}, ValueError, "Invalid norm value sideways"),
                          ((np.float64(1.0) * np.ones(()),), {}, IndexError, "out of range")] for name in NAMES}  # fmt: skip
ERRORS["fft.rfft"] += [((z,), {}, TypeError, "rfft")]
ERRORS["fft.ihfft"] += [((z,), {}, TypeError, "rfft")]
ERRORS |= {f"fft.{name}": [((x, (3,), (0, 1)), {}, ValueError, "different lengths"), ((x, (3, 0), (0, 1)), {}, ValueError, "Invalid number"),
                           ((x, None, (0, 5)), {}, IndexError, "out of")]
           for name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")}  # fmt: skip
