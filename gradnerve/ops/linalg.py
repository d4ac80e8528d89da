"""Inverses, determinants and decompositions of matrices and stacks of matrices."""
