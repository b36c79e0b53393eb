"""Words for the size and the sign of a number: ``3.5 million``, ``40K``, ``3万``, ``minus five``.

A word or letter of size multiplies the number before it. Long-scale words count only where no
other language means something else by them.
"""

from __future__ import annotations

import re
from fractions import Fraction

from .late import late_pattern

_WORDS = {
    100: "hundred",
    1_000: "thousand thousands mil mila tausend duizend tysiące tysięcy тысяч тысяча тысячи тыс "
    "ribu nghìn ngàn elfu ألف آلاف हज़ार हजार হাজার వేల",
    100_000: "lakh lakhs lac lacs लाख লাখ లక్ష లక్షల",
    1_000_000: "million millions mn mio millionen millón millones millionnen milione milioni "
    "milhão milhões миллион миллиона миллионов млн juta triệu milyon miljoen "
    "milion miliony milionów مليون",
    10_000_000: "crore crores करोड़ কোটি కోట్ల",
    1_000_000_000: "billion billions bn mrd milliarde milliarden milliard milliards miliardo "
    "miliardi bilhão bilhões миллиард миллиарда миллиардов млрд miliar tỷ milyar miljard "
    "miliard miliardy miliardów مليار",
    1_000_000_000_000: "trillion trillions tn billionen billones billón biljoen триллион триллиона "
    "триллионов triliun trilyon تريليون",
}
_UNSPACED = {
    "百": 100, "千": 1_000, "천": 1_000, "万": 10_000, "萬": 10_000, "만": 10_000,
    "十万": 10**5, "百万": 10**6, "百萬": 10**6, "千万": 10**7, "千萬": 10**7, "十亿": 10**9,
    "십만": 10**5, "백만": 10**6, "천만": 10**7, "십억": 10**9, "백억": 10**10, "천억": 10**11,
    "亿": 10**8, "億": 10**8, "억": 10**8, "兆": 10**12, "조": 10**12,
    "พัน": 1_000, "หมื่น": 10_000, "แสน": 100_000, "ล้าน": 1_000_000,
}  # fmt: skip
_LONG = {
    "hundred thousand": 10**5,
    "hundred million": 10**8,
    "mil millones": 10**9,
    "mil milhões": 10**9,
    "mille milliards": 10**12,
}
_LETTERS = {"k": 1_000, "m": 1_000_000, "b": 10**9, "t": 10**12}
FACTORS = (
    {word: factor for factor, words in _WORDS.items() for word in words.split()}
    | _UNSPACED
    | _LONG
    | _LETTERS
)
# 千克 is a kilogram and 조각 a piece. Plain k, M, B count glued to the number, the others after a
# currency only: 5m are metres, 5 M a concentration, 300 K a temperature.
_SPACED_WORDS = (word for words in _WORDS.values() for word in words.split())
_SPACED = "|".join(map(re.escape, sorted([*_SPACED_WORDS, *_LONG], key=len, reverse=True)))
_GLUED = "|".join(sorted(_UNSPACED, key=len, reverse=True))
PATTERN = (
    rf"(?P<scale>(?<=[\d.])[\s-]?(?i:{_SPACED})(?![^\W_])|(?<=\d)\s?(?:{_GLUED})"
    r"(?![克米瓦卡帕赫伏각])|(?<=\d)(?(currency)[kKMBmbtT]|[kKMB])(?![^\W_]))"
)
SIGNS = (
    r"(?i:minus|negative|menos|moins|meno|минус|eksi|negatif|âm)|[负負]|マイナス|마이너스"
    r"|माइनस|سالب|ลบ"
)
"""Words that make a number negative."""


def factor(scale: str) -> int:
    """What a match of ``scale`` multiplies by.

    >>> factor(" million"), factor("k"), factor("万")
    (1000000, 1000, 10000)
    """
    word = scale.strip(" \t\n-\u00a0\u202f\u2009")
    return FACTORS.get(word) or FACTORS[word.lower()]


_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMERALS = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, 2)
}
_SIZES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SPELLED = "|".join([*_NUMERALS, *_SIZES])
SPELLED = late_pattern(
    rf"(?:(?:{_SPELLED})(?:[\s-]|,\s|\sand\s)?){{1,20}}(?<![\s,-])(?![^\W_])", re.I
)


_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4,
    "fourths": 4, "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8,
    "tenth": 10, "tenths": 10,
}  # fmt: skip
SPELLED_PART = late_pattern(
    rf"(?:(?P<whole>(?:{_SPELLED}|[\s-]){{1,9}})\sand\s)?(?:(?P<top>an?|{'|'.join(_UNITS)})[\s-])?"
    rf"(?P<bottom>{'|'.join(_PARTS)})(?![^\W_])",
    re.IGNORECASE,
)
"""One half, two thirds, two and a half."""


def spelled_part(match: re.Match[str]) -> Fraction | None:
    """The value of a match of ``SPELLED_PART``.

    >>> spelled_part(SPELLED_PART.match("two and a half"))
    Fraction(5, 2)
    """
    top = (match["top"] or "a").lower()
    part = Fraction(_NUMERALS.get(top, 1), _PARTS[match["bottom"].lower()])
    if match["whole"] is None:
        return part
    whole = spelled(match["whole"])
    return None if whole is None or part >= 1 else whole + part


A_SIZE = late_pattern(
    rf"(?:(?P<half>half)\s(?:an?\s)?|an?\s)(?P<size>{'|'.join(_SIZES)})(?![^\W_])", re.IGNORECASE
)
"""A million, half a million."""


def a_size(match: re.Match[str]) -> int:
    """The value of a match of ``A_SIZE``.

    >>> a_size(A_SIZE.match("half a million")), a_size(A_SIZE.match("a hundred"))
    (500000, 100)
    """
    return _SIZES[match["size"].lower()] // (2 if match["half"] else 1)


def spelled(text: str) -> int | None:
    """The value of a number in English words; None if they make none.

    >>> spelled("three hundred and forty-two thousand"), spelled("two three")
    (342000, None)
    """
    total = part = 0
    last = 10**15  # the smallest size or numeral so far within its group
    top = 10**15
    for word in re.findall(r"[a-z]+", text.lower()):
        if word == "and":
            continue
        if (value := _NUMERALS.get(word)) is not None:
            size = 10 if value >= 20 else 1
            if size >= last or (value >= 10 and last <= 10):
                return None
            part, last = part + value, size
        elif word == "hundred":
            if not 0 < part < 100:
                return None
            part, last = part * 100, 100
        else:
            size = _SIZES[word]
            if not part or size >= top:
                return None
            total, part, last, top = total + part * size, 0, 10**15, size
    return total + part
