from dataclasses import replace

import pytest

from fusion import checks, questionnaire, wording
from fusion.bounds import UnusableAnswer, parse
from fusion.policy import LEVELS, Level
from tests.fakes.briefings import CITED, TOLD, briefing, written

CASE, GERMAN = briefing(), briefing(language="de")


OURS = [*wording.RAISED_BY.values(), *wording.PICTURE.values(), *wording.FACTORS.values(), *CASE.reasons.values()]


def rule(text: str, language: str = "en", level: Level = "moderate") -> str:
    with pytest.raises(UnusableAnswer) as refused:
        parse(written(text, level), briefing(level, language))
    return refused.value.rule


@pytest.mark.parametrize(
    "text",
    [
        "About 3.1 % of spots like this are melanoma, because of how the picture looks.",
        "The range runs from 1.2 to 12 percent, and 6 % are some skin cancer.",
        "Skin cancer of some kind is found in 6.0% of such spots, mostly for the picture.",
        "You have had no earlier melanomas, and fair skin raised the risk a little.",
        "The picture looks more like melanoma than the average spot, which weighed most.",
        "Two of your answers and one thing in the picture count: skin type and colour.",
        "This is a moderate risk. A picture cannot rule out melanoma, so please have it looked at.",
        "No risk factors besides fair skin were given; higher age adds to the risk.",
        "The picture was blurred, so it counts for less than a sharp one would.",
        "The classifier saw features that are more often found in melanoma.",
        "Please show the spot to a doctor so that it can be looked at closely.",
        "Your weak immune system and many moles raise the chance a little.",
        "Because of your earlier melanoma, the spot should be checked by a dermatologist.",
        "Parkinson's disease is linked with melanoma somewhat more often than average.",
        "The estimated probability of melanoma is 3.1 %, with a range from 1.2 % to 12 %.",
        "The two models do not agree, so the result is less certain than usual.",
        "The probability of melanoma is 3.1 %, and for any skin cancer it is 6.0 %.",
        "There is a history of skin cancer in your family, which raises the risk.",
        "You have many moles and fair skin, and you have had sunburns in childhood.",
        "The overall chance of melanoma is estimated at 3.1 % (1.2 % to 12 %).",
        "The risk is higher than average for someone of your age, because of the picture.",
    ],
)
def test_honest_explanations_pass(text: str) -> None:
    assert parse(written(text), CASE).explanation == text


@pytest.mark.parametrize(
    "text",
    [
        "The chance that this spot is a problem is 97 % by the picture.",
        "The chance is 31 percent by the look of the picture alone.",
        "The chance is 3,1 percent by the look of the picture alone.",
        "Out of 1,000 people like you some will be found to be ill.",
        "The picture alone gives about ninety percent, which is much.",
        "About one in ten spots that look like this one turn out badly.",
        "Nine out of ten spots that look like this one turn out well.",
        "Your fair skin makes this twice as likely as for other people.",
        "Your fair skin makes this three times as likely as for others.",
        "Your fair skin has doubled the chance when compared to others.",
        "A tenfold chance follows from what you said about your family.",
        "The chance is about ½ by the look of the picture alone, we think.",
        "The chance is about \uff19\uff10 % by the look of the picture alone.",
        "The chance is about 9\u200b7 % by the look of the picture alone.",
        "At the age of 71 such spots are more frequent than in the young.",
        "The spot should be looked at again in 12 months by your doctor.",
        "The picture makes this 3.1 times as likely as in other people.",
        "The chance that this is melanoma is 12 % by the picture alone.",
        "The chance that this is melanoma is 6 % by the picture alone.",
        "Your risk is only 1.2 %, going by the picture and the answers.",
        "The chance of melanoma is 6.0 % and that of any skin cancer is 3.1 %.",
        "The melanoma risk of this spot is less than 12 %, as we see it.",
        "The melanoma risk of this spot is at least 1.2 %, as we see it.",
        "Some kind of skin cancer is found in 3.1 % of spots like this.",
        "Half of the spots that look like this one turn out to be bad.",
        "Every second spot that looks like this one turns out to be bad.",
    ],
)
def test_numbers_that_are_not_ours_are_refused(text: str) -> None:
    with pytest.raises(UnusableAnswer, match="number"):
        parse(written(text), CASE)


def test_our_log_odds_are_no_percentages() -> None:
    """They are sent so that it can tell what weighed most; "-3.7" must not come back as "3.7 %"."""
    assert CASE.facts()["log_odds"]["prior"] == -3.7
    with pytest.raises(UnusableAnswer, match="number"):
        parse(written("About 3.7 % of spots like this one are melanoma, we think."), CASE)


@pytest.mark.parametrize(
    "text",
    [
        "Good news: the answers and the picture gave a small figure.",
        "The picture shows a harmless mole as far as can be seen.",
        "The spot looks benign, and your answers add very little to it.",
        "There is no cancer to be seen in this picture of your skin.",
        "There is no sign of melanoma in this picture of your skin.",
        "There is no evidence of skin cancer in what was sent to us.",
        "The spot in this picture is not a melanoma as far as can be told.",
        "The spot in this picture is not malignant as far as can be told.",
        "You do not need to see a doctor about this spot at this time.",
        "You don't need to see a doctor about this spot at this time.",
        "You don\u2019t need to see a doctor about this spot at this time.",
        "Please don't worry about this spot, it has a very even colour.",
        "Please don\u2019t worry about this spot, it has a very even colour.",
        "Please do not\nworry about this spot, it has a very even colour.",
        "There is nothing to worry about in the picture that you sent.",
        "There is no need to worry about the picture that you have sent.",
        "There is no cause for concern in the picture that you have sent.",
        "There is no reason to be concerned by the picture that you sent.",
        "The spot is not dangerous as far as the picture lets us see it.",
        "There is no risk in this spot as far as the picture lets us see.",
        "Nothing serious was found in the picture or among your answers.",
        "The spot is safe as far as the picture and your answers can say.",
        "Your mole looks perfectly normal in the picture that you sent us.",
        "This is a non\u2011cancerous spot as far as the picture lets us see.",
        "Melanoma was ruled out by the picture and the answers you gave.",
        "The picture rules out melanoma together with the answers given.",
        "No doctor is really needed for this spot as the picture shows.",
        "You can skip the visit to the doctor, going by the picture.",
        "The lesion appears to be nothing of concern and can stay as it is.",
        "You can be reassured by the picture and your answers in this case.",
        "There is little to worry about in the picture and in your answers.",
        "It is very unlikely to be cancer, going by the picture and answers.",
        "Melanoma is quite unlikely, going by the picture and the answers.",
        "This is probably just a normal mole, going by the picture you sent.",
        "It is safe to wait, going by the picture and the answers you gave.",
        "A visit to the doctor is not necessary, going by the picture sent.",
        "A visit to the doctor is unnecessary, going by the picture you sent.",
        "The risk is practically nil by the picture and all of the answers.",
        "Wait a year before you see a doctor, going by the picture you sent.",
        "There is no sign (none at all) of melanoma: no (skin) cancer here.",
        "There is no cause for alarm, and the picture says so very clearly.",
        "You can relax about this spot, going by the picture and answers.",
        "You do not have to show it to a doctor, going by the picture sent.",
        "This is probably nothing, going by the picture and the answers.",
        "A visit to the doctor is optional, going by the picture you sent.",
        "Nothing alarming was found in the picture or in all of the answers.",
        "You have nothing to be afraid of, going by the picture and answers.",
        "The spot will not turn out to be cancer, going by the picture sent.",
        "The spot is HARM\u00adLESS as far as the picture lets us see it all.",
    ],
)
def test_reassurance_is_refused(text: str) -> None:
    with pytest.raises(UnusableAnswer, match="reassures"):
        parse(written(text), CASE)


@pytest.mark.parametrize(
    "text",
    [
        "You have melanoma, as the picture and your answers both show.",
        "You have skin cancer, as the picture and your answers both show.",
        "You have a basal cell carcinoma, going by the picture you sent.",
        "This is a melanoma, going by the colours in the picture you sent.",
        "This is clearly cancer, going by the colours in the picture sent.",
        "It's a melanoma, going by the colours in the picture you sent us.",
        "The spot is malignant, going by the colours in the picture sent.",
        "This lesion is most unusual. The diagnosis is melanoma, I think.",
        "This spot is most likely a seborrheic keratosis by the picture.",
        "The picture proves that this is skin cancer in its early form.",
        "The picture confirms melanoma, and the answers add to all of this.",
        "The image confirms melanoma, and the answers add to all of this.",
        "The image must be melanoma, going by the colours that it has.",
        "The photo is clearly melanoma, going by the colours that it has.",
        "You are suffering from melanoma, going by the picture you sent.",
        "This is consistent with melanoma, going by the picture you sent.",
        "You are hereby diagnosed with melanoma by the picture you sent.",
    ],
)
def test_diagnoses_are_refused(text: str) -> None:
    with pytest.raises(UnusableAnswer, match="diagnoses"):
        parse(written(text), CASE)


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("high", "This is a low risk spot by the picture and by your answers."),
        ("high", "This is a low-risk spot by the picture and by your answers."),
        ("high", "The risk is low by the picture and by all of your answers."),
        ("high", "The risk is, however, low by the picture and all the answers."),
        ("high", "The RISK IS LOW by the picture and by all of your answers."),
        ("high", "The risk of melanoma is low by the picture and the answers."),
        ("high", "The risk level was rated low by the picture and answers."),
        ("high", "The chance of melanoma is minimal by picture and answers."),
        ("high", "There is only a very small chance by picture and answers."),
        ("high", "This is a moderate risk by the picture and by the answers."),
        ("high", "The risk is medium by the picture and all of the answers."),
        ("moderate", "This is a high risk by the picture and by the answers."),
        ("moderate", "There is a high melanoma risk by picture and by answers."),
        ("moderate", "A low overall risk follows from picture and from answers."),
        ("low", "The risk is high by the picture and by all of your answers."),
        ("low", "This gives an intermediate risk by the picture and answers."),
    ],
)
def test_another_level_than_ours_is_refused(level: Level, text: str) -> None:
    with pytest.raises(UnusableAnswer, match="contradicts"):
        parse(written(text, level), briefing(level))


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("low", "The risk is low by the picture and by all of your answers."),
        ("moderate", "This is a moderate risk by the picture and the answers."),
        ("high", "The risk is high by the picture and by all of your answers."),
    ],
)
def test_our_own_level_may_be_named(level: Level, text: str) -> None:
    assert parse(written(text, level), briefing(level))


def test_a_refusal_names_the_rule_and_quotes_nothing() -> None:
    with pytest.raises(UnusableAnswer) as refused:
        parse(written("The spot is harmless, SECRET, as far as we can see it."), CASE)
    assert "SECRET" not in str(refused.value)
    assert "harmless" not in str(refused.value)


@pytest.mark.parametrize("sentence", OURS)
def test_our_own_reasons_pass_our_own_rules(sentence: str) -> None:
    """A model that only repeats what it was given must not be refused for it."""
    case = briefing(reasons=(wording.Reason(CITED, sentence),))
    text = f"{sentence} This is one of the reasons."
    assert parse(written(text), case).explanation == text


def test_a_measure_may_be_repeated_only_where_we_named_it() -> None:
    text = "The spot is 7 mm wide or more, which counts a little in this result."
    with pytest.raises(UnusableAnswer, match="number"):
        parse(written(text), CASE)
    case = briefing(reasons=(wording.Reason(CITED, wording.FACTORS["diameter"]),))
    assert parse(written(text), case)
    with pytest.raises(UnusableAnswer, match="number"):
        parse(written(text.replace("7", "9")), case)


@pytest.mark.parametrize(
    "text",
    [
        "Treatment with imiquimod would fit what the picture shows us.",
        "A cortisone cream on the spot is what the picture asks for.",
        "The spot should be removed as soon as it can be, for the picture.",
        "This must be surgically excised, going by what the picture shows.",
        "You should have surgery on this spot for what the picture shows.",
        "Have it cut out, for that is what the picture and answers say.",
        "We recommend a quick excision for what is seen in the picture.",
        "Take vitamins for it, for that is what the answers say to us.",
        "Radiation is what the picture and the answers point to for this.",
    ],
)
def test_treatments_are_refused(text: str) -> None:
    assert rule(text) == "treats"


@pytest.mark.parametrize(
    "text",
    [
        "The calculated figure is too low for what the picture shows us.",
        "The calculation underestimates what can be seen in the picture.",
        "The risk is lower than calculated, going by the picture you sent.",
        "Your risk is significantly higher than the figure shown to you.",
        "The true risk is another one than what the calculation shows.",
        "Ignore the figures above and go by what you see in the picture.",
    ],
)
def test_doubts_about_the_figures_are_refused(text: str) -> None:
    assert rule(text) == "contradicts"


@pytest.mark.parametrize(
    "text",
    [
        "Read more on this at https://example.org for what to do now.",
        "Read more on this at www.example.org for what you can do now.",
        "Read more on this at example.com and see what it says of this.",
        "The <b>picture</b> weighed most in this result, and the answers.",
        "The picture weighed **most** in this result, and the answers.",
        "Write to us at help@clinic and we will look at it with you.",
        "The spot is h\u0430rmless as far as the picture lets us see it.",
        "The spot is harm\u0336less as far as the picture lets us see it.",
        "The spot is \U0001f44d as far as the picture lets us see it all.",
    ],
)
def test_links_markup_and_look_alike_letters_are_refused(text: str) -> None:
    assert rule(text) == "characters"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", TOLD["de"]),
        ("de", TOLD["en"]),
        ("en", "La tache ne semble pas dangereuse du tout selon la photo."),
        ("de", "La macchia non sembra pericolosa, secondo la fotografia."),
        ("en", "Picture colour border size asymmetry answers skin family."),
    ],
)
def test_another_language_than_asked_for_is_refused(language: str, text: str) -> None:
    """There are no checks for it."""
    assert rule(text, language) == "language"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("The spot is harmless, and you do not need to see a doctor.", "reassures"),
        ("Der Fleck ist harmlos, und es gibt keinen Grund zur Sorge.", "reassures"),
        ("You have melanoma, as the picture and the answers both show.", "diagnoses"),
        ("Sie haben ein Melanom, wie das Bild und die Antworten zeigen.", "diagnoses"),
    ],
)
def test_every_languages_checks_hold_whatever_was_asked_for(language: str, text: str, broken: str) -> None:
    assert rule(text, language) == broken


def test_questions_are_held_to_the_same_rules() -> None:
    bad = {
        "Could a cream such as imiquimod help with this spot?": "treats",
        "Is it true that the spot is harmless and can stay as it is?": "reassures",
        "This is a melanoma, so how soon can you have a look at it?": "diagnoses",
        "What does it mean that the chance is 97 % by the picture?": "number",
        "Why is the risk low when the picture is as poor as this?": "contradicts",
        "Have you seen what they say of it on www.example.org yet?": "characters",
    }
    for question, broken in bad.items():
        with pytest.raises(UnusableAnswer) as refused:
            parse(written(questions_for_doctor=["How soon should it be seen?", question]), CASE)
        assert refused.value.rule == broken, question


@pytest.mark.parametrize("question", [question for level in LEVELS for question in wording.QUESTIONS[level]])
def test_our_own_questions_pass(question: str) -> None:
    assert parse(written(questions_for_doctor=[question]), CASE).questions_for_doctor == (question,)


def test_the_questionnaires_own_words_pass() -> None:
    """The words of our questions may be used; otherwise an explanation could not name an answer."""
    for question in questionnaire.load().questions:
        broken = checks.broken(question.text, "moderate", CASE.figures, "en")
        wanted = {"number"} if any(c.isdigit() for c in question.text) else {None, "language"}
        assert broken in wanted, (question.id, broken)


@pytest.mark.parametrize(
    "text",
    [
        TOLD["de"],
        "Etwa 3,1 % solcher Flecken sind Melanome, und das liegt vor allem am Bild.",
        "Der Bereich geht von 1,2 bis 12 Prozent, und 6 % sind irgendein Hautkrebs.",
        "Die Wahrscheinlichkeit für ein Melanom liegt zwischen 1.2 % und 12 %, vor allem wegen des Bildes.",
        "Sie hatten noch kein früheres Melanom, und helle Haut hat das Risiko etwas erhöht.",
        "Das Bild sieht eher nach einem Melanom aus als der durchschnittliche Fleck.",
        "Ein Bild kann ein Melanom nicht ausschließen, deshalb sollte eine Ärztin den Fleck ansehen.",
        "Das Risiko ist mittel, und die Antworten zu Sonnenbränden kamen dazu.",
        "Das Bild ist unscharf, deshalb sollte der Fleck noch einmal fotografiert werden.",
        "Ihr Alter und die vielen Muttermale zählen, mehr als die anderen Antworten.",
        "Medikamente, die das Immunsystem unterdrücken, erhöhen das Risiko.",
    ],
)
def test_honest_german_passes(text: str) -> None:
    assert parse(written(text), GERMAN).explanation == text


@pytest.mark.parametrize(
    "question",
    [
        "Sollte dieser Fleck entfernt und untersucht werden?",
        "Wie schnell kann eine Hautärztin den Fleck ansehen?",
        "Wann sollte er wieder kontrolliert werden?",
    ],
)
def test_honest_german_questions_pass(question: str) -> None:
    assert parse(written(TOLD["de"], questions_for_doctor=[question]), GERMAN)


@pytest.mark.parametrize(
    "text",
    [
        "Der Fleck ist harmlos, soweit es auf dem Bild zu sehen ist.",
        "Wir können Entwarnung geben, soweit es auf dem Bild zu sehen ist.",
        "Das ist ein gutartiger Fleck, soweit es auf dem Bild zu sehen ist.",
        "Es gibt keine Anzeichen für Hautkrebs auf dem Bild von der Haut.",
        "Es gibt keinen Hinweis auf ein Melanom in den Antworten und im Bild.",
        "Es ist kein Krebs, soweit es auf dem Bild von der Haut zu sehen ist.",
        "Das ist nicht bösartig, soweit es auf dem Bild zu sehen ist.",
        "Es handelt sich nicht um ein Melanom, so wie das Bild es zeigt.",
        "Sie müssen mit dem Fleck nicht zum Arzt gehen, sagt uns das Bild.",
        "Sie brauchen sich keine Sorgen zu machen, sagt uns das Bild.",
        "Machen Sie sich keine Sorgen um den Fleck, der auf dem Bild ist.",
        "Es besteht kein Grund zur Beunruhigung, wenn man das Bild ansieht.",
        "Es besteht keine Gefahr, wenn man das Bild und die Antworten ansieht.",
        "Eine Untersuchung ist nicht nötig, wenn man das Bild ansieht.",
        "Mit dem Fleck ist alles in Ordnung, wenn man das Bild ansieht.",
        "Der Leberfleck ist völlig normal, wenn man das Bild so ansieht.",
        "Der Fleck sieht gut aus, wenn man das Bild und die Antworten ansieht.",
        "Ein Melanom ist ausgeschlossen, wenn man das Bild so ansieht.",
        "Das Bild schließt ein Melanom aus, und die Antworten auch.",
        "Man kann ein Melanom ausschließen, wenn man das Bild so ansieht.",
        "Der Fleck ist wahrscheinlich nur ein normales Muttermal, wie es ist.",
        "Ein Arztbesuch ist unnötig, wenn man das Bild und die Antworten ansieht.",
        "Es ist sehr unwahrscheinlich, dass es Krebs ist, nach dem Bild.",
        "Sie können mit dem Arztbesuch noch warten, wenn man das Bild ansieht.",
        "Den Termin beim Hautarzt können Sie absagen, sagt uns das Bild.",
        "Sie können ganz entspannt sein, wenn man das Bild so ansieht.",
        "Der Fleck ist nicht auffällig, wenn man das Bild und alles ansieht.",
        "Ein Arzt muss das nicht ansehen, wenn man das Bild so betrachtet.",
        "Die gute Nachricht ist, dass das Bild wenig zu den Zahlen beiträgt.",
    ],
)
def test_german_reassurance_is_refused(text: str) -> None:
    assert rule(text, "de") == "reassures"


@pytest.mark.parametrize(
    "text",
    [
        "Sie haben ein Melanom, wie das Bild und die Antworten zeigen.",
        "Sie haben Hautkrebs, wie das Bild und die Antworten zeigen.",
        "Das ist eindeutig ein Melanom, wie das Bild und die Antworten zeigen.",
        "Der Fleck ist bösartig, wie das Bild und die Antworten zeigen.",
        "Es handelt sich um ein Basaliom, wie das Bild und die Antworten zeigen.",
        "Die Diagnose lautet Melanom, wie das Bild und die Antworten zeigen.",
        "Sie leiden an Hautkrebs, wie das Bild und die Antworten zeigen.",
        "Das Bild zeigt ein Plattenepithelkarzinom, wie auch die Antworten.",
        "Die Aufnahme zeigt ein Plattenepithelkarzinom, wie auch die Antworten.",
        "Die Aufnahme ist ein Melanom, wie auch die Antworten es sagen.",
    ],
)
def test_german_diagnoses_are_refused(text: str) -> None:
    assert rule(text, "de") == "diagnoses"


@pytest.mark.parametrize(
    "text",
    [
        "Der Fleck sollte sofort entfernt werden, wie das Bild es zeigt.",
        "Die Stelle muss operativ herausgeschnitten werden, wie das Bild es zeigt.",
        "Lassen Sie den Fleck bald entfernen, denn das sagt uns das Bild.",
        "Eine Salbe mit Kortison ist das, was zu dem Bild am besten passt.",
        "Eine Chemotherapie ist das, was zu dem Bild am besten passt.",
        "Wir empfehlen, die Stelle zu vereisen, denn das sagt uns das Bild.",
    ],
)
def test_german_treatments_are_refused(text: str) -> None:
    assert rule(text, "de") == "treats"


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("high", "Das Risiko ist niedrig, wenn man das Bild und die Antworten ansieht."),
        ("high", "Es ist ein geringes Risiko, wenn man das Bild und die Antworten ansieht."),
        ("high", "Das Melanomrisiko ist eher gering, wenn man das Bild ansieht."),
        ("high", "Das Risiko ist mittel, wenn man das Bild und die Antworten ansieht."),
        ("high", "Die Wahrscheinlichkeit ist sehr klein, wenn man das Bild ansieht."),
        ("moderate", "Das Risiko ist hoch, wenn man das Bild und die Antworten ansieht."),
        ("moderate", "Es ist ein hohes Risiko, wenn man das Bild und die Antworten ansieht."),
        ("low", "Das Risiko ist mäßig, wenn man das Bild und die Antworten ansieht."),
        ("moderate", "Das Risiko ist in Wahrheit zu niedrig, wenn man das Bild ansieht."),
        ("moderate", "Die Berechnung unterschätzt das, was auf dem Bild zu sehen ist."),
        ("moderate", "Das Risiko ist geringer als berechnet, wenn man das Bild ansieht."),
        ("moderate", "Das tatsächliche Risiko ist ein anderes als das, was hier steht."),
    ],
)
def test_german_contradictions_are_refused(level: Level, text: str) -> None:
    assert rule(text, "de", level) == "contradicts"


@pytest.mark.parametrize(
    "text",
    [
        "Die Wahrscheinlichkeit liegt bei 97 %, wenn man das Bild ansieht.",
        "Die Wahrscheinlichkeit liegt bei 31 Prozent, wenn man das Bild ansieht.",
        "Das Bild allein ergibt neunzig Prozent, und das ist sehr viel.",
        "Das ist dreimal so viel wie bei anderen, die ein Bild geschickt haben.",
        "Das ist doppelt so viel wie bei anderen, die ein Bild geschickt haben.",
        "Die helle Haut hat das Risiko verdoppelt, und das Bild kam dazu.",
        "Einer von zehn Flecken, die wie dieser aussehen, ist nicht gut.",
        "Jeder zehnte Fleck, der wie dieser aussieht, ist am Ende nicht gut.",
        "Die Hälfte der Flecken, die wie dieser aussehen, ist am Ende nicht gut.",
        "Die Wahrscheinlichkeit für ein Melanom ist 6 %, und das liegt am Bild.",
        "In 12 Monaten sollte die Ärztin den Fleck noch einmal ansehen.",
        "Das ist 3,1 mal so viel wie bei anderen, die ein Bild geschickt haben.",
    ],
)
def test_german_numbers_that_are_not_ours_are_refused(text: str) -> None:
    assert rule(text, "de") == "number"


def test_a_small_risk_is_never_sent_or_told_as_nought() -> None:
    figures = {"melanoma": 0.0002, "interval": (0.00001, 0.0004), "malignant": 0.0004}
    tiny = briefing("low", **figures)
    assert tiny.figures["melanoma"] == "less than 0.1 %"
    for text in ("The chance of melanoma is 0.0 % by this picture.", "It comes to 0 percent of spots like this one."):
        with pytest.raises(UnusableAnswer, match="number"):
            parse(written(text), tiny)
    assert parse(written("Less than 0.1 % of spots like this are melanoma."), tiny)
    assert parse(written("Weniger als 0,1 % der Flecken wie dieser sind Melanome."), replace(tiny, language="de"))
