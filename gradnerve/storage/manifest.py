"""The manifest of a file: its version, the tree, and what is known of each entry, as JSON.

Read next: npz.py, safetensors.py.
"""

import json
import re

from gradnerve.storage.building import build
from gradnerve.storage.failures import LoadError, reading
from gradnerve.storage.trees import DEPTH

__all__ = ["LARGEST", "MARK", "compose", "parse", "parse_json", "rebuild"]

FORMAT, VERSION = "gradnerve", 1
MARK = '"format":"gradnerve"'  # by which one knows it, whatever name damage has given it
LARGEST = 100_000_000  # bytes of JSON, as safetensors has it
TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}]', re.DOTALL)


def compose(tree, entries):
    """The text; `entries` has a dict for each entry: dtype, as NumPy writes it for little-endian numbers, shape, and the checksum crc32."""
    text = json.dumps({"format": FORMAT, "version": VERSION, "tree": tree, "entries": entries}, separators=(",", ":"), allow_nan=False)
    if len(text) > LARGEST:
        raise ValueError(f"save: what is no array takes {len(text)} bytes as JSON, and {LARGEST} are the most; save long lists of numbers as arrays")
    return text


def parse(text):
    """The tree and the dict of the entries; LoadError if this is no manifest, or one of a later version."""
    found = parse_json(text)
    if type(found) is not dict or found.get("format") != FORMAT:
        raise LoadError("is none of GradNerve's")
    if found.get("version") != VERSION:
        raise LoadError(f"has version {found.get('version')!r:.50}; this GradNerve reads version {VERSION}, so use a later one")
    if found.keys() != {"format", "version", "tree", "entries"} or type(found["entries"]) is not dict:
        raise LoadError("lacks a part")
    for name, entry in found["entries"].items():
        if type(entry) is not dict or entry.keys() != {"dtype", "shape", "crc32"} or type(entry["dtype"]) is not str:
            raise LoadError(f"does not describe the entry {name!r:.50}")
    return found["tree"], found["entries"]


def rebuild(tree, arrays):
    """The object that was saved."""
    with reading("the manifest", Exception):  # a tree from a file can be anything
        return build(tree, arrays)


def parse_json(text):
    """What the text means; LoadError if it is no JSON, has a name twice in an object, or is nested so deep that reading it could crash."""
    depth = 0
    for token in TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > 4 * DEPTH:
            raise LoadError("is nested too deep")
    with reading("is damaged", ValueError, RecursionError):
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse_constant)


def unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise LoadError("a name is there twice")
    return found


def refuse_constant(name):
    raise LoadError(f"there is {name}, which is no JSON")
