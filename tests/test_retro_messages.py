"""What an emulator's process and the one that plays say to each other."""

import io

import numpy as np
import pytest

from sims.retro.messages import receive, send


def there_and_back(message):
    pipe = io.BytesIO()
    send(pipe, message)
    pipe.seek(0)
    return receive(pipe)


def test_words_numbers_and_nothing_come_back():
    message = {"begin": ["Level1", 12, 0.5, None, True], "variables": {"x": {"address": 7}}}
    assert there_and_back(message) == message
    assert there_and_back(("step", (1, 2))) == ["step", [1, 2]]


def test_bytes_and_pictures_come_back_as_they_were():
    picture = np.random.default_rng(0).integers(256, size=(4, 6, 3), dtype=np.uint8)
    state = bytes(range(256)) * 3
    word, first, told, second = there_and_back(["done", picture, {"score": 20}, state])
    assert (word, told, second) == ("done", {"score": 20}, state)
    assert np.array_equal(first, picture) and first.dtype == np.uint8


def test_messages_follow_each_other():
    pipe = io.BytesIO()
    for message in (["a", b"12"], ["b"], ["c", b""]):
        send(pipe, message)
    pipe.seek(0)
    assert [receive(pipe) for _ in range(3)] == [["a", b"12"], ["b"], ["c", b""]]


def test_an_end_in_the_middle_is_an_end():
    pipe = io.BytesIO()
    send(pipe, ["state", b"123456"])
    for length in (0, 3, 20, len(pipe.getvalue()) - 1):
        with pytest.raises(EOFError):
            receive(io.BytesIO(pipe.getvalue()[:length]))


def test_what_neither_knows_cannot_be_sent():
    with pytest.raises(TypeError, match="cannot be sent to an emulator"):
        send(io.BytesIO(), {1, 2})
