"""Derivatives, one line each, by family.

Read define.py first, then arithmetic.py, elementwise.py, shapes.py, indexing.py, reductions.py, linalg.py, decompositions.py, network.py.
"""

from gradnerve.ops import einsum, fft, least_squares, polynomials
