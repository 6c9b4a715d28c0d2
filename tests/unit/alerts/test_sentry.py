"""A server that is unhealthy is told soon, also where every answer of it is slow."""

import pytest

from butler.errors import DefinitionError

SLOW_S = 1.1
RED = ("health-check-red", "postgres")
QUESTIONS = ("now", "picture", "unsettled_alerts", "alert_rules", "silences", "stats")


@pytest.fixture
def asked(scene, monkeypatch):
    """What the ledger is asked, each question of which takes as long as `now` does."""
    asked = []

    def slowed(name, ask):
        def answer(*args, **options):
            asked.append(name)
            if name != "now":
                scene.clock.advance(scene.storage.answer_s)
            return ask(*args, **options)

        return answer

    for name in QUESTIONS:
        monkeypatch.setattr(scene.storage, name, slowed(name, getattr(scene.storage, name)))
    return asked


def step(scene):
    """What the monitor does: a step, and a pause."""
    scene.step()
    scene.clock.advance(0.1 if scene.watchman.pressing else 1.0)


def test_a_slow_postgres_is_alerted_within_fifteen_seconds_and_looked_at_afterwards(scene, asked):
    scene.look()
    began = scene.clock.now()
    asked.clear()
    scene.storage.answer_s = SLOW_S
    while RED not in scene.unresolved():
        step(scene)
    assert "picture" not in asked
    [alert] = scene.butler.alerts.list(state="open").alerts
    assert (alert.opened_at - began).total_seconds() <= 15
    for _ in range(10):
        step(scene)
    assert "picture" in asked
    scene.storage.answer_s = 0.0
    scene.pass_s(40)
    assert scene.unresolved() == []


def test_a_rule_that_waits_for_long_keeps_up_no_look_at_the_ledger(scene, asked):
    scene.butler.alert_rules.update("health-check-red", open_after_s=3_600)
    scene.storage.answer_s = SLOW_S
    for _ in range(10):
        step(scene)
    assert "picture" in asked
    assert scene.unresolved() == []


def test_healthy_servers_cost_one_question_a_look(scene, asked):
    scene.look()
    asked.clear()
    scene.clock.advance(1)
    scene.step()
    assert asked == ["unsettled_alerts"]
    scene.look()
    assert asked.count("now") == 1


def test_a_term_that_goes_on_remembers_what_it_saw(scene):
    scene.storage.answer_s = SLOW_S
    scene.look()
    scene.watchman.stand_down()
    scene.pass_s(15)
    assert RED in scene.unresolved()


def test_a_check_of_ones_own_cannot_take_the_name_of_a_servers(scene):
    with pytest.raises(DefinitionError, match="Butler has a health check 'redis'"):
        scene.butler.health.check("redis")(lambda: None)
