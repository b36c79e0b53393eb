"""``orchard://FRUIT``: as many questions about one fruit as ``params.size`` says."""

from __future__ import annotations

from collections.abc import Mapping

from nemo_evaluator import ConfigError, ScorerInput, benchmark, fuzzy_match, scorer


def open_orchard(uri: str, params: Mapping[str, object]) -> list[object]:
    """The benchmark of one fruit."""
    name = uri.partition("://")[2]
    if name not in ("apple", "pear"):
        raise ConfigError(f"no {name!r} grows there", where=uri, hint="apple or pear")

    @benchmark(
        name=f"orchard-{name}",
        dataset=[
            {
                "number": number,
                "target": name,
                "instruction_id_list": ["fruit:mentioned"],
                "kwargs": [{"fruit": name}],
            }
            for number in range(int(str(params.get("size", 3))))
        ],
        prompt="Name a fruit, number {number}.",
    )
    @scorer
    def named(sample: ScorerInput) -> dict[str, object]:
        return fuzzy_match(sample)

    return [named]
