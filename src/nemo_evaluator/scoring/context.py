"""What the words around numbers make of them: a list, a range, a bound, a denial, an expression.

Each function looks at a bounded stretch of text beside a number or between two numbers.
"""

from __future__ import annotations

import re
from enum import StrEnum
from fractions import Fraction

from .late import late_pattern


class Kind(StrEnum):
    """What joins two numbers, or what they make together."""

    LIST = "list"
    RANGE = "range"
    RATIO = "ratio"
    DATE = "date"
    COMPOUND = "compound"
    RELATION = "relation"
    UNREAD = "unread"


BEFORE = 60
"""Characters before a number that may deny or bound it."""
AFTER = 40
GAP = 60
"""Numbers farther apart are not joined."""

_AND = r"(?:and|or|&|und|oder|y|et|ou|e|o|и|или|ve|veya|hoặc|và|atau|dan|en|of|i|lub)"
_WORD = r"[^\W\d_]{1,15}\.?[²³]?"
_UNIT = rf"(?:\s?(?:{_WORD}|[°%€£¥])(?:\s(?!{_AND}\b|to\b){_WORD})?)"
_MAYBE = r"(?:(?:maybe|possibly|perhaps|even|also|probably)\s)?"
_COMMA = rf"[,;、，]\s?(?:{_AND}\s)?{_MAYBE}"
_CLAUSE = late_pattern(
    r"\s{0,3}(?:because|since|as|if|when|where|which|that|so|but|for|after|before|while|on|at|by"
    r"|from|with|is|are|was|were|out|of|gives?|makes?|equals?|than|more|less|left|rest)\b",
    re.IGNORECASE,
)
_LIST_FAR = late_pattern(
    rf"{_UNIT}?\??\s?(?:{_COMMA}|\(?(?<=[\s(]){_AND}\s{_MAYBE})|\s?(?:和|或|と|또는|및)\s?|\s",
    re.IGNORECASE,
)
_LIST_NEAR = late_pattern(
    rf"\s?(?:{_COMMA})|(?:\s{_WORD})?\s(?:and|or|&|und|oder|y|et|ou)\s{_MAYBE}|\s?(?:和|或)\s?|\s",
    re.IGNORECASE,
)
_SIGN = r"(?:[<>≤≥≠≦≧⩽⩾]=?|\\(?:leqslant|geqslant|leq?|geq?|lt|gt|neq?)\b)"
_BETWEEN: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        Kind.RANGE,
        late_pattern(
            rf"{_UNIT}?(?:\s?(?:[-–—~〜～‑]{{1,3}}|…)\s?|\s(?:to|through|thru|till|until|bis|hasta|à|do|до)\s)"
            r"|\s?(?:至|到|から)\s?",
            re.IGNORECASE,
        ),
    ),
    (Kind.RATIO, late_pattern(r"\s?[:∶]\s?")),
    (
        Kind.DATE,
        late_pattern(
            r"\s?/\s?|\s(?:of\s)?"
            r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?,?\s",
            re.IGNORECASE,
        ),
    ),
    (Kind.RELATION, late_pattern(rf"\s?{_SIGN}\s?(?:\\?[^\W\d_]{{1,8}}\s?{_SIGN}\s?)?")),
    (
        Kind.UNREAD,
        late_pattern(
            r"\s?[a-z]?\s?(?:[-+*^×·÷⋅±→⇒]|\+/-|\\(?:times|cdot|div|pm|to)\b|[-=]{1,2}>|x(?=\s?$))\s?"
            r"|\s(?:plus|minus|times|divided by|over|mod|versus|vs\.?)\s",
            re.IGNORECASE,
        ),
    ),
)
_COMPOUND = late_pattern(
    r"\s?(?P<unit>[^\W\d_]{1,11}\.?|['′’\"″°])[\s,]{0,2}(?:and\s)?", re.IGNORECASE
)


_IN_TEXT = late_pattern(r"\\(?:text\w{0,2}|mbox|mathrm)\s?\{([^{}]*)\}")


def between(text: str, start: int, stop: int, *, near: bool) -> Kind | None:
    """What joins two numbers, given the text between them; None where they stand apart.

    ``near`` is for prose, where a comma after a noun joins nothing.

    >>> between("5 or 7", 1, 5, near=True), between("12 because 5", 2, 11, near=False)
    (<Kind.LIST: 'list'>, None)
    """
    if stop - start > GAP:
        return None
    gap = text[start:stop]
    if "{" in gap:
        gap = re.sub(r"\s+", " ", _IN_TEXT.sub(r"\1", gap))
    for kind, pattern in _BETWEEN:
        if pattern.fullmatch(gap):
            return kind
    if _is_compound(gap, text, stop):
        return Kind.COMPOUND
    if _CLAUSE.match(gap):
        return None
    return Kind.LIST if (_LIST_NEAR if near else _LIST_FAR).fullmatch(gap) else None


_LABEL = late_pattern(
    r"\b(?:step|day|week|month|year|part|case|round|hour|line|row|level|stage|phase|problem|question"
    r"|exercise|example|task|test|group|number|no\.|item|page|chapter)\s?#?$|#$",
    re.IGNORECASE,
)


def is_label(text: str, start: int, stop: int) -> bool:
    """Whether a number names what comes after it: ``Step 3: 30``."""
    if text[stop : stop + 1] != ":" or not text[stop + 1 : stop + 2].isspace():
        return False
    return _LABEL.search(text[max(0, start - 12) : start]) is not None


_SCALES: dict[str, tuple[tuple[Fraction, str], ...]] = {
    "time": (
        (Fraction(31_556_952), "years year yrs yr y"),
        (Fraction(2_629_746), "months month mo"),
        (Fraction(604_800), "weeks week wk wks"),
        (Fraction(86_400), "days day d tage tag días dias jours jour дней дня 天 日 일"),
        (Fraction(3_600), "hours hour hrs hr h stunden stunde std horas hora heures heure "
         "ore часов часа час 小时 小時 時間 时 時 시간 시"),
        (Fraction(60), "minutes minute mins min m minuten minutos minuto minuti минут "
         "минуты 分钟 分鐘 分 분"),
        (Fraction(1), "seconds second secs sec s sekunden segundos secondes секунд 秒 초"),
    ),
    "length": (
        (Fraction(1_609_344, 1000), "miles mile mi"),
        (Fraction(1000), "kilometers kilometer kilometres kilometre km"),
        (Fraction(1), "meters meter metres metre m"),
        (Fraction(9_144, 10_000), "yards yard yd"),
        (Fraction(3_048, 10_000), "feet foot ft ' ′ ’"),
        (Fraction(254, 10_000), 'inches inch in " ″'),
        (Fraction(1, 100), "centimeters centimeter centimetres centimetre cm"),
        (Fraction(1, 1000), "millimeters millimeter millimetres millimetre mm"),
    ),
    "mass": (
        (Fraction(1_000_000), "tons ton tonnes tonne t"),
        (Fraction(1000), "kilograms kilogram kg kgs"),
        (Fraction(635_029_318, 100_000), "stones stone st"),
        (Fraction(45_359_237, 100_000), "pounds pound lbs lb"),
        (Fraction(45_359_237, 1_600_000), "ounces ounce oz"),
        (Fraction(1), "grams gram g"),
    ),
    "money": (
        (Fraction(1), "dollars dollar $ euros euro € pounds £ USD EUR 元"),
        (Fraction(1, 10), "角"),
        (Fraction(1, 100), "cents cent c ¢ pence p"),
    ),
    "volume": (
        (Fraction(128), "gallons gallon gal"),
        (Fraction(32), "quarts quart qt"),
        (Fraction(16), "pints pint pt"),
        (Fraction(8), "cups cup"),
        (Fraction(1), "ounces ounce oz"),
    ),
    "litres": (
        (Fraction(1), "liters liter litres litre l"),
        (Fraction(1, 1000), "milliliters milliliter millilitres ml"),
    ),
    "angle": ((Fraction(3600), "degrees degree ° deg"), (Fraction(60), "minutes ' ′ ’"),
              (Fraction(1), 'seconds " ″')),
}  # fmt: skip
UNITS: dict[str, dict[str, Fraction]] = {}
"""Units of compound quantities: dimension to size."""
for _dimension, _rows in _SCALES.items():
    for _size, _names in _rows:
        for _name in _names.split():
            UNITS.setdefault(_name.lower(), {})[_dimension] = _size

_UNIT_AFTER = late_pattern(r"\s?(?:\\text\w{0,2}\{\s?)?(?P<unit>[^\W\d_]{1,11}|['′’\"″°¢])")


def unit_after(text: str, stop: int) -> str:
    """The unit that follows a number, in lower case."""
    found = _UNIT_AFTER.match(text, stop)
    return "" if found is None else found["unit"].lower()


def _is_compound(gap: str, text: str, stop: int) -> bool:
    """Whether a larger and a smaller unit of one kind follow each other: 5 ft 3 in, 3 h 20."""
    found = _COMPOUND.fullmatch(gap)
    if found is None:
        return False
    larger = UNITS.get(found["unit"].lower().rstrip("."), {})
    digits = _DIGITS.match(text, stop)
    smaller = UNITS.get(unit_after(text, digits.end()), {}) if digits else {}
    return any(larger[key] > size for key, size in smaller.items() if key in larger)


_DIGITS = late_pattern(r"[\d.,]{1,20}")
_NOT = late_pattern(
    r"(?:\b(?:not|never|neither|nor|cannot|nicht|pas|no es|non è|não é|не|nie|niet|bukan"
    r"|không phải|(?:anything|everything|all|any number) but|except|other than)|n['’]t"
    r"|不是|不等于|不|≠|!=|\\neq?)"
    r"(?:\s(?:be|equal(?: to)?|exactly|just|simply|necessarily|the|là))*\s?$",
    re.IGNORECASE,
)
_ASIDE = late_pattern(
    rf"{_UNIT}?[*_$]{{0,4}},?\s\(?(?:and\s)?"
    r"(?:not|rather than|instead of|nicht|pas|no)\s[$*]{0,3}",
    re.IGNORECASE,
)
_CONTRAST = late_pattern(
    rf"{_UNIT}?\s?[,;]?\s(?:but|rather|sondern|mais|sino|it['’]?s|it is)\b", re.IGNORECASE
)


_WRONG = late_pattern(
    rf"(?:\s{_WORD})?\s(?:is|was|are|were|seems)(?:n['’]t|\s(?:not|wrong|incorrect|false))\b", re.I
)


def denied(text: str, floor: int, start: int, stop: int) -> bool:
    """Whether a number is denied: ``not 12``, ``isn't 12``, ``12 is wrong``."""
    if _NOT.search(text[max(floor, start - BEFORE) : start]) is not None:
        return True
    return _WRONG.match(text, stop, stop + AFTER) is not None


def is_aside(gap: str) -> bool:
    """Whether the text between two numbers sets the second aside: ``15, not 12``."""
    return len(gap) <= GAP and _ASIDE.fullmatch(gap) is not None


def contrasted(text: str, stop: int, end: int) -> bool:
    """Whether a denied number is followed by what is said instead: ``not 12 but 15``."""
    return _CONTRAST.match(text, stop, min(end, stop + AFTER)) is not None


_BOUND = late_pattern(
    rf"(?:(?<![-=])(?P<sign>{_SIGN})"
    r"|\b(?:(?P<least>at least|(?:no|not) (?:less|fewer) than|minimum(?: of)?|as (?:few|little) as"
    r"|mindestens|al menos|au moins|almeno|не менее)"
    r"|(?P<most>at most|(?:no|not) more than|(?<!add )(?<!adds )(?<!adding )(?<!sum )(?<!sums )"
    r"(?<!comes )(?<!come )(?<!rounds )(?<!round )(?<!rounded )(?<!rounding )(?<!totals )up to"
    r"|maximum(?: of)?|as (?:many|much) as|höchstens|a lo sumo|au plus|не более)"
    r"|(?P<more>(?:more|greater|larger|bigger|higher|longer|older) than|over|above|exceed(?:s|ing)?"
    r"|mehr als|más de|plus de|più di|mais de)"
    r"|(?P<less>(?:less|fewer|smaller|lower|shorter|younger) than|under|below|weniger als"
    r"|menos de|moins de|meno di))(?P<equal> or equal to)?"
    r"|(?P<ge>至少|不少于|不小于|不低于)|(?P<le>至多|最多|不超过|不大于|不多于)"
    r"|(?P<gt>大于|大於|超过|超過|多于|高于)|(?P<lt>小于|小於|少于|少於|低于))"
    r"(?:\s(?:about|approximately|roughly))?\s{0,2}$",
    re.IGNORECASE,
)
_MORE = "more|greater|above|higher|over|up|beyond|older|longer|later"
_OR_MORE = late_pattern(
    rf"(?:\s?{_WORD}){{0,2}}\s(?:or|and)\s(?:(?P<more>{_MORE})|less|fewer|below|lower|under|younger"
    r"|shorter)\b|(?P<plus>\+)(?![\d\w])"
    rf"|(?:\s?{_WORD}){{0,2}}\s(?:(?P<least>at least|minimum)|at most|maximum)\b"
    r"|\s?[个個人名개명]?\s?(?:(?P<up>以上|이상|超|초과)|以下|未満|未满|이하|미만)",
    re.IGNORECASE,
)
_TAG = late_pattern(r"</?[A-Za-z][^<>]{0,40}>\s?$")
_CJK_BOUNDS = (("ge", "≥"), ("le", "≤"), ("gt", ">"), ("lt", "<"))
_SIGNS = {"<": "<", ">": ">", "lt": "<", "gt": ">", "≠": "≠", "ne": "≠", "neq": "≠"}


def bound(text: str, floor: int, start: int, stop: int) -> str | None:
    """The relation a number is only the bound of: ``≥`` for ``at least 5`` and ``5 or more``."""
    before = _BOUND.search(text[max(floor, start - BEFORE) : start])
    if before is not None:
        if sign := before["sign"]:
            in_tag = sign == "<" and text[stop : stop + 1] == ">"
            after_tag = sign == ">" and _TAG.search(text[max(floor, start - BEFORE) : start])
            return None if in_tag or after_tag else relation(sign)
        if sign := next((sign for name, sign in _CJK_BOUNDS if before[name]), None):
            return sign
        if before["least"] or (before["more"] and before["equal"]):
            return "≥"
        if before["most"] or (before["less"] and before["equal"]):
            return "≤"
        return ">" if before["more"] else "<"
    after = _OR_MORE.match(text, stop, stop + AFTER)
    if after is None:
        return None
    return "≥" if any(map(after.group, ("more", "plus", "least", "up"))) else "≤"


def relation(sign: str) -> str:
    """A relation sign in its plain form.

    >>> relation(r"\\leq"), relation(">="), relation("<")
    ('≤', '≥', '<')
    """
    word = sign.strip("\\ ")
    if word in _SIGNS:
        return _SIGNS[word]
    return "≤" if word[0] in "<≤≦⩽l" else "≥"


def relations(gap: str) -> tuple[str, ...]:
    """The relation signs in the text between two numbers."""
    return tuple(relation(sign) for sign in re.findall(_SIGN, gap))


_IN_RANGE = late_pattern(r"\b(?:between|zwischen|entre|tra|между)\s{1,2}$", re.IGNORECASE)
_PART_OF = late_pattern(
    r"(?:[A-Za-z]-|(?<![^\W_])[A-Za-z]\s?[+*]\s?|[-−]\s?\("
    r"|half past|quarter (?:to|past)|√|sqrt\s?[({]|\\sqrt\s?\{?|±"
    r"|正[负負]|\\pm"
    r"|\+/-|\\?\b(?:log|ln|sin|cos|tan|exp)\s?[({]?)\s?$"
)
_GOES_ON = late_pattern(
    r"\s?(?:\\?pi\b|π|√|\\sqrt|_\{?\d|\(mod)|\.\d|[xyzn](?![^\W\d_])"
    r"|\s?[+*]\s?[A-Za-z](?![^\W_])|[A-Za-z]\s?[-+*−]\s?[\d(]|!(?=\s?[}$=+*/^])"
    r"|\.{2,3}\d|\)\s?(?:\^|\*\*|[²³])|h\d|\s(?:to the (?:power|\d)|squared\b|cubed\b)"
    r"|\sand an? (?:half|third|quarter)\b"
)
_LEADS_IN = late_pattern(
    r"(?:['’]s|\b(?:is|are|was|be|equals?|to|of|at|by|gets?|gives?|obtain|value|an?|the|exactly|therefore"
    r"|approximately|about|ist|es|est|è|é)|[=:(≈*$,]|\\approx)\s{0,3}$",
    re.IGNORECASE,
)


def in_range(text: str, floor: int, start: int) -> bool:
    """Whether numbers joined by ``and`` are the ends of a range."""
    return _IN_RANGE.search(text[max(floor, start - 20) : start]) is not None


def part_of(text: str, floor: int, start: int, stop: int) -> bool:
    """Whether a number is only part of an expression: √16, 5π, ±3, 1011_2."""
    before = text[max(floor, start - 12) : start]
    return _PART_OF.search(before) is not None or _GOES_ON.match(text, stop) is not None


def subtracts(text: str, floor: int, start: int) -> bool:
    """Whether a sign apart from its number follows a word, so that it may subtract or be a dash."""
    before = text[max(floor, start - BEFORE) : start]
    return bool(before.strip()) and _LEADS_IN.search(before) is None


_MERIDIEM = late_pattern(r"\s?([ap])\.?\s?m\b", re.IGNORECASE)


def meridiem(text: str, stop: int) -> tuple[str, ...]:
    """``("a",)`` or ``("p",)`` after a time of day."""
    found = _MERIDIEM.match(text, stop)
    return () if found is None else (found[1].lower(),)


_EQUALS = late_pattern(r"(?<![<>!≠=:])=(?![=>])")
_OTHER_UNKNOWN = late_pattern(
    rf"\d[^=]{{0,20}}(?:\s{_AND}\s|[,;/&]\s?)\s?\\?[A-Za-z](?:_\{{?\w\}}?|['′]|\d)?\s?$",
    re.IGNORECASE,
)


_SOLVED = late_pattern(r"[\d)+*/−-]\s?[A-Za-z](?:\^?\d)?\s?=[^=]*$")
"""An equation before that gives no value to an unknown yet: 5x = 25 and x = 5."""


def after_equals(text: str, start: int, stop: int) -> int | None:
    """Where the right side of the last equation starts (``start`` without one); None where
    several unknowns have values: ``x = 5 or x = 7``."""
    at = start
    for found in _EQUALS.finditer(text, start, stop):
        at = found.end()
    return None if at > start and another_unknown(text, start, at) else at


def another_unknown(text: str, floor: int, start: int) -> bool:
    """Whether a number is the value of a further unknown: the 7 of ``x = 5 or x = 7``."""
    before = text[max(floor, start - BEFORE) : start].rstrip(" ")
    if not before.endswith("=") or _SOLVED.search(before[:-1]) is not None:
        return False
    return _OTHER_UNKNOWN.search(before[:-1]) is not None
