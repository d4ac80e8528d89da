"""Floating-point numbers that NumPy has no type for, as float32, which holds each of them exactly.

bfloat16 is the upper half of a float32. Those of 8 bits are looked up in a table of all 256; their names tell the bits of exponent and
mantissa (Micikevicius et al., "FP8 formats for deep learning", 2022; Open Compute Project, "Microscaling formats", 2023).

Read next: pytorch.py.
"""

from functools import cache

import numpy as np

__all__ = ["ITEMSIZE", "widen"]

# exponent bits, mantissa bits, bias, and the codes without their sign that are no numbers: infinities and NaNs
FLOAT8 = {"float8_e5m2": (5, 2, 15, {0x7C: np.inf, 0x7D: np.nan, 0x7E: np.nan, 0x7F: np.nan}), "float8_e4m3fn": (4, 3, 7, {0x7F: np.nan}),
          "float8_e5m2fnuz": (5, 2, 16, {}), "float8_e4m3fnuz": (4, 3, 8, {})}  # fmt: skip
ITEMSIZE = {"bfloat16": 2, "float8_e8m0fnu": 1, **dict.fromkeys(FLOAT8, 1)}


@cache
def table(name):
    """The values of all codes of 8 bits."""
    codes = np.arange(256)
    if name == "float8_e8m0fnu":  # an exponent, and nothing else
        return np.append(np.ldexp(np.float32(1), codes[:255] - 127), np.float32(np.nan)).astype(np.float32)
    exponent_bits, mantissa_bits, bias, special = FLOAT8[name]
    exponent, mantissa = codes >> mantissa_bits & (1 << exponent_bits) - 1, codes & (1 << mantissa_bits) - 1
    mantissa = mantissa + (exponent > 0) * (1 << mantissa_bits)
    size = np.ldexp(mantissa.astype(np.float32), np.maximum(exponent, 1) - bias - mantissa_bits)
    for code, value in special.items():
        size[[code, code | 0x80]] = value
    values = np.where(codes & 0x80, -size, size)
    if name.endswith("uz"):  # "unsigned zero": the code of -0 is the only NaN
        values[0x80] = np.nan
    return values


def widen(raw, name, out):
    """Write numbers into a float32 array of one axis, from an array of their bytes, the lower one first."""
    if name == "bfloat16":
        bits = out.view(np.uint32)
        bits[...] = raw.view("<u2")
        bits <<= 16
    else:
        np.take(table(name), raw, out=out)
    return out
