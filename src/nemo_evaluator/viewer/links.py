"""Where pages link to: addresses of the server, or relative files of a static site."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of pages, from the root of the server."""

    @property
    def static(self) -> bool:
        """Whether nothing answers: a page can only be opened."""
        return False

    def has_page(self, number: int) -> bool:
        """Whether the rollout with a number in a list has a page."""
        return True

    def runs(self) -> str:
        """All runs."""
        return "/"

    def asset(self, name: str) -> str:
        """A style sheet or a script."""
        return f"/static/{name}"

    def run(self, key: str) -> str:
        """One run."""
        return f"/run/{quote(key)}"

    def samples(self, key: str, benchmark: str, query: str = "") -> str:
        """The rollouts of a benchmark."""
        return f"/run/{quote(key)}/{quote(benchmark)}/samples" + (f"?{query}" if query else "")

    def sample(self, key: str, benchmark: str, problem: int, repeat: int, query: str = "") -> str:
        """One rollout."""
        base = f"/run/{quote(key)}/{quote(benchmark)}/sample/{problem}/{repeat}"
        return base + (f"?{query}" if query else "")

    def image(self, key: str, benchmark: str, problem: int, repeat: int, number: int) -> str:
        """An image of a question, from 1."""
        return f"/run/{quote(key)}/{quote(benchmark)}/image/{problem}/{repeat}/{number}"

    def audit(self, key: str) -> str:
        """Where the scores of a run may be wrong."""
        return f"/run/{quote(key)}/audit"

    def history(self, benchmark: str) -> str:
        """A benchmark in all runs."""
        return f"/history?{urlencode({'benchmark': benchmark})}"

    def compare(self, one: str, other: str) -> str:
        """Two runs."""
        return f"/compare?{urlencode([('run', one), ('run', other)])}"

    def pair(self, one: str, other: str, benchmark: str, problem: int, repeat: int) -> str:
        """One rollout in two runs."""
        params = [("run", one), ("run", other), ("benchmark", benchmark)]
        return f"/pair?{urlencode([*params, ('problem', problem), ('repeat', repeat)])}"


@dataclass(frozen=True, slots=True)
class FileLinks(Links):
    """Files of a static site, relative to a page ``depth`` folders below its root."""

    depth: int = 0
    pages: int = 0
    """Rollouts of each benchmark that have a page."""

    @property
    def static(self) -> bool:
        """See ``Links``."""
        return True

    def has_page(self, number: int) -> bool:
        """See ``Links``."""
        return number <= self.pages

    def _from_root(self, path: str) -> str:
        return "../" * self.depth + quote(path)

    def runs(self) -> str:
        """See ``Links``."""
        return self._from_root("index.html")

    def asset(self, name: str) -> str:
        """See ``Links``."""
        return self._from_root(f"static/{name}")

    def run(self, key: str) -> str:
        """See ``Links``."""
        return self._from_root(f"run/{key}/index.html")

    def samples(self, key: str, benchmark: str, query: str = "") -> str:
        """See ``Links``. Of a query only the page counts: nothing filters files."""
        page = query.removeprefix("page=") if query.startswith("page=") else "1"
        return self._from_root(f"run/{key}/{benchmark}/samples-{page}.html")

    def sample(self, key: str, benchmark: str, problem: int, repeat: int, query: str = "") -> str:
        """See ``Links``."""
        return self._from_root(f"run/{key}/{benchmark}/sample-{problem}-{repeat}.html")

    def audit(self, key: str) -> str:
        """See ``Links``."""
        return self._from_root(f"run/{key}/audit.html")
