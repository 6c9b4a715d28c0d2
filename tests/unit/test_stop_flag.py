"""`StopFlag`: stopping a process whatever its threads are doing."""

import signal
import threading
import time

import pytest

from butler.stop_flag import StopFlag

LONG_S = 60


@pytest.fixture
def flag():
    """Set by SIGUSR1."""
    flag = StopFlag()
    before = signal.signal(signal.SIGUSR1, lambda *_: flag.set())
    yield flag
    signal.signal(signal.SIGUSR1, before)


def test_it_is_waited_for_no_longer_than_asked():
    flag = StopFlag()
    assert not flag.wait(0)
    assert not flag.wait(0.01)
    assert not flag.is_set()


def test_once_set_it_stays_set():
    flag = StopFlag()
    flag.set()
    flag.set()
    assert [flag.wait(), flag.wait(), flag.wait(0), flag.is_set()] == [True] * 4


def test_another_thread_ends_the_wait():
    flag = StopFlag()
    threading.Timer(0.05, flag.set).start()
    assert flag.wait(LONG_S)


def test_a_signal_that_another_thread_was_given_ends_the_wait(flag):
    waiting, over = threading.Event(), threading.Event()

    def take_the_signal():
        waiting.wait()
        # The main thread sleeps in its wait by then; this one is told, and does nothing about it.
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        over.wait()

    thread = threading.Thread(target=take_the_signal)
    thread.start()
    waiting.set()
    assert flag.wait(LONG_S)
    over.set()
    thread.join()


def test_a_signal_may_set_it_while_it_is_being_waited_for(flag):
    stop = threading.Event()

    def shower():
        while not stop.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    thread = threading.Thread(target=shower)
    thread.start()
    try:
        for _ in range(200):
            assert flag.wait(LONG_S)
            flag._set = False
    finally:
        stop.set()
        thread.join()
