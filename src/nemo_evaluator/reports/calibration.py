"""A judge's calibration as a report."""

from __future__ import annotations

from ..judging.agreement import Share
from ..judging.calibration import Calibration
from .blocks import Document, Facts, Notices, Table, Tone
from .verdict_words import tone

KINDS = {
    "pairs": "which of two answers is better",
    "numbers": "grades",
    "verdicts": "right or wrong",
    "words": "labels",
}
MEASURES = ("Measure", "Value", "95 % CI", "n")


def calibration_report(found: Calibration, *, floor: float | None = None) -> Document:
    """How far the judge agrees. ``floor``: what kappa's lower end must reach."""
    agreed = found.agreement
    passed = passes(found, floor)
    sentence = f"accuracy {_share(agreed.accuracy)}, Cohen's kappa {_share(agreed.kappa)}"
    if agreed.weighted_kappa is not None:
        sentence += f", with quadratic weights {_share(agreed.weighted_kappa)}"
    sentence += f" on {agreed.n:,} {'row' if agreed.n == 1 else 'rows'}"
    if floor is not None:
        which = "kappa" if agreed.weighted_kappa is None else "the weighted kappa"
        sentence += f"; the lower end of {which} must reach {floor:g}"
    facts = [
        ("judge", str(found.judge.get("model", ""))),
        ("labels", KINDS[found.kind]),
        ("base rate", ", ".join(f"{k} {v:.1%}" for k, v in agreed.base_rate.items())),
        ("without a verdict", f"{agreed.unjudged:,}"),
        ("cost", _cost(found)),
    ]
    columns = ("People say \\ judge says", *agreed.labels)
    confusion = tuple(
        (label, *(f"{count:,}" for count in row))
        for label, row in zip(agreed.labels, agreed.confusion, strict=True)
    )
    badges = [(Tone.BAD, "simulated")] if found.simulated else []
    verdict = "AGREEMENT" if floor is None else "PASS" if passed else "BELOW THE FLOOR"
    if passed and agreed.unjudged:
        verdict = "INCOMPLETE"
    return Document(
        title="Calibration of a judge",
        badges=(*badges, (Tone.PLAIN if floor is None else tone(verdict), verdict)),
        lead=sentence + ".",
        blocks=(
            Facts(tuple(facts)),
            Notices(tuple(_notices(found))),
            Table("Confusion", columns, confusion),
            Table("Bias and steadiness", MEASURES, tuple(_biases(found))),
            Table(
                "Disagreements",
                ("Line", "People", "Judge"),
                tuple((str(row.line), row.human, row.judge) for row in found.disagreements),
            ),
        ),
        sections=(),
    )


def passes(found: Calibration, floor: float | None) -> bool:
    """Whether the lower end of kappa's interval reaches the floor; an undefined one does not."""
    low = found.decisive.low
    return floor is None or (low is not None and low >= floor)


def _notices(found: Calibration) -> list[tuple[Tone, str]]:
    notices = [(Tone.UNSURE, f"no verdict: {text}") for text in found.failures]
    if found.decisive.value is None:
        text = "kappa is undefined: people and judge used only one label"
        notices.insert(0, (Tone.UNSURE, text))
    if found.simulated:
        text = "a simulated judge: the numbers say nothing about a real one"
        notices.insert(0, (Tone.BAD, text))
    return notices


def _biases(found: Calibration) -> list[tuple[str, ...]]:
    agreed = found.agreement
    rows = [
        ("verdict changes with the order", agreed.position),
        ("of those, first answer preferred", agreed.first_preferred),
        *(
            (f"accuracy, {name} shown first", value)
            for name, value in zip("AB", found.by_order, strict=False)
        ),
        ("prefers the longer answer more than people do", agreed.length),
        ("mean grade above people's, on the scale", agreed.offset),
        ("says the same each time", agreed.consistency),
    ]
    return [
        (name, _value(value.value), _interval(value), f"{value.n:,}")
        for name, value in rows
        if value is not None
    ]


def _share(value: Share) -> str:
    return f"{_value(value.value)} {_interval(value)}".strip()


def _value(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _interval(value: Share) -> str:
    return "" if value.low is None or value.high is None else f"[{value.low:.3f}, {value.high:.3f}]"


def _cost(found: Calibration) -> str:
    price = "" if found.cost_usd is None else f", {found.cost_usd:.4f} USD"
    return f"{found.calls:,} replies, {found.tokens:,} tokens{price}"
