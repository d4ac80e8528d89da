"""Threads that load batches ahead of the one who wants them.

Batch k is loaded by thread k % num_workers, and each thread has two queues of its own: what to load, and what it has loaded. So the order
needs no sorting, which thread loads what is always the same, and nobody ever waits for a lock that another one holds.

Read next: loader.py.
"""

import contextlib
import threading
import weakref
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic

from gradnerve._engine import Recording, recording

__all__ = ["get_worker_info"]

GLANCE = 0.05  # seconds; Python sees an interrupt as soon as the main thread runs, which is at least that often
PATIENCE = 1.0  # seconds that a loop which is left waits for its threads

_current: ContextVar = ContextVar("worker", default=None)


@dataclass(frozen=True)
class WorkerInfo:
    """Which of the threads this is.

    id           its number, from 0
    num_workers  how many there are
    dataset      what they load; there is one for all, not a copy for each
    """

    id: int
    num_workers: int
    dataset: object
    _stopped: threading.Event = field(repr=False)


def get_worker_info():
    """The `WorkerInfo` of the thread that loads this example, with `id`, `num_workers` and `dataset`; None if it is no thread of a DataLoader's.

    >>> import gradnerve as gn
    >>> gn.data.get_worker_info() is None
    True
    """
    return _current.get()


class End(Exception):
    """The stream of examples has no more of them."""


class Unwanted(BaseException):
    """Nobody waits for this batch any more."""


def check_wanted():
    """Raise in a thread whose loop has been left."""
    worker = _current.get()
    if worker is not None and worker._stopped.is_set():
        raise Unwanted


def explain(error, note):
    """Add a note to an error, to be raised again. StopIteration would end the loop as if all was well: a RuntimeError is raised instead."""
    if isinstance(error, StopIteration):
        ended = RuntimeError("DataLoader: StopIteration was raised while examples were loaded")
        ended.add_note(note)
        raise ended from error
    error.add_note(note)


def work(info, tasks, results, load, init, recorded):
    """What a thread does until it gets None in place of a task."""
    _current.set(info)
    with Recording(recorded):
        _, failure = outcome(partial(begin, init), info.id, info)
        while (task := tasks.get()) is not None and not info._stopped.is_set():
            results.put((None, failure) if failure else outcome(load, task[0], info))  # no name keeps a batch alive


def begin(init, k):
    try:
        if init is not None:
            init(k)
    except Exception as error:
        explain(error, "in worker_init_fn")
        raise


class Crew:
    """The threads and their queues. They know nothing of the iterator, whose end thus ends them; and threads know nothing of the crew, so that
    there is no cycle and all is freed at once.
    """

    def __init__(self, load, dataset, num_workers, init):
        self.stopped, self.patience = threading.Event(), PATIENCE
        self.tasks, self.results = ([SimpleQueue() for _ in range(num_workers)] for _ in range(2))
        self.threads = []
        for k, queues in enumerate(zip(self.tasks, self.results, strict=True)):
            args = work, WorkerInfo(k, num_workers, dataset, self.stopped), *queues, load, init, recording()
            run = copy_context().run  # with np.errstate and what else belongs to the context; gn.no_grad is told
            self.threads.append(threading.Thread(target=run, args=args, name=f"gn.data worker {k}", daemon=True))

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Let all threads end, also under Ctrl-C, and wait for those that do so soon."""
        try:
            self.dismiss()
        except KeyboardInterrupt:
            self.dismiss()
            raise
        limit = monotonic() + self.patience
        for thread in self.threads:
            if thread.is_alive() and thread is not threading.current_thread():  # whose garbage collector may have found the iterator
                thread.join(max(0, limit - monotonic()))

    def dismiss(self):
        self.stopped.set()
        for tasks in self.tasks:
            tasks.put(None)


def outcome(function, argument, info):
    """What a function gives and None, or None and what it raises."""
    try:
        return function(argument), None
    except (End, Unwanted) as error:
        return None, error
    except BaseException as error:
        error.add_note(f"in worker {info.id} of {info.num_workers}")
        return None, error


class Prefetched:
    """An iterator over ``load(task)`` for each of the tasks, in their order, which threads compute ahead; `close` ends it early."""

    def __init__(self, tasks, load, dataset, num_workers, ahead, init, timeout):
        self._crew = Crew(load, dataset, num_workers, init)
        self._tasks, self._timeout, self._given, self._taken, self._end = tasks, timeout, 0, 0, StopIteration()
        self.close = weakref.finalize(self, self._crew.stop)  # also when nobody holds this any more, and when Python ends
        self._closing(self._start, ahead * num_workers)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.close.alive:
            raise StopIteration
        return self._closing(self._next)

    def _closing(self, step, *args):
        """Take a step; one that raises is the last, and who is in a hurry does not wait long."""
        try:
            return step(*args)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | TimeoutError):
                self._crew.patience = GLANCE
            self.close()
            raise

    def _start(self, ahead):
        self._crew.start()
        for _ in range(ahead):
            self._give()

    def _next(self):
        if self._taken == self._given:
            try:
                raise self._end
            finally:
                self._end = None  # its traceback has this frame, which has self
        batch, error = self._wait(self._crew.results[self._taken % len(self._crew.results)])
        self._taken += 1
        try:
            if error is not None:
                raise StopIteration if isinstance(error, End) else error
        finally:
            del error  # its traceback has this frame
        self._give()
        return batch

    def _give(self):
        """Hand the next task to the thread whose turn it is; an error of the sampler's is raised where its batch would come."""
        try:
            task = next(self._tasks)
        except StopIteration:
            return
        except Exception as error:
            self._tasks, self._end = iter(()), error.with_traceback(error.__traceback__.tb_next)  # without this frame, which has self
            return
        self._crew.tasks[self._given % len(self._crew.tasks)].put((task,))
        self._given += 1

    def _wait(self, results):
        limit = monotonic() + self._timeout if self._timeout else float("inf")
        while monotonic() < limit:
            with contextlib.suppress(Empty):
                return results.get(timeout=GLANCE)
        raise TimeoutError(f"DataLoader: batch {self._taken} was not there after {self._timeout} seconds")
