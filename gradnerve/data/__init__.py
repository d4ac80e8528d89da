"""Data: datasets, the order in which they are read, and batches of Tensors, with the names of `torch.utils.data`.

>>> import numpy as np, gradnerve as gn
>>> images, labels = np.arange(12.0).reshape(6, 2), np.arange(6)
>>> data = gn.data.TensorDataset(images, labels)
>>> training, held_out = gn.data.random_split(data, [0.5, 0.5], generator=np.random.default_rng(0))
>>> for x, y in gn.data.DataLoader(training, batch_size=2):
...     print(x.shape, y.shape)
(2, 2) (2,)
(1, 2) (1,)

Read next: datasets.py, samplers.py, collate.py; loader.py, which puts them together; workers.py, the threads.
"""

from gradnerve.data.datasets import *
from gradnerve.data.samplers import *
from gradnerve.data.collate import *
from gradnerve.data.workers import *
from gradnerve.data.loader import *
