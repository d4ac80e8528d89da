"""A plugin of pytest: Python's cyclic collector runs only where it is called.

Tracing makes objects at every line. A collection that one of them starts would find compiled code half done, where it makes no object by itself.
"""

import gc

gc.set_threshold(0)
