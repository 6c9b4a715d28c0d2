"""What is published about executions, and what is made of it when it is heard."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from butler.changes import (
    TOLD_AT_ONCE,
    TOLD_CHARS,
    ChangeKind,
    Word,
    log_words,
    progress_word,
    read_word,
    state_word,
)
from butler.storage.logs import LogLine


def line(execution_id, number, message="a line", *, attempt=1, cut=False):
    return LogLine(
        execution_id=execution_id,
        attempt=attempt,
        number=number,
        at=datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
        level=30,
        logger="shop",
        message=message,
        cut=cut,
    )


@pytest.mark.parametrize("over", [True, False])
def test_a_word_about_a_state_says_only_whether_it_is_the_last(over):
    assert Word(kind=ChangeKind.STATE, over=over) == read_word(state_word(over=over))


@pytest.mark.parametrize("message", [None, 'half "way"\n\N{SNOWMAN}', ""])
def test_a_word_about_progress_carries_attempt_percent_and_message(message):
    word = Word(kind=ChangeKind.PROGRESS, attempt=3, percent=12.5, message=message)
    assert word == read_word(progress_word(12.5, message, attempt=3).encode())


def test_words_about_lines_carry_them_whole_by_execution_and_attempt():
    lines = [line("a", 1), line("b", 1, cut=True), line("a", 2), line("a", 1, attempt=2)]
    heard = [(id_, read_word(word, execution_id=id_)) for id_, word in log_words(lines)]
    assert heard == [
        ("a", Word(kind=ChangeKind.LOG, attempt=1, lines=(lines[0], lines[2]))),
        ("b", Word(kind=ChangeKind.LOG, attempt=1, lines=(lines[1],))),
        ("a", Word(kind=ChangeKind.LOG, attempt=2, lines=(lines[3],))),
    ]


def test_words_about_lines_are_bounded():
    lines = [line("a", n, "x" * 9_000) for n in range(TOLD_AT_ONCE + 1)]
    words = [read_word(word, execution_id="a") for _, word in log_words(lines)]
    assert [len(word.lines) for word in words] == [TOLD_AT_ONCE, 1]
    assert {len(told.message) for word in words for told in word.lines} == {TOLD_CHARS}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"null",
        b'"state"',
        b'{"kind":"of a later release"}',
        b'{"kind":"log","attempt":1,"lines":[[1,2]]}',
        b'{"kind":"log","attempt":1,"lines":[[1,1e300,20,"a","b",false]]}',
        b'{"kind":"log","attempt":1,"lines":7}',
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
