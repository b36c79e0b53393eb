"""MGSM: 250 problems of GSM8K in eleven languages (Shi et al. 2022, arXiv 2210.03057).

Prompt: the native instructions and answer prefixes of openai/simple-evals. Metric: the number after
the prefix equals the target exactly, digits and separators of any script; by language and script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..environments.rows import Dataset, load
from ..errors import ConfigError
from ..scoring.input import ScorerInput
from ..scoring.numeric import numeric_match

INSTRUCTIONS = {
    "bn": "এই গণিতের সমস্যাটি সমাধান করুন। চূড়ান্ত উত্তর দেওয়ার আগে যুক্তিসম্পন্ন পদক্ষেপ প্রদান করুন। চূড়ান্ত উত্তরটি একক সংখ্যা "
    'হিসাবে "উত্তর:" এর পরে শেষ লাইনে দিন। "উত্তর:" এর পরে অন্য কিছু যুক্ত করবেন না।',
    "de": "Löse dieses Mathematikproblem. Gib die Schritte zur Begründung an, bevor du die endgültige "
    'Antwort in der letzten Zeile alleine im Format "Antwort:" gibst. Füge nichts anderes als die '
    'ganzzahlige Antwort nach "Antwort:" hinzu.',
    "en": "Solve this math problem. Give the reasoning steps before giving the final answer on the "
    'last line by itself in the format of "Answer:". Do not add anything other than the integer '
    'answer after "Answer:".',
    "es": "Resuelve este problema matemático. Proporciona los pasos de razonamiento antes de dar la "
    'respuesta final en la última línea por sí misma en el formato de "Respuesta:". No añadas nada '
    'más que la respuesta entera después de "Respuesta:".',
    "fr": "Résolvez ce problème de mathématiques. Donnez les étapes de raisonnement avant de fournir "
    'la réponse finale sur la dernière ligne elle-même dans le format de "Réponse:". N\'ajoutez rien '
    'd\'autre que la réponse entière après "Réponse:".',
    "ja": "この数学の問題を解いてください。最終的な答えを出す前に、解答の推論過程を記述してください。"
    'そして最後の行には "答え:" の形式で答えを記述し、その後には整数の答え以外何も追加しないでください。',
    "ru": "Решите эту математическую задачу. Объясните шаги рассуждения перед тем, как дать "
    'окончательный ответ в последней строке сам по себе в формате "Ответ:". Не добавляйте ничего, '
    'кроме целочисленного ответа после "Ответ:".',
    "sw": "Suluhisha tatizo hili la hesabu. Toa hatua za mantiki kabla ya kutoa jibu la mwisho kwenye "
    'mstari wa mwisho peke yake katika muundo wa "Jibu:". Usiongeze chochote kingine isipokuwa jibu '
    'la integer baada ya "Jibu:".',
    "te": "ఈ గణిత సమస్యను పరిష్కరించండి. చివరి సమాధానాన్ని ఇవ్వడానికి ముందు తర్కాత్మక అడుగులను ఇవ్వండి. చివరి పంక్తిలో "
    'మాత్రమే "సమాధానం:" అనే ఆకారంలో చివరి సమాధానాన్ని ఇవ్వండి. "సమాధానం:" తర్వాత పూర్ణాంక సమాధానం తప్ప ఇంకేమీ చేర్చవద్దు.',
    "th": "แก้ปัญหาคณิตศาสตร์นี้ ให้ขั้นตอนการใช้เหตุผลก่อนที่จะให้คำตอบสุดท้ายในบรรทัดสุดท้ายโดยอยู่ในรูปแบบ "
    '"คำตอบ:" ไม่ควรเพิ่มอะไรนอกจากคำตอบที่เป็นจำนวนเต็มหลังจาก "คำตอบ:"',
    "zh": '解决这个数学问题。在最后一行给出答案前，请提供推理步骤。最后一行应该以 "答案: " 的形式独立给出答案。在 "答案：" '
    "后不要添加除整数答案之外的任何内容。",
}  # fmt: skip
PREFIXES = {
    "bn": "উত্তর",
    "de": "Antwort",
    "en": "Answer",
    "es": "Respuesta",
    "fr": "Réponse",
    "ja": "答え",
    "ru": "Ответ",
    "sw": "Jibu",
    "te": "సమాధానం",
    "th": "คำตอบ",
    "zh": "答案",
}
LATIN = ("de", "en", "es", "fr", "sw")


def rows_of(languages: Sequence[str]) -> Dataset:
    """The test rows of some languages, one after the other."""
    rows: list[dict[str, Any]] = []
    digests, revision = [], None
    for language in languages:
        data = load(f"hf://juletxara/mgsm?config={language}&split=test")
        rows += [{**row, "language": language} for row in data.rows]
        digests.append(data.digest)
        revision = data.revision
    digest = digests[0] if len(digests) == 1 else "+".join(text[7:19] for text in digests)
    return Dataset(rows=rows, name="juletxara/mgsm", revision=revision, digest=digest)


def all_languages() -> Dataset:
    """All eleven languages."""
    return rows_of(sorted(INSTRUCTIONS))


def params(languages: list[str] | str | None = None) -> Mapping[str, Any]:
    """``languages``: a code or a list of codes; all eleven unless given."""
    if languages is None:
        return {}
    chosen = [languages] if isinstance(languages, str) else list(languages)
    if unknown := [code for code in chosen if code not in INSTRUCTIONS]:
        known = ", ".join(sorted(INSTRUCTIONS))
        raise ConfigError(f"unknown language {unknown[0]!r}", where="mgsm", hint=known)
    return {"dataset": lambda: rows_of(chosen)}


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """The native instruction above the question."""
    language = row["language"]
    return {
        "instruction": INSTRUCTIONS[language],
        "question": row["question"],
        "target": row["answer_number"],
        "language": language,
        "breakdowns": {"script": "latin" if language in LATIN else "non-latin"},
    }


@benchmark(
    name="mgsm",
    dataset=all_languages,
    prompt="{instruction}\n\n{question}",
    prepare_row=prepare,
    category_field="language",
    params=params,
    inline=True,
)
@scorer
def mgsm(sample: ScorerInput) -> dict[str, Any]:
    """The number after the language's answer prefix, else the last number."""
    language = sample.metadata["language"]
    return numeric_match(
        sample, locale=language, prefixes=(PREFIXES[language], "Answer"), asked=("answer_line",)
    )
