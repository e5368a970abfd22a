"""Phrases that a text of the hosted model must not contain, in each language it may write.

A list of phrases cannot be complete: it is the last of several safeguards. Numbers and levels do not depend on it
(fusion/bounds.py).
"""

import re
from dataclasses import dataclass

from fusion.policy import Level


@dataclass(frozen=True)
class Phrases:
    """One language's patterns, matched case-insensitively against one line of text with plain quotes (checks.plain)."""

    reassurance: str
    diagnosis: str
    treatment: str
    contradiction: str
    spelled_number: str
    levels: dict[Level, str]
    risk: str
    melanoma_only: str
    any_cancer: str
    bounded: str
    function_words: str


_COUNT = (
    "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|"
    "eighty|ninety|(?:a )?hundred|(?:a )?thousand|half|third|quarter)"
)
_BAD = r"(?:cancer|melanoma|malignan\w*|serious|dangerous)"
ENGLISH = Phrases(
    reassurance=(
        r"\b(?:all clear|harmless|benign|good news|rest assured|reassur\w+|unnecessary|nil|zero|"
        r"non-?cancerous|cancer[- ]free|"
        r"(?:no|not|isn't|without)(?: an?| any)?(?: (?:signs?|evidence) of)?(?: skin)? (?:cancer|melanoma|malignan)\w*|"
        r"(?:nothing|no (?:need|cause|reason)|(?:don't|do not) (?:need|have))"
        r" (?:to|for) (?:be )?(?:worry|concern|see|fear)\w*|"
        r"(?:no|nothing|not|never)(?: \w+){0,3} (?:alarm\w*|afraid|panic)|"
        r"no cause for|relax\w*|probably nothing|optional|"
        r"not have to(?: \w+){0,5} (?:doctor|dermatologist|specialist|anyone|anybody)|"
        r"not (?:turn out|prove)(?: to be)?(?: \w+){0,2} (?:cancer\w*|melanoma|malignan\w*)|"
        r"nothing (?:serious|dangerous|wrong|of concern)|(?:little|not much) to (?:worry|fear|be concerned)|"
        r"(?:don't|do not|needn't|need not) (?:worry|be concerned)|"
        r"no (?:danger|risk(?! factor))|(?:not|isn't) (?:dangerous|serious|worrying|a concern)|"
        r"(?:you are|you're|looks|spot is|mole is|it is|it's) (?:perfectly |completely )?(?:fine|safe|normal|healthy)|"
        r"(?<!cannot )(?<!can't )(?<!not )(?<!not be )rule[sd]? out|"
        rf"(?:un|not |im)(?:likely|probable)(?: \w+){{0,4}} {_BAD}|"
        rf"{_BAD}(?: \w+){{0,3}} (?:un|not |im)(?:likely|probable)|"
        r"(?:normal|ordinary|common|innocent) (?:mole|spot|skin|lesion)s?|"
        r"not (?:be )?(?:needed|necessary|required|urgent)|"
        r"(?<!not )(?<!n't )wait(?: \w+){0,4} (?:years?|months?|weeks?|before|until|and see)|(?:can|may|could) wait|"
        r"no (?:doctor|appointment|check-?up|examination|visit)(?: \w+){0,3} (?:needed|necessary|required)|"
        r"(?:skip|cancel|postpone|delay|avoid|put off)(?: \w+){0,3} (?:doctor|dermatologist|appointment|visit))\b"
    ),
    diagnosis=(
        r"\b(?:you have|(?:this|it|spot|lesion|mole|picture|image|photo(?:graph)?)(?: is|'s| (?:must|will|would) be)|"
        r"diagnos\w+ (?:is|of|as|with)|suffer\w* from|(?:consistent|compatible) with|"
        r"(?:confirm|prove|show|indicate|reveal|establish|mean)(?:s|ed|ing)?)"
        r"(?: (?:a|an|the|clearly|likely|probably|certainly|definitely|almost|most|early|invasive|skin|basal cell|"
        r"squamous cell|seborrho?eic|actinic|dysplastic|typical|case of))*"
        r" (?:melanomas?|carcinomas?|cancer|cancerous|malignant|na?evus|keratos[ie]s|angioma|dermatofibroma)\b"
    ),
    treatment=(
        r"\b(?:(?:chemo|radio|immuno|cryo)therap\w*|radiation|imiquimod|fluorouracil|antibiotics?|\w*steroids?|"
        r"cortisone|ointments?|creams?|lotions?|prescri\w+|dosage|home remed\w+|vitamins?|aspirin|ibuprofen|"
        r"black salve|cauteri\w+|lasers?|treat(?:ed|ment)?(?: it| this| the \w+)? (?:with|by|consists|requires)|"
        r"(?:spot|lesion|mole|it|this|that|you|skin)(?: \w+)? (?:should|must|needs?|has|have|ought|will)(?: \w+){0,4}"
        r" (?:remov|excis|biops|surg|operat|treat|cut out|frozen|burn)\w*|"
        r"(?:have|get) (?:it|this|the \w+)(?: \w+)? (?:removed|excised|cut out|treated|frozen)|"
        r"(?:recommend|advise|suggest)\w*(?: \w+){0,4} (?:remov|excis|biops|surg|operat|treat)\w*)\b"
    ),
    contradiction=(
        r"\b(?:(?:figure|number|calculation|result|estimate|risk|probability|score|percentage|level)s?(?: \w+){0,3}"
        r" (?:wrong|incorrect|inaccurate|mistaken|unreliable|too (?:low|high))|(?:under|over)(?:estimat|stat)\w+|"
        r"(?:actual|true|real) (?:risk|probability|chance|figure|level)|"
        r"(?:low|high|small|larg|great)er than (?:calculated|shown|stated|given|reported|th(?:is|at|e) \w+|what)|"
        r"(?:ignore|disregard) (?:the|this|that|these|all))\b"
    ),
    spelled_number=(
        rf"\b(?:{_COUNT}[ -](?:percent|per cent|times|in {_COUNT}|out of {_COUNT})|{_COUNT}-?fold|twice|"
        r"(?:doubl|tripl)(?:es|ed|ing)|half of|(?:a|one) (?:third|quarter|fifth|tenth|hundredth) of|"
        r"every (?:second|third|fourth|fifth|tenth|hundredth))\b"
    ),
    levels={
        "low": "low|minimal|negligible|tiny|very small",
        "moderate": "moderate|medium|intermediate",
        "high": "high",
    },
    risk="risk|level|chance|probability|likelihood",
    melanoma_only=r"\bmelanomas?\b",
    any_cancer=r"\b(?:skin )?cancers?\b|\bmalignan\w+",
    bounded=r"\b(?:between|to|range|interval|at (?:least|most)|less|more|up|below|above|under|over)\b",
    function_words=(
        "the a an of and or to in is are was were it this that these your you for with by on as most more than not be "
        "can from which have has at how what when why should do does there their they but so also if because"
    ),
)

_ZAHL = "(?:zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|zwanzig|dreißig|vierzig|fünfzig|hundert|tausend)"
_KREBS = r"(?:melanom|basaliom|basalzell|plattenepithel|spinaliom|karzinom|(?:haut)?krebs|tumor)\w*"
_WEG = r"(?:entfern|heraus(?:ge)?schn|aus(?:ge)?schn|weg(?:ge)?schn|operier|exzidier|biopsier|behandel|vereis)\w*"
_FLECK = r"(?:fleck|leberfleck|muttermal|hautmal|hautstelle|stelle|läsion)\w*"
GERMAN = Phrases(
    reassurance=(
        r"\b(?:entwarnung|un(?:nötig|notwendig)\w*|überflüssig\w*|(?:praktisch|fast|gleich|nahezu) null|"
        rf"unwahrscheinlich\w*(?: \w+){{0,4}} (?:{_KREBS}|bösartig|gefährlich)|"
        rf"{_KREBS}(?: \w+){{0,3}} unwahrscheinlich|"
        r"(?:normal|gewöhnlich|einfach)\w* (?:muttermal|leberfleck|fleck|mal)\w*|"
        r"(?:arzt|ärzt|termin|untersuch)\w*(?: \w+){0,3} (?:ab)?warten|(?<!nicht )(?<!nicht zu )abwarten|"
        r"entspann\w*|nicht auffällig\w*|(?:kein\w*|nichts?) (?:\w+ )?(?:angst|alarm\w*)|"
        r"(?:arzt|ärzt)\w*(?: \w+){0,2} (?:muss|müssen|braucht|brauchen)(?: \w+){0,3} nicht|"
        r"harmlos\w*|unbedenklich\w*|ungefährlich\w*|unauffällig\w*|gutartig\w*|gute nachricht\w*|"
        r"beruhig\w+|krebsfrei\w*|sorglos\w*|"
        rf"(?:kein|ohne)\w*(?: (?:an)?zeichen| hinweise?n?| anhalt\w*| verdacht)?(?: (?:für|auf|von))?(?: ein\w*)?"
        rf"(?: (?:schwarz|weiß)\w+)? {_KREBS}|"
        r"(?:nicht|weder|nie)(?: \w+)? (?:bösartig|gefährlich|schlimm|ernst|bedenklich|besorgniserregend|krebs)\w*|"
        rf"nicht(?: um)? ein\w* {_KREBS}|"
        r"kein\w* (?:grund|anlass|sorgen?|gefahr|risiko|bedenken)|nichts (?:schlimmes|ernstes|gefährliches|böses)|"
        r"(?:müssen|muss|brauchen|braucht)(?: \w+){0,3} (?:nicht|kein\w*)(?: \w+){0,3}"
        r" (?:arzt\w*|ärzt\w+|hautarzt|hautärzt\w+|dermatolog\w+|untersuch\w+|kontroll\w+|abklär\w+|sorgen)|"
        r"(?:kein|nicht)\w*(?: \w+){0,3} (?:nötig|notwendig|erforderlich)|"
        r"alles (?:in ordnung|gut|bestens|okay|ok|normal)|"
        rf"(?:{_FLECK}|er|es|das|haut|sie) (?:ist|sind|sieht|wirkt|scheint)(?: \w+){{0,2}}"
        r" (?:normal|gesund|in ordnung|unproblematisch|gut aus)|"
        r"(?<!nicht )(?:ausgeschlossen|auszuschließen)|schließ(?:t|en)(?: (?!nicht\b)\w+){1,5} aus|"
        r"(?:kann|können|lässt)(?: (?!nicht\b|nie\b)\w+){1,5} ausschließen|"
        r"(?:termin|arztbesuch)\w*(?: \w+){0,5} (?:absagen|verschieben|aufschieben))\b"
    ),
    diagnosis=(
        rf"\b(?:sie haben|(?:dies|das|dieses|es|er|bild|aufnahme|foto|{_FLECK}) (?:ist|zeigt)|"
        r"diagnose(?: (?:lautet|ist|heißt))?:?|"
        r"handelt (?:es )?sich(?: \w+){0,2} um|leiden (?:sie )?an|erkrankt(?: \w+)? an|"
        r"(?:bestätig|beweis|beleg|zeig)(?:t|en))"
        r"(?: (?:ein\w*|der|die|das|wohl|vermutlich|wahrscheinlich|sicher|eindeutig|klar|früh\w*|schwarz\w*|weiß\w*|"
        r"hier|bereits|ist|mit|als|typisch\w*|seborrhoisch\w*|aktinisch\w*))*"
        rf" (?:{_KREBS}|bösartig\w*|malign\w*|nävus|naevus|keratose|angiom|dermatofibrom)\b"
    ),
    treatment=(
        r"\b(?:(?:chemo|strahlen|immun|kryo|licht)therapie\w*|bestrahl\w+|imiquimod|fluorouracil|antibioti\w+|"
        r"[kc]ortison\w*|"
        r"salben?|cremes?|tabletten?|hausmittel\w*|vitamine?|laser\w*|verschreib\w+|verschrieben|"
        r"medikamente? (?:ein)?nehmen|behand\w+ (?:mit|durch)|"
        rf"(?:{_FLECK}|er|es|sie|das|dies)(?: \w+)? (?:sollten?|muss|müsste|müssen|soll|gehört)(?: \w+){{0,5}} {_WEG}|"
        rf"lassen sie(?: \w+){{0,5}} {_WEG}|(?:empfehl|empfiehl|rate)\w*(?: \w+){{0,5}} {_WEG})\b"
    ),
    contradiction=(
        r"\b(?:(?:zahl|wert|berechnung|ergebnis|schätzung|risiko|wahrscheinlichkeit|stufe)\w*(?: \w+){0,3}"
        r" (?:falsch|fehlerhaft|ungenau|unzuverlässig|zu (?:hoch|niedrig|gering))|(?:unter|über)schätz\w*|"
        r"(?:niedrig|gering|klein|höh|größ)er als (?:berechnet|angegeben|gezeigt|hier|"
        r"d\w+ (?:zahl|berechnung|wert)\w*)|"
        r"(?:tatsächlich|wirklich|wahr)\w* (?:risiko|wahrscheinlichkeit|gefahr|stufe)|(?:ignorier|missacht)\w+)\b"
    ),
    spelled_number=(
        rf"\b(?:(?:ein|{_ZAHL})\w* prozent|{_ZAHL}(?:[ -]?mal|fach\w*)|ein\w* von {_ZAHL}|{_ZAHL} von {_ZAHL}|"
        r"doppelt\w*|verdoppel\w*|verdreifach\w*|(?:die )?hälfte|(?:drittel|viertel|fünftel|zehntel|hundertstel)|"
        r"jede\w* (?:zweite|dritte|vierte|fünfte|zehnte|hundertste)\w*)\b"
    ),
    levels={
        "low": r"niedrig\w*|gering\w*|minimal\w*|klein\w*|vernachlässigbar\w*",
        "moderate": r"mäßig\w*|mittel|mittler\w*|mittelhoh\w*|moderat\w*",
        "high": r"hoch|hohe\w?",
    },
    risk=r"(?:\w+)?risiko|(?:risiko)?stufe|einstufung|(?:\w+)?wahrscheinlichkeit|gefahr",
    melanoma_only=r"\b(?:melanom\w*|schwarz\w+ hautkrebs)\b",
    any_cancer=r"\b(?:haut)?krebs\w*|\bbösartig\w*",
    bounded=r"\b(?:zwischen|bis|spanne|bereich|mindestens|höchstens|weniger|mehr|unter|über)\b",
    function_words=(
        "der die das und oder zu in ist sind ein eine einer eines einen einem den dem des von mit für auf als ihr ihre "
        "ihrer ihren sie wie am im bei nicht kann aus hat haben wurde wird weil dieser diese dieses sollte soll werden "
        "wann was warum auch es an durch dass"
    ),
)

PHRASES = {"en": ENGLISH, "de": GERMAN}
"""Every text is matched against both, whatever the requested language: a text in the other one must not pass unread."""


def contains(pattern: str, text: str) -> bool:
    """Whether a pattern occurs in a text, ignoring commas, brackets and quotation marks between words."""
    words = " ".join(re.sub(r"[,;:()\"…]", " ", text).split())
    return re.search(pattern, words, re.IGNORECASE) is not None
