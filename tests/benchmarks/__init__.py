"""How fast GradNerve is, beside NumPy and the other libraries: `python -m tests.benchmarks --help`. Read next: cases.py."""
