"""What the small model's base learns to answer: the diagnosis of a lesion, asked in several ways.

The question that is served (signs of melanoma) is not among them: that one is left to the LoRA adapter.
"""

from models.classifier.data.labels import CLASSES, MALIGNANT

NAMES = {
    "akiec": "actinic keratosis",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "naevus",
    "vasc": "vascular lesion",
}
WHICH = "What kind of skin lesion does this picture show?"
SIGNS = "Does this picture of a skin lesion show signs of {}? Answer Yes or No."
MALIGNANT_NAME = "skin cancer"
YES, NO = "Yes", "No"


def closed() -> list[tuple[str, tuple[int, ...]]]:
    """(question, classes for which the answer is Yes)."""
    single = [(SIGNS.format(NAMES[name]), (index,)) for index, name in enumerate(CLASSES) if name != "mel"]
    return [*single, (SIGNS.format(MALIGNANT_NAME), MALIGNANT)]


def corpus() -> list[str]:
    """Every sentence for the tokenizer, with answers in all spellings."""
    answers = [form for word in (YES, NO) for form in (word, word.lower(), word.upper(), f" {word}")]
    question_texts = [*(question for question, _ in closed()), WHICH, SIGNS.format(NAMES["mel"])]
    return [*question_texts, *NAMES.values(), *answers * 3, "system user assistant"]
