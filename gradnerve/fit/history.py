"""History: the numbers of each epoch, as lists, as a table and as a picture; and the progress of an epoch as it is shown.

Read next: optim/optimizer.py.
"""

import math
import sys
from contextlib import suppress

__all__ = ["History"]


class Shown:
    """The batches of an epoch, with a bar of tqdm's or, where that is not installed, a line at the end."""

    def __init__(self, title, batches, on):
        self.title, self.batches, self.bar, self.on, self.numbers = title, batches, None, on, ""
        if on:
            with suppress(ImportError):
                from tqdm.auto import tqdm

                self.bar = tqdm(total=len(batches) if hasattr(type(batches), "__len__") else None, desc=title, unit="batch")

    def __enter__(self):
        return self

    def __iter__(self):
        for batch in self.batches:
            yield batch
            if self.bar is not None:
                self.bar.update()

    def update(self, numbers):
        self.numbers = ", ".join(f"{name}={x:.4g}" for name, x in numbers.items() if name not in ("epoch", "seconds"))
        if self.bar is not None:
            self.bar.set_postfix_str(self.numbers, refresh=False)

    def __exit__(self, kind, error, traceback):
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()
        elif self.on and error is None:
            print(f"{self.title}: {self.numbers}", file=sys.stderr)


class History:
    """The numbers of each epoch: ``history["loss"]`` is a list, ``history[-1]`` a dict, as all in `rows`, and printed it is a table.

    Beside losses and metrics these are "lr", the rate of the first group when the epoch began, and "seconds", validation included.

    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> history["loss"]
    [0.5, 0.25]
    >>> history
    epoch  loss
        1   0.5
        2  0.25
    """

    def __init__(self, rows=()):
        self.rows = list(rows)

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)

    def __getitem__(self, name):
        if isinstance(name, (int, slice)):
            return self.rows[name]
        if not any(name in row for row in self.rows):
            raise KeyError(f"the history has no {name!r}; it has {', '.join(self.names())}")
        return [row.get(name, math.nan) for row in self.rows]

    def append(self, row):
        self.rows.append(row)

    def names(self):
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __repr__(self):
        columns = [[name, *(f"{row[name]:.4g}" if name in row else "" for row in self.rows)] for name in self.names()]
        widths = [max(map(len, column)) for column in columns]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in zip(*columns, strict=True))

    def plot(self, path=None):
        """Draw each number over the epochs, training and validation together; a matplotlib Figure, which is saved if a path is given.

        Needs matplotlib: ImportError names the extra `viz`.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise ImportError("History.plot needs matplotlib: pip install 'gradnerve[viz]'; print(history) needs nothing") from None
        names = [name for name in self.names() if name not in ("epoch", "seconds") and not name.startswith("validation ")]
        names = [name for name in names if name != "lr" or len(set(self["lr"])) > 1]
        figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for label in (name, f"validation {name}"):
                if label in self.names():
                    axes.plot(self["epoch"], self[label], "o-" if len(self) < 20 else "-", markersize=3, label=label)
            positive = [x for label in (name, f"validation {name}") if label in self.names() for x in self[label]]
            if name in ("loss", "lr") and min(positive) > 0 and max(positive) > 10 * min(positive):
                axes.set_yscale("log")
            axes.set(xlabel="epoch", title=name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend()
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure
