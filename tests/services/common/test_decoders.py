"""Decoding in threads: big pictures wait for each other, small ones for nobody big."""

import asyncio
import threading
import time

import pytest
from PIL import Image

from services.common import decoders, images
from services.common.deadline import Deadline
from services.common.decoders import Decoders
from services.common.errors import Overloaded
from tests.pictures import encode, lesion

SMALL = encode(lesion(), "PNG")
BIG = encode(Image.new("1", (5000, 5000)), "PNG")


def test_the_header_says_which_pictures_are_big() -> None:
    assert images.is_big(BIG)
    assert not images.is_big(SMALL)
    assert not images.is_big(encode(Image.new("L", (5000, 5000)), "JPEG")), "decoded at a reduced scale"
    for refused in (b"", b"text", SMALL[:20], encode(Image.new("1", (20000, 10000)), "PNG")):
        assert not images.is_big(refused)


def test_big_pictures_are_decoded_one_at_a_time_and_hold_up_no_small_one() -> None:
    busy, most = 0, 0
    small_done = threading.Event()

    def work(data: bytes) -> None:
        nonlocal busy, most
        if data is SMALL:
            small_done.set()
            return
        busy += 1
        most = max(most, busy)
        assert small_done.wait(5), "the small picture waited for the big ones"
        busy -= 1

    async def all_at_once() -> None:
        pool = Decoders(2)
        deadline = Deadline.after(10)
        await asyncio.gather(*(pool.run(work, data, deadline) for data in (BIG, BIG, BIG, SMALL)))
        pool.close()

    asyncio.run(all_at_once())
    assert most == 1


def test_who_is_too_many_is_shed_and_who_is_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "MAX_WAITING", 1)

    async def two() -> list[object]:
        pool = Decoders(1)
        jobs = [pool.run(lambda _: time.sleep(0.3), SMALL, Deadline.after(0.1)) for _ in range(2)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        pool.close()
        return list(results)

    assert [type(result) for result in asyncio.run(two())] == [TimeoutError, Overloaded]
