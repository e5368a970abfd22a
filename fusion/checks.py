"""Check whether a text of the hosted model may be shown; name the first rule that it breaks."""

import re
import unicodedata
from collections.abc import Collection, Mapping

from fusion.phrases import PHRASES, Phrases, contains
from fusion.policy import LEVELS, Level

WRONG = {
    "number": "it has a number that is not one of the figures, or a figure used for something else",
    "reassures": "it reassures",
    "diagnoses": "it diagnoses",
    "treats": "it names a treatment",
    "contradicts": "it contradicts the level or the figures",
    "characters": "it has characters, links or markup that a plain sentence does not need",
    "language": "it is not in the requested language",
}
"""Message for the hosted model's second try: the rule, never its own words."""

_NUMBER = r"\d+(?:[.,]\d+)*"
_PERCENT = r"(?:%|percent\b|per cent\b|prozent\b)"
_OF_A_RANGE = rf"{_NUMBER}(?: ?{_PERCENT})? ?(?:to|and|-|bis|und) ?{_NUMBER} ?{_PERCENT}"
_PLAIN = re.compile(r"[A-Za-z0-9äöüÄÖÜßéèáàó .,;:!?'\"()%/&+=\-—…]*")
_LINK = re.compile(r"https?:|www\.|\w\.(?:com|org|net|info|io|de|eu|ai)\b|//", re.IGNORECASE)
_QUOTES = {0x2018: "'", 0x2019: "'", 0x201A: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2010: "-", 0x2013: "-"}
MIN_FUNCTION_WORDS = 0.15
"""Least share of function words ("the", "of"): prose in either language has about 0.4, a list of terms nearly none."""


def plain(text: str) -> str:
    """One line with plain punctuation, without hidden characters, so that none of these can bypass a rule."""
    folded = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return " ".join("".join(c for c in folded if c.isspace() or unicodedata.category(c)[0] != "C").split())


def broken(
    text: str, level: Level, figures: Mapping[str, str], language: str, measures: Collection[str] = ()
) -> str | None:
    """The rule that a plain text breaks, a key of WRONG; None when it may be shown with this level and figures.

    `measures`: lengths such as "7 mm" in our own reasons, which a text may repeat.
    """
    rules = {
        "number": _has_a_foreign_number(_without(measures, text), figures, language),
        "reassures": _any("reassurance", text),
        "diagnoses": _any("diagnosis", text),
        "treats": _any("treatment", text),
        "contradicts": _any("contradiction", text) or _names_another_level(text, level),
        "characters": _PLAIN.fullmatch(text) is None or _LINK.search(text) is not None,
        "language": not _is_in(language, text),
    }
    return next((rule for rule, is_broken in rules.items() if is_broken), None)


def measures_in(text: str) -> set[str]:
    """Lengths in a text, such as "7 mm"."""
    return set(re.findall(r"\b\d+ mm\b", text))


def _without(measures: Collection[str], text: str) -> str:
    pattern = "|".join(re.escape(measure).replace(r"\ ", " ?") for measure in measures)
    return re.sub(rf"\b(?:{pattern})\b", "", text) if pattern else text


def _any(kind: str, text: str) -> bool:
    return any(contains(getattr(phrases, kind), text) for phrases in PHRASES.values())


def _names_another_level(text: str, level: Level) -> bool:
    others = [other for other in LEVELS if other != level]
    return any(_names(phrases, other, text) for phrases in PHRASES.values() for other in others)


def _names(phrases: Phrases, level: Level, text: str) -> bool:
    words, risk = f"(?:{phrases.levels[level]})", f"(?:{phrases.risk})"
    return contains(rf"\b{words}[- ](?:\w+[- ])?{risk}\b|\b{risk}(?: [\w-]+){{0,3}} {words}\b", text)


def _numbers(text: str, language: str) -> list[str]:
    numbers = re.findall(_NUMBER, text)
    return [number.replace(",", ".") for number in numbers] if language == "de" else numbers


def _is_one_of(numbers: list[str], figures: str) -> bool:
    ours = re.findall(_NUMBER, figures)
    return set(numbers) <= {*ours, *(number.removesuffix(".0") for number in ours)}


def _has_a_foreign_number(text: str, figures: Mapping[str, str], language: str) -> bool:
    """Whether a number is not ours, not a percentage, spelled out, or one figure used as another."""
    if _any("spelled_number", text) or not _is_one_of(_numbers(text, language), " ".join(figures.values())):
        return True
    rest = re.sub(rf"{_OF_A_RANGE}|{_NUMBER} ?{_PERCENT}", "", text, flags=re.IGNORECASE)
    if re.search(r"\d|%", rest):
        return True
    clauses = re.split(r"[.!?;](?!\d)|,(?!\d)", _without_the_range(text, figures))
    parts = [part for clause in clauses for part in re.split(r"\b(?:and|und)\b", clause, flags=re.IGNORECASE)]
    return any(_is_misattributed(part, figures, language) for part in parts)


def _without_the_range(text: str, figures: Mapping[str, str]) -> str:
    """Remove the interval. One bound alone would read as another risk; only both together are allowed."""
    low, high = (re.escape(bound).replace(r"\.", "[.,]") for bound in re.findall(_NUMBER, figures["melanoma_interval"]))
    return re.sub(rf"(?<![\d.,]){low}\D{{1,25}}{high}(?![\d])", "", text)


def _is_misattributed(part: str, figures: Mapping[str, str], language: str) -> bool:
    """Whether a number is not the figure of its subject: any skin cancer where that is named, else melanoma."""
    numbers, phrases = _numbers(part, language), PHRASES[language]
    if not numbers:
        return False
    of_melanoma, of_any = contains(phrases.melanoma_only, part), contains(phrases.any_cancer, part)
    if of_any and of_melanoma:
        return not _is_one_of(numbers, f"{figures['melanoma']} {figures['any_skin_cancer']}")
    return not _is_one_of(numbers, figures["any_skin_cancer" if of_any else "melanoma"])


def _is_in(language: str, text: str) -> bool:
    words = re.findall(r"[^\W\d_]+", text.lower())
    shares = {name: sum(word in phrases.function_words.split() for word in words) for name, phrases in PHRASES.items()}
    return shares[language] >= max(1, MIN_FUNCTION_WORDS * len(words)) and shares[language] == max(shares.values())
