import asyncio
import base64
import io
import json
import math
import time
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageOps
from prometheus_client import REGISTRY

from models.vlm.serving.artifact import VlmArtifact, VlmManifest
from models.vlm.serving.preprocess import LLAMA
from services.common.deadline import Deadline
from services.common.errors import Overloaded, UnreadablePicture, UnsupportedPicture
from services.contracts import VerdictResponse
from services.vlm import core as verdict
from services.vlm.core import QUESTION, Verdicts, reencode
from services.vlm.engine.openai_server import OpenAIEngine
from services.vlm.engine.port import EngineFailure
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer
from tests.pictures import encode

PATIENT_S = 10.0
TOP = [("Yes", math.log(0.75)), (" no", math.log(0.15)), ("Maybe", math.log(0.05))]


class FakeEngine:
    """Answers with these tokens, or fails so, once `open` is set."""

    model = "fake"

    def __init__(self, outcome: list[tuple[str, float]] | Exception, *, held: bool = False) -> None:
        self.outcome, self.asked, self.closed = outcome, list[tuple[bytes, str, float]](), False
        self.open, self.arrivals = asyncio.Event(), asyncio.Queue[None]()
        if not held:
            self.open.set()

    async def first_token(self, picture: bytes, question: str, within_s: float) -> list[tuple[str, float]]:
        self.asked.append((picture, question, within_s))
        self.arrivals.put_nowait(None)
        await self.open.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def close(self) -> None:
        self.closed = True


def drawn(size: tuple[int, int] = (300, 200)) -> Image.Image:
    """A picture that looks different from every side."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0] // 2, size[1] // 2), fill="red")
    draw.rectangle((0, size[1] // 2, size[0] // 4, size[1]), fill="blue")
    return image


def private_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "SECRETCAMERA"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"SECRETPLACE"
    return exif


def judge(core: Verdicts, data: bytes, within_s: float = PATIENT_S) -> VerdictResponse:
    async def run() -> VerdictResponse:
        try:
            return await core.judge(data, Deadline.after(within_s))
        finally:
            await core.close()

    return asyncio.run(run())


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    histogram = ImageChops.difference(one.convert("L"), other.convert("L")).histogram()
    return sum(level * count for level, count in enumerate(histogram)) / sum(histogram)


def test_no_engine_is_unavailable_and_looks_at_nothing() -> None:
    answer = judge(Verdicts(None, decoders=1), b"not even a picture")
    assert (answer.status, answer.reason) == ("unavailable", "not_configured")
    assert (answer.answer, answer.confidence, answer.p_yes, answer.logprobs) == (None,) * 4


def test_a_verdict_is_scored_from_the_raw_distribution() -> None:
    engine = FakeEngine(TOP)
    answer = judge(Verdicts(engine, decoders=1), encode(drawn()))
    assert (answer.status, answer.reason, answer.answer) == ("ok", None, "Yes")
    assert answer.p_yes == answer.confidence == pytest.approx(0.75 / 0.9)
    assert answer.answer_mass == pytest.approx(0.9)
    assert answer.logprobs is not None
    assert (answer.logprobs.yes, answer.logprobs.no) == pytest.approx((math.log(0.75), math.log(0.15)))
    assert answer.model is not None
    assert answer.model.name == "fake"
    assert answer.melanoma is None, "nothing calibrated it, so it is no risk"
    assert answer.logit is None
    ((_, question, left),) = engine.asked
    assert question == QUESTION
    assert 0 < left <= PATIENT_S
    assert engine.closed


def test_unsure_is_an_answer() -> None:
    answer = judge(Verdicts(FakeEngine([("I", math.log(0.9)), ("Yes", math.log(0.05))]), 1), encode(drawn()))
    assert (answer.status, answer.answer, answer.confidence) == ("ok", "Unsure", None)
    assert answer.answer_mass == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (EngineFailure("timeout", "timeout"), "timeout", "timeout"),
        (EngineFailure("invalid", "logprobs_missing"), "invalid", "logprobs_missing"),
        (EngineFailure("unavailable", "connection"), "unavailable", "connection"),
        ([("Yes", 0.0), ("No", -9999.0)], "invalid", "not_a_distribution"),
        ([("Yes", math.nan)], "invalid", "not_a_distribution"),
        ([], "invalid", "not_a_distribution"),
    ],
)
def test_a_failure_is_a_status_with_nulls(
    outcome: Exception | list[tuple[str, float]], status: str, reason: str
) -> None:
    answer = judge(Verdicts(FakeEngine(outcome), decoders=1), encode(drawn()))
    assert (answer.status, answer.reason) == (status, reason)
    assert (answer.answer, answer.confidence, answer.p_yes, answer.logprobs, answer.answer_mass) == (None,) * 5
    assert answer.model is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode(drawn())[:1500],
        encode(drawn(), "PNG")[:-200],
        b"\xff\xd8\xff" + b"noise" * 100,
        encode(Image.new("RGB", (31, 200))),
    ],
    ids=["empty", "truncated JPEG", "truncated PNG", "noise", "too small"],
)
def test_a_picture_that_cannot_be_read_is_never_sent(data: bytes) -> None:
    engine = FakeEngine(TOP)
    with pytest.raises(UnreadablePicture):
        judge(Verdicts(engine, decoders=1), data)
    assert engine.asked == []


def test_another_format_is_never_sent() -> None:
    engine = FakeEngine(TOP)
    with pytest.raises(UnsupportedPicture):
        judge(Verdicts(engine, decoders=1), encode(drawn(), "GIF"))
    assert engine.asked == []


def test_no_time_left_for_decoding() -> None:
    engine = FakeEngine(TOP)
    with pytest.raises(TimeoutError):
        judge(Verdicts(engine, decoders=1), encode(drawn()), within_s=0.0)
    assert engine.asked == []


def test_a_silent_engine_is_a_timeout_in_time() -> None:
    started = time.monotonic()
    with OpenAIServer(fake.silent) as server:
        answer = judge(Verdicts(OpenAIEngine(server.base_url, "m"), decoders=1), encode(drawn()), within_s=0.6)
    assert (answer.status, answer.reason) == ("timeout", "timeout")
    assert time.monotonic() - started < 4


def test_too_many_waiting_are_shed_and_the_next_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "MAX_WAITING", 3)
    data = encode(drawn())

    async def run() -> None:
        engine = FakeEngine(TOP, held=True)
        core = Verdicts(engine, decoders=1)
        waiting = [asyncio.create_task(core.judge(data, Deadline.after(PATIENT_S))) for _ in range(3)]
        for _ in waiting:
            await engine.arrivals.get()
        with pytest.raises(Overloaded):
            await core.judge(data, Deadline.after(PATIENT_S))
        engine.open.set()
        assert {answer.status for answer in await asyncio.gather(*waiting)} == {"ok"}
        assert (await core.judge(data, Deadline.after(PATIENT_S))).status == "ok"
        await core.close()

    asyncio.run(run())


def test_failures_and_cancelled_callers_give_their_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "MAX_WAITING", 1)

    async def run() -> None:
        engine = FakeEngine(TOP, held=True)
        core = Verdicts(engine, decoders=1)
        with pytest.raises(UnreadablePicture):
            await core.judge(b"", Deadline.after(PATIENT_S))
        gone = asyncio.create_task(core.judge(encode(drawn()), Deadline.after(PATIENT_S)))
        await engine.arrivals.get()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        engine.open.set()
        assert (await core.judge(encode(drawn()), Deadline.after(PATIENT_S))).status == "ok"
        await core.close()

    asyncio.run(run())


def test_what_leaves_the_house_is_a_fresh_upright_jpeg_and_nothing_else() -> None:
    """Out of a rotated 16-megapixel photograph that says where it was taken."""
    photograph = encode(drawn((4000, 2000)), exif=private_exif(orientation=6), comment=b"SECRETCOMMENT")
    assert b"SECRETCAMERA" in photograph
    with OpenAIServer(fake.verdict(TOP)) as server:
        answer = judge(Verdicts(OpenAIEngine(server.base_url, "melalog"), decoders=1), photograph)
    assert answer.status == "ok"
    (request,) = server.requests
    sent = json.dumps(request.body)
    assert "http://" not in sent
    assert "https://" not in sent
    assert request.body["model"] == "melalog"
    image, text = request.body["messages"][0]["content"]
    assert text == {"type": "text", "text": QUESTION}
    head, _, body = image["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    jpeg = base64.b64decode(body, validate=True)
    for secret in (b"SECRET", b"Exif", b"GPS", b"http"):
        assert secret not in jpeg
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (560, LLAMA.size))
        assert not picture.getexif()
        assert not {"exif", "comment", "icc_profile", "photoshop", "xmp"} & set(picture.info)
        upright = drawn((4000, 2000)).transpose(Image.Transpose.ROTATE_270).resize(picture.size)
        assert mean_difference(picture, upright) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_made_upright(kind: str, orientation: int) -> None:
    exif = private_exif(orientation)
    turned = drawn()
    turned.getexif()[ExifTags.Base.Orientation] = orientation
    with Image.open(io.BytesIO(reencode(encode(drawn(), kind, exif=exif)))) as picture:
        expected = ImageOps.exif_transpose(turned)
        assert picture.size == expected.size
        assert mean_difference(picture, expected) < 3
        assert not picture.getexif()


@pytest.mark.parametrize(
    ("size", "sent"),
    [((300, 200), (300, 200)), ((1120, 1120), (1120, 1120)), ((1121, 40), (1120, 40)), ((2600, 1300), (1120, 560))],
)
def test_larger_pictures_shrink_and_smaller_ones_are_left(size: tuple[int, int], sent: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(reencode(encode(drawn(size))))) as picture:
        assert picture.size == sent


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("WEBP", "RGBA"),
        ("HEIF", "RGB"),
    ],
)
def test_every_accepted_picture_becomes_an_rgb_jpeg(kind: str, mode: str) -> None:
    source = Image.new("I;16", (300, 200)) if mode == "I;16" else drawn().convert(mode)
    with Image.open(io.BytesIO(reencode(encode(source, kind)))) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (300, 200))


class FakeRelease(VlmArtifact):
    """A release that stands in no folder."""

    sha256 = "0123456789ab"  # type: ignore[assignment]  # of what is in no file


def release(null_logit: float = 0.0, threshold: bool = True) -> VlmArtifact:
    cut = {"sensitivity_95": {"value": 0.06, "sensitivity": 0.95, "specificity": 0.4}}
    told = {
        "schema_version": 1,
        "name": "small",
        "version": "0.2.0",
        "purpose": "tests",
        "question": "Is it melanoma?",
        "input": {"size": 112, "geometry": "squash", "resample": "bilinear"},
        "calibration": {"slope": 0.5, "intercept": -1.0, "null_logit": null_logit},
        "fold": {"data": "d", "n": 9, "prevalence": 0.1, "logit_sd": 0.4},
        "thresholds": cut if threshold else {},
        "files": {},
        "licence": "none",
    }
    return FakeRelease(Path("nowhere"), VlmManifest.model_validate(told))


RAW = math.log(0.75 / 0.15)
"""Log-odds of Yes in TOP."""


def test_a_release_asks_its_own_question_about_its_own_view_and_calibrates() -> None:
    engine = FakeEngine(TOP)
    answer = judge(Verdicts(engine, 1, release(null_logit=RAW)), encode(drawn()))
    assert (answer.status, answer.answer) == ("ok", "Yes")
    assert answer.p_yes == pytest.approx(0.75 / 0.9), "raw values stay raw"
    assert answer.logit == pytest.approx(-1.0)
    assert answer.melanoma == pytest.approx(1 / (1 + math.e))
    assert (answer.prevalence, answer.logit_sd) == (0.1, 0.4)
    assert (answer.threshold_95, answer.specificity_95) == (0.06, 0.4)
    assert answer.model is not None
    assert (answer.model.name, answer.model.version, answer.model.sha256) == ("small", "0.2.0", "0123456789ab")
    assert {question for _, question, _ in engine.asked} == {"Is it melanoma?"}
    for sent, _, _ in engine.asked:
        with Image.open(io.BytesIO(sent)) as picture:
            assert (picture.format, picture.size) == ("PNG", (112, 112))


def test_the_engine_is_asked_about_nothing_once() -> None:
    engine = FakeEngine(TOP)

    async def run() -> None:
        core = Verdicts(engine, 1, release(null_logit=RAW))
        for _ in range(3):
            assert (await core.judge(encode(drawn()), Deadline.after(PATIENT_S))).status == "ok"
        await core.close()

    asyncio.run(run())
    assert len(engine.asked) == 4


@pytest.mark.parametrize("null_logit", [RAW - 0.5, RAW + 0.5, -5.0])
def test_another_model_under_the_same_name_is_not_called_calibrated(null_logit: float) -> None:
    """The base without its adapter, say: its Yes means something else, and a wrong "low" can kill."""
    answer = judge(Verdicts(FakeEngine(TOP), 1, release(null_logit)), encode(drawn()))
    assert (answer.status, answer.reason) == ("invalid", "other_model")
    assert (answer.melanoma, answer.answer, answer.p_yes) == (None, None, None)


def test_after_a_failure_the_engine_has_to_prove_itself_again() -> None:
    engine = FakeEngine(TOP)

    async def run() -> list[VerdictResponse]:
        core = Verdicts(engine, 1, release(null_logit=RAW))
        answers = [await core.judge(encode(drawn()), Deadline.after(PATIENT_S))]
        engine.outcome = EngineFailure("unavailable", "connection")
        answers.append(await core.judge(encode(drawn()), Deadline.after(PATIENT_S)))
        engine.outcome = [("Yes", math.log(0.01)), ("No", math.log(0.9))]  # somebody started another model
        answers.append(await core.judge(encode(drawn()), Deadline.after(PATIENT_S)))
        engine.outcome = TOP
        answers.append(await core.judge(encode(drawn()), Deadline.after(PATIENT_S)))
        await core.close()
        return answers

    assert [answer.reason for answer in asyncio.run(run())] == [None, "connection", "other_model", None]


def test_what_was_hardly_an_answer_is_no_risk() -> None:
    mostly_other = [("The", math.log(0.8)), ("Yes", math.log(0.1)), ("No", math.log(0.01))]
    engine = FakeEngine(TOP)

    async def run() -> VerdictResponse:
        core = Verdicts(engine, 1, release(null_logit=RAW))
        await core.judge(encode(drawn()), Deadline.after(PATIENT_S))
        engine.outcome = mostly_other
        answer = await core.judge(encode(drawn()), Deadline.after(PATIENT_S))
        await core.close()
        return answer

    answer = asyncio.run(run())
    assert (answer.status, answer.answer, answer.melanoma, answer.prevalence) == ("ok", "Unsure", None, None)


def test_a_release_without_a_threshold_has_none() -> None:
    answer = judge(Verdicts(FakeEngine(TOP), 1, release(RAW, threshold=False)), encode(drawn()))
    assert (answer.status, answer.threshold_95) == ("ok", None)


def test_operators_see_the_engines_state() -> None:
    def up() -> float | None:
        return REGISTRY.get_sample_value("melalog_vlm_engine_up")

    def failures() -> float:
        return REGISTRY.get_sample_value("melalog_vlm_engine_answers_total", {"outcome": "model_not_found"}) or 0.0

    before = failures()
    judge(Verdicts(FakeEngine(EngineFailure("unavailable", "model_not_found")), 1), encode(drawn()))
    assert (up(), failures() - before) == (0.0, 1.0)
    judge(Verdicts(FakeEngine(TOP), 1), encode(drawn()))
    assert (up(), failures() - before) == (1.0, 1.0)


@pytest.mark.parametrize(("outcome", "up"), [(TOP, 1.0), (EngineFailure("invalid", "garbage"), 0.0)])
def test_warming_up_asks_once_about_nothing_and_never_stops_the_start(
    outcome: list[tuple[str, float]] | EngineFailure, up: float
) -> None:
    engine = FakeEngine(outcome)

    async def run() -> None:
        core = Verdicts(engine, 1, release(null_logit=RAW))
        await core.warm_up()
        await core.close()

    asyncio.run(run())
    assert len(engine.asked) == 1
    assert REGISTRY.get_sample_value("melalog_vlm_engine_up") == up


def test_without_an_engine_there_is_nothing_to_warm_up() -> None:
    core = Verdicts(None, 1)
    asyncio.run(core.warm_up())
    assert judge(core, b"").reason == "not_configured"
