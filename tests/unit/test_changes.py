"""What is published about executions, and what is made of it when it is heard."""

from __future__ import annotations

from importlib.resources import files

import pytest

from butler.changes import ChangeKind, Word, progress_word, read_word, state_word


@pytest.mark.parametrize("over", [True, False])
def test_a_word_about_a_state_says_only_whether_it_is_the_last(over):
    assert Word(kind=ChangeKind.STATE, over=over) == read_word(state_word(over=over))


@pytest.mark.parametrize("message", [None, 'half "way"\n\N{SNOWMAN}', ""])
def test_a_word_about_progress_carries_attempt_percent_and_message(message):
    word = Word(kind=ChangeKind.PROGRESS, attempt=3, percent=12.5, message=message)
    assert word == read_word(progress_word(12.5, message, attempt=3).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"null",
        b'"state"',
        b'{"kind":"log","line":"of a later release"}',
        b'{"kind":"state"}',
        b'{"kind":"progress","attempt":"x","percent":1,"message":null}',
        b'{"kind":"progress","attempt":1,"percent":null,"message":null}',
        b'{"kind":["state"]}',
    ],
)
def test_what_is_no_word_of_ours_is_passed_over(raw):
    assert read_word(raw) is None


@pytest.mark.parametrize("script", ["settle", "push", "withdraw", "announce"])
def test_the_scripts_publish_the_same_words(script):
    source = files("butler").joinpath("lua", f"{script}.lua").read_text()
    published = [line for line in source.splitlines() if "'PUBLISH'" in line]
    assert len(published) == 1
    assert state_word(over=True) in source or state_word(over=False) in source
    # A user who may not publish must not break what the script is there for.
    assert "redis.pcall('PUBLISH', 'butler:execution:' .. id" in published[0]
