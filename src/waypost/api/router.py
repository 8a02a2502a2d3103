"""Which operation a request means: the tree of paths, made of the table of operations.

Paths are cut at their slashes while still percent-encoded, so that a reference may hold an encoded slash. A word of the
table wins over a parameter at the same place.
"""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("by_method", "names", "parameter", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.by_method: dict[str, T] = {}
        self.names: tuple[str, ...] = ()  # of the parameters on the way here


class Router(Generic[T]):
    """Finds what was put in for a method and a path such as `/v1/shipments/{reference}`."""

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        """Take the routes as (method, path, what is found)."""
        self._root = _Node[T]()
        for method, path, target in routes:
            node, names = self._root, []
            for word in path.split("/")[1:]:
                if word.startswith("{"):
                    names.append(word[1:-1])
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.words.setdefault(word, _Node())
            assert method not in node.by_method, (method, path)
            node.by_method[method] = target
            node.names = tuple(names)

    def find(self, path: str) -> tuple[Mapping[str, T], dict[str, str]]:
        """Give what the path has by method (empty: there is no such path), and its parameters, still encoded."""
        node, values = self._root, []
        for word in path.split("/")[1:]:
            known = node.words.get(word)
            if known is None:
                known = node.parameter
                if known is None or not word:
                    return {}, {}
                values.append(word)
            node = known
        return node.by_method, dict(zip(node.names, values, strict=True)) if node.by_method else {}
