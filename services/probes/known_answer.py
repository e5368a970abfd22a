"""A known picture through the whole graph: whether the answer is still what it was. `melalog known-answer`.

Runs in the orchestrator's image by itself (k8s/components/known-answer), so: the standard library and httpx2. Answers
are kept by the models that gave them: another model is a release that nobody has recorded, and not drift.
"""

import argparse
import json
import math
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

SAME, MOVED, UNANSWERED, UNRECORDED = 0, 1, 2, 3
"""Exit statuses. The CronJob tries again after UNANSWERED alone."""
TOLERANCE = 0.1
"""In log-odds. Float32 and bfloat16 differ by 0.01 on the generated picture (measured); a level is a factor of 3."""
ANSWERS = {"age": 60, "many_moles": "yes", "family_skin_cancer": "yes"}
"""So that the questionnaire counts too: a photograph alone never lowers a risk below the prior."""
TIMEOUT_S = 60.0
SIDE = 256
LEVELS = ("low", "moderate", "high")


class Unanswered(Exception):  # noqa: N818
    """There is no whole answer; says why and what to do."""


@dataclass(frozen=True)
class Known:
    """What an answer comes down to. Probabilities are of melanoma, and `malignant` of any skin cancer."""

    level: str
    raisable: bool
    numbers: dict[str, float | None]


@dataclass(frozen=True)
class Question:
    """Whom to ask about what; `picture` None: a generated photograph. `key_file`: an API key, where it is there."""

    url: str
    picture: Path | None = None
    key_file: Path | None = None

    def ask(self) -> dict[str, Any]:
        """The assessment. Raises Unanswered."""
        key, image = self._key(), self._image()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        fields = {"questionnaire": json.dumps(ANSWERS), "modality": "auto" if self.picture else "photograph"}
        address = f"{self.url.rstrip('/')}/v1/assessments"
        try:
            answer = httpx2.post(
                address, files={"image": image}, data=fields, headers=headers, timeout=TIMEOUT_S, trust_env=False
            )
            body: dict[str, Any] = answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise Unanswered(
                f"no answer from {self.url} ({type(error).__name__}): is the orchestrator ready?"
            ) from None
        if answer.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            raise Unanswered("sign-in is required: give --key-file a key that `melalog keys new` made")
        if not answer.is_success:
            raise Unanswered(f"{answer.status_code} {body.get('title', '')}: {body.get('detail', '')}")
        try:
            models(body), known(body)
            missing = ", ".join(body["degraded"])
        except (KeyError, TypeError, AttributeError):
            raise Unanswered(f"what {self.url} answers is no assessment: is that an orchestrator's address?") from None
        if missing:
            raise Unanswered(f"the answer lacks {missing}: see GET /healthz/dependencies")
        return body

    def _key(self) -> str:
        if self.key_file is None or not self.key_file.exists():
            return ""
        try:
            key = self.key_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise Unanswered(f"{self.key_file} cannot be read, or holds no key that `melalog keys new` made") from None
        if not key.isprintable():
            raise Unanswered(f"{self.key_file} holds more than one key: it wants the key alone, on one line")
        return key

    def _image(self) -> tuple[str, bytes]:
        if self.picture is None:
            return "known.png", generated()
        try:
            return self.picture.name, self.picture.read_bytes()
        except OSError:
            raise Unanswered(f"{self.picture} cannot be read") from None


def generated() -> bytes:
    """A PNG of a brown spot on skin, made here so that the check needs no file."""
    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)
        for x in range(SIDE):
            inside = ((x - 120) / 62) ** 2 + ((y - 132) / 48) ** 2 < 1 + 0.12 * math.sin(0.13 * x) * math.cos(0.11 * y)
            shade = (x * 7 + y * 13) % 11
            rows += bytes((96 + shade, 58 + shade, 44 + shade) if inside else (222 - shade, 178 - shade, 156 - shade))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(rows))),
        (b"IEND", b""),
    )
    told = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def models(body: dict[str, Any]) -> str:
    """Which models and questions gave the answer: the key it is kept by."""
    found = body["findings"]
    parts = []
    for service in ("classifier", "vlm"):
        model = found[service]["model"] or {}
        parts.append(f"{service} {model.get('name')} {model.get('version')} {(model.get('sha256') or 'none')[:16]}")
    return "; ".join([*parts, f"questionnaire {found['questionnaire']['version']}"])


def known(body: dict[str, Any]) -> Known:
    """What is compared. What the hosted model writes is its own; it may raise a level by one step."""
    risk, found = body["risk"], body["findings"]
    numbers = {
        "risk.melanoma": risk["melanoma"],
        "risk.malignant": risk["malignant"],
        "classifier.melanoma": found["classifier"]["melanoma"],
        "classifier.malignant": found["classifier"]["malignant"],
        "vlm.melanoma": found["vlm"]["melanoma"],
    }
    return Known(risk["level"], body["fusion"]["engine"] == "llm", numbers)


def moved(before: dict[str, Any], now: Known, tolerance: float) -> list[str]:
    """What is not as it was, in words; empty when all is."""
    told = []
    if now.level != before["level"] and not (now.raisable and _one_up(before["level"], now.level)):
        told.append(f"risk.level {before['level']} -> {now.level}")
    for name, was in before["numbers"].items():
        value = now.numbers.get(name)
        if (was is None) != (value is None) or (was is not None and value is not None and _far(was, value, tolerance)):
            told.append(f"{name} {_shown(was)} -> {_shown(value)}")
    return told


def _one_up(before: str, now: str) -> bool:
    return LEVELS.index(now) - LEVELS.index(before) == 1


def _far(was: float, value: float, tolerance: float) -> bool:
    return abs(_logit(was) - _logit(value)) > tolerance


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def _shown(p: float | None) -> str:
    return "none" if p is None else f"{p:.4f}"


def read(file: Path) -> dict[str, Any]:
    """Recorded answers by models; none where there is no file. Raises Unanswered for one that is something else."""
    try:
        told = json.loads(file.read_text()) if file.exists() else {}
        if not all({"level", "numbers"} <= set(entry) for entry in told.values()):
            raise ValueError  # noqa: TRY301  (told below, with the other ways to be wrong)
    except (OSError, ValueError, AttributeError, TypeError):
        raise Unanswered(f"{file} holds no recorded answers: `melalog known-answer --record` writes it") from None
    return dict(told)


def check(question: Question, file: Path, tolerance: float = TOLERANCE) -> tuple[int, str]:
    """Ask and compare: an exit status, and a line that says what moved and by whom it was answered."""
    try:
        recorded = read(file)
        body = question.ask()
    except Unanswered as error:
        return UNANSWERED, str(error)
    by = models(body)
    if by not in recorded:
        others = "; ".join(recorded) or "nothing"
        return UNRECORDED, (
            f"answered by models that nobody recorded ({by}; recorded: {others}). "
            "If this release is meant, record its answer: melalog known-answer --record"
        )
    if told := moved(recorded[by], known(body), tolerance):
        return MOVED, f"the answer moved, by the same models ({by}): {', '.join(told)}"
    return SAME, f"as recorded, by {by}"


def record(question: Question, file: Path) -> str:
    """Add or replace the answer of the models in force, the others stay; returns which. Raises Unanswered."""
    recorded, body = read(file), question.ask()
    by, now = models(body), known(body)
    recorded[by] = {"level": now.level, "numbers": now.numbers}
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(json.dumps(recorded, indent=2) + "\n")
    unfinished.replace(file)
    return by


def main(arguments: Sequence[str] | None = None) -> int:
    """The check, as the CronJob runs it; the last line says what moved."""
    parser = argparse.ArgumentParser(prog="known_answer", description="Whether a known picture is answered as before.")
    parser.add_argument("url")
    parser.add_argument("expected", type=Path)
    parser.add_argument("--picture", type=Path, help="instead of the generated one")
    parser.add_argument("--key-file", type=Path, help="an API key; not sent where there is no such file")
    given = parser.parse_args(arguments)
    status, told = check(Question(given.url, given.picture, given.key_file), given.expected)
    print(told, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
