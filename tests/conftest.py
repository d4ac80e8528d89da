"""What the tests share."""

import pytest

from gradnerve import _graph

collect_ignore = ["samples"]  # data, imported by test_operations.py


@pytest.fixture
def rows_return():
    """Fail if the test leaves more rows in the graph than it found."""
    before = _graph.live_rows()
    yield
    left = [now - then for now, then in zip(_graph.live_rows(), before, strict=True)]  # less, where an earlier test's traceback was freed
    assert max(left) <= 0, f"{left} rows (nodes, edges) of the graph that nobody can reach were not given back"
