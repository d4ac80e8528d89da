"""A plugin of pytest: the memory of an array goes back as soon as it is free, so that a sanitizer sees who uses it too late.

NumPy keeps small buffers and GradNerve keeps arrays to use them again; while bytes are counted neither does.
"""

from gradnerve._memory import Count

Count().__enter__()
