"""Compiled loops for what is no ufunc; they know nothing of graphs. Whoever calls one checks its arguments first.

Each is a faster twin of the NumPy code beside its caller, and a test holds the two together.
"""
