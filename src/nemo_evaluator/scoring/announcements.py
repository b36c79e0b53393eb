"""How answers are announced in the languages of the usual multilingual benchmarks.

``ANSWER`` are words for "answer", ``IS`` what stands between them and the answer, ``CHOOSE`` ways
to say "I choose". Add a language by adding its words; English has rules of its own beside these.
"""

from __future__ import annotations

import re

ANSWER = (
    "Respuesta", "Réponse", "Antwort", "Lösung", "Risposta", "Resposta", "Ответ", "Відповідь",
    "答案", "回答", "正解", "答え", "解答", "답변", "정답", "답", "الجواب", "الإجابة", "الاجابة",
    "إجابة", "جواب", "उत्तर", "जवाब", "উত্তর", "Jibu", "సమాధానం", "జవాబు", "คำตอบ", "Jawaban",
    "Cevap", "Yanıt", "Đáp án", "Câu trả lời", "Trả lời", "Antwoord", "Odpowiedź", "Odpověď",
    "Svar", "Vastaus", "Válasz", "Răspuns", "Απάντηση", "תשובה", "پاسخ", "Ìdáhùn", "Idahun",
    "opción correcta", "option correcte", "opzione corretta", "opção correta",
    "alternativa correta", "richtige Option", "вариант ответа", "正确选项", "正確選項",
    "विकल्प", "விடை", "பதில்", "जबाफ",
    "答", "Svaret", "Răspunsul", "התשובה", "Sagot", "Отговор", "Одговор", "Správná možnost",
)  # fmt: skip
"""Prefixes of an answer line beside ``Answer``."""

WITHOUT_COPULA = (
    "সঠিক উত্তর", "helyes válasz", "پاسخ صحیح", "پاسخ درست", "சரியான விடை", "சரியான பதில்",
    "Верный ответ", "Правильный ответ", "Правильна відповідь",
)  # fmt: skip
"""The right answer, in languages that say "is" by saying nothing."""

# Copulas, then adjectives, articles and words for "option".
_IS = (
    r"és|ay|היא|הוא|הנכונה|נכונה|corect|corectă|rigtige|riktige|es|sería|est|serait|ist|lautet|wäre|is|è|é|seria|sarebbe|to|jest|brzmi|je|är|er|on|este|είναι|هي|هو"
    r"|है|হল|হলো|হচ্ছে|ni|adalah|ialah|là"
    r"|donc|giusta|réponse|voor|l['’](?:option|opzione)|correcta|correcto|final|correcte|finale|bonne|richtige|korrekte|endgültige|corretta|correta"
    r"|certa|la|el|le|der|die|das|il|a|o|de|het|opción|letra|option|lettre|buchstabe|opzione|lettera"
    r"|opção|alternativa|alternative|вариант|буква|правильный|верный|ответ|под|буквой|الصحيحة|الصحيح"
    r"|النهائية|الخيار|الحرف|विकल्प|सही|বিকল্প|সঠিক|sahihi|chaguo|ఎంపిక|సరైన|yang|benar|tepat|pilihan"
    r"|opsi|saya|nya|doğru|seçenek|şıkkı|đúng|chính|xác|phương|án|đáp|juiste|optie|poprawna"
    r"|prawidłowa|opcja|litera|rätt|rett"
)
_IS_UNSPACED = (
    r"是|为|為|應|应|該|该|选|選|は|が|은|는|이|가|คือ|ได้แก่|选项|選項|正确|正確|最终|最終|选择|選擇|選択肢|正しい"
    r"|옵션|선택지|번|ที่ถูกต้อง|ถูกต้อง|ข้อ|ตัวเลือก"
)
FILLERS = rf"(?:[ \t*_]{{0,4}}(?:(?:{_IS})(?![^\W\u0e00-\uffff])|{_IS_UNSPACED}))"
"""One word that may stand between the announcement and the answer."""

CHOOSE = (
    "elijo", "escojo", "selecciono", "elegiría", "opto por", "me quedo con", "je choisis",
    "je sélectionne", "je choisirais", "j'opte pour", "j’opte pour", "wähle ich", "ich wähle",
    "entscheide mich für", "ich nehme", "scelgo", "seleziono", "opto per", "escolho", "seleciono",
    "escolheria", "выбираю", "выберу", "выбрал", "обираю", "أختار", "اختار", "اخترت", "memilih",
    "pilih", "chọn", "เลือก", "ik kies", "kies ik", "wybieram", "volím", "jag väljer", "nachagua",
    "ninachagua", "chagua", "valitsen", "vybírám", "vyberu", "aleg", "επιλέγω", "jeg velger",
    "jeg vælger", "jag tar", "izberem", "biram", "избирам", "бирам", "אני בוחר", "אני בוחרת",
    "pinipili ko ang", "seçiyorum", "escullo",
    "ist die richtige antwort", "ist die korrekte antwort",
    "选择", "選擇", "选", "選",
)  # fmt: skip
"""Ways to say "I choose"."""
NOT = (
    r"(?:\b(?:no|non|ne|nicht|não|не|nie|niet|tidak|bukan|không|hapana|si)[ \t]{1,2}"
    r"(?:\w{1,10}[ \t])?"
    r"|不|没|沒|勿|别|不[应應能该該可]|不應該|不应该|ไม่|لا\s|ليس)$"
)
"""Ends before a choice that is denied."""

DENIED = (
    r"(?:\s?(?:は|が)?(?:では(?:ない|ありません|なく)|じゃない|間違|誤り|不正解|正しくない)"
    r"|\s?(?:는|은|가|이)\s?(?:아니|아닙|아닌|틀)|\s?(?:选项|選項|项|項)?(?:是)?(?:不(?:正确|正確|对|對|是)|错|錯)"
    r"|['’]?\s?değil|\s(?:नहीं|ग़लत|गलत|নয়|ভুল|కాదు|ليس|نیست))"
)
"""What follows a choice that is denied."""

CHOSEN_AFTER = (
    r"(?:\s?是(?:正确|正確|对|對)|\s?şıkk|を選|を選択|が正し|が正解|だと思|です|でしょう|를\s?선택|을\s?선택|번을\s?선택|입니다|이다|가\s?정답|이\s?정답"
    r"|['’]?(?:y[ıiuü]|[ıiuü])?\s?seçiyorum|['’]?[dt][ıiuü]r\b|\s?है|\s?चुन|\s?হয়|\s?বেছে|\s?ఎంచు)"
)
"""What follows a choice where the verb comes last."""


def spaced(word: str) -> bool:
    """Whether a word's script separates words by spaces (Thai, Chinese and others do not)."""
    return word[:1] < "\u0e00"


def alternation(words: tuple[str, ...]) -> str:
    """A pattern for any of the words, not inside another word."""
    parts = sorted(words, key=len, reverse=True)
    return "|".join((r"(?<![^\W_])" if spaced(word) else "") + re.escape(word) for word in parts)
