"""Special functions: SciPy's values, and derivatives for them.

Read next: ops/define.py.
"""
