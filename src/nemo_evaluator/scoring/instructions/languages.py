"""Which language a text is in, by its script, its letters and its commonest words.

Enough to check the instruction to answer in a given language; not a general detector. None where
nothing speaks for any language.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

_SCRIPT_LANGUAGE = {
    "BENGALI": "bn",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "KANNADA": "kn",
    "TAMIL": "ta",
    "TELUGU": "te",
    "MALAYALAM": "ml",
    "THAI": "th",
    "HEBREW": "he",
    "GREEK": "el",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "SINHALA": "si",
}
_WORDS = {
    "LATIN": {
        "en": "the of and to in is that it for was with as on be this are you have not or by from"
        " they we an will can your at i my has but their so our if all would there about what",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als"
        " auch es an werden aus er hat dass sie nach wird bei einer ich wir sind",
        "fr": "le la les de des et un une est que qui dans pour pas sur au avec ce il elle nous"
        " vous je du en plus sont aux cette ses mais par ou",
        "es": "el la los las de y en que un una es por con para no se del su al lo como más pero"
        " sus este esta son muy también está fue ha nos"
        " sobre cuando donde yo nosotros tiene ser entre sin desde hasta porque",
        "it": "il la di che e è un una per non in con del della i le si da gli dei alla sono più"
        " anche nel ma come lo delle questo ha mi al dal dalla degli ed o"
        " su sul sulla nel nella nei negli questa quando se ho io tu lui lei noi cosa dove",
        "pt": "o a os as de e em que um uma é por com para não se do da no na dos das ao mais como"
        " mas foi seu sua ou você são também à pelo isso muito está",
        "nl": "de het een van en in is dat op te voor met zijn niet aan er om ook als maar dan"
        " wordt bij door naar hij ze wij deze",
        "fi": "ja on ei se että oli hän joka mutta kun niin myös ovat voi sen tämä kuin tai ole"
        " minä sinä olen ovat jos siitä mitä vain hyvin olla ollut jotka hänen sekä",
        "sv": "och att det i en som på är av för med den till inte om ett han de var jag men har"
        " kan vi man sig",
        "vi": "và của là có không được cho trong một các với những này để người đã như khi từ về"
        " tôi bạn đến ra nhưng sẽ cũng hay thì mà nó",
        "sw": "na ya wa kwa ni katika la za cha kuwa hii kama au lakini yake yangu watu sana hiyo"
        " pia ambayo ili mimi wewe yeye sisi huyu hilo si bila kila",
        "id": "yang dan di dengan untuk dari ini itu tidak dalam pada adalah akan ke saya anda"
        " kami atau juga oleh ada bisa mereka",
        "tr": "ve bir bu da de için ile çok ne gibi daha ama o olarak var olan ben sen mi kadar"
        " değil en her sonra",
        "pl": "i w na z się nie do jest to że o jak ale za co po od przez przy są był dla czy tak",
    },
    "CYRILLIC": {
        "ru": "и в не на что с по это как но из за он я мы вы они для от у же или был так все её"
        " его если только когда чтобы",
        "bg": "и на да не се в за с от е са че като по това но ще си или до във със при аз ние"
        " които който може този тази",
        "uk": "і в не на що з та як це але до за він я ми ви вони для від у або був так її його"
        " якщо є під",
    },
    "DEVANAGARI": {
        "hi": "है हैं के की का में और से को पर एक यह ने कि था थी थे हो नहीं भी लिए इस आप हम मैं ये वह जो तो",
        "mr": "आहे आहेत आणि च्या ची चे ला मध्ये या एक हे ही तो ती ते नाही होते"
        " आपण मी तुम्ही साठी पण की करून आपल्या असे हा",
        "ne": "छ छन् र को मा का लाई ले हुन्छ यो त्यो एक पनि गर्न हामी म तपाईं भएको थियो"
        " हो गरेको यस गर्ने लागि हुन् भने छु",
    },
    "ARABIC": {
        "ar": "في من على إلى أن هذا هذه التي الذي مع عن كان لا ما هو هي كل أو بعد قد ذلك و يا إن",
        "fa": "و در به از که این را با است برای آن یک می های ها تا شما ما بر هم نیز خود باید است.",
        "ur": "کے کی کا میں اور ہے ہیں سے کو پر یہ نے کہ ایک تھا تھی ہو نہیں"
        " بھی لیے اس آپ ہم وہ جو تو گا",
    },
}
_LETTERS = {
    "LATIN": {
        "de": "ßäöü",
        "fr": "çœèêàùîâ",
        "es": "ñ¿¡áíóú",
        "pt": "ãõçáâê",
        "it": "èàòùì",
        "fi": "äö",
        "vi": "àáâãèéêìíòóôõùúýăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệịỉọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
        "sv": "å",
        "tr": "ğşı",
        "pl": "łąęśźżćń",
    },
    "CYRILLIC": {"ru": "ыэё", "bg": "", "uk": "іїєґ"},
    "ARABIC": {"ar": "ةىأإ", "fa": "", "ur": "ٹڈڑںھےہ"},
    "DEVANAGARI": {"mr": "ळ"},
}
_TOKENS = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u0dff]+[^\W\d_]*)*")
SAMPLE = 4_000
"""Characters that are looked at."""


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of the language most of a text is in.

    >>> language_of("The cat sat on the mat."), language_of("Это не кошка."), language_of("42")
    ('en', 'ru', None)
    """
    text = unicodedata.normalize("NFC", text[:SAMPLE]).lower()
    scripts = Counter(script for char in text if char.isalpha() and (script := _script(char)))
    if not scripts:
        return None
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and kana * 20 > scripts["CJK"]:
        scripts["HIRAGANA"] += scripts["CJK"]
        scripts["CJK"] = 0
    script = scripts.most_common(1)[0][0]
    return _SCRIPT_LANGUAGE.get(script) or _by_words(text, script)


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


@lru_cache(maxsize=8)
def _owners(script: str) -> dict[str, list[str]]:
    """Each common word with the languages it is common in."""
    return _shared({name: listed.split() for name, listed in _WORDS.get(script, {}).items()})


@lru_cache(maxsize=8)
def _letter_owners(script: str) -> dict[str, list[str]]:
    """Each special letter with the languages that write it."""
    return _shared(_LETTERS.get(script, {}))


def _shared(by_language: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    owners: dict[str, list[str]] = {}
    for language, items in by_language.items():
        for item in set(items):
            owners.setdefault(item, []).append(language)
    return owners


def _by_words(text: str, script: str) -> str | None:
    owners, scores = _owners(script), defaultdict[str, float](float)
    for token in _TOKENS.findall(text):
        languages = owners.get(token, ())
        for language in languages:
            scores[language] += 1 / len(languages)
    for letter, languages in _letter_owners(script).items():
        for language in languages:
            scores[language] += text.count(letter) / len(languages)
    return max(scores, key=lambda language: scores[language]) if any(scores.values()) else None
