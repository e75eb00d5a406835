"""The state and its address: round trips, bad links, two sessions."""

from __future__ import annotations

import random

import pytest

from apps.state import (
    AGAINST,
    CONSTRAINTS,
    DATASETS,
    FACTORS,
    HIDEABLE,
    METHODS,
    MODES,
    NETWORKS,
    SHOWS,
    STATISTICS,
    VIEWS,
    Choice,
    State,
    parse_query,
    to_query,
)


def random_choice(rng: random.Random) -> Choice:
    return Choice(
        dataset=rng.choice(list(DATASETS)),
        frame=rng.randrange(300),
        factor=rng.choice(FACTORS),
        method=rng.choice(list(METHODS)),
        mode=rng.choice(list(MODES)),
        constraint=rng.choice(list(CONSTRAINTS)),
        network=rng.choice(list(NETWORKS)),
        statistic=rng.choice(list(STATISTICS)),
        hour=rng.randrange(3),
        show=rng.choice(list(SHOWS)),
        view=rng.choice(list(VIEWS)),
        against=rng.choice(list(AGAINST)),
    )


def test_default_is_silent():
    choice, hide, problems = parse_query("")
    assert (choice, hide, problems) == (Choice(), (), [])


def test_round_trip_of_any_selection():
    rng = random.Random(1)
    for _ in range(200):
        choice = random_choice(rng)
        hide = tuple(rng.sample(HIDEABLE, rng.randrange(4)))
        assert parse_query(to_query(choice, hide)) == (choice, hide, [])


def test_200_broken_links_never_raise_and_always_give_a_valid_state(broken_links):
    for link in broken_links(200, seed=2):
        choice, hide, problems = parse_query(link)
        state = State()
        state.apply(choice, hide)  # param refuses a value that is not allowed
        assert state.choice() == choice
        assert parse_query(state.query()) == (choice, hide, [])
        assert all(isinstance(problem, str) and problem for problem in problems)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?factor=3", "2, 4, 8"),
        ("?frame=-1", "whole number"),
        ("?frame=1.5", "whole number"),
        ("?constraint=sum", "softmax"),
        ("?dataset=mars", "era5-uk-t2m"),
        ("?network=resnet", "srcnn-plain"),
        ("?statistic=magic", "weather types"),
        ("?hour=3", "0 to 2"),
        ("?show=member-0", "member-10"),
        ("?view=all", "benchmark"),
        ("?against=rmse", "s_per_megapixel"),
        ("?v=2&factor=8", "version"),
        ("?hide=menu", "knows"),
        ("?colour=red", "unknown"),
        ("?" + "x" * 5000, "longer"),
    ],
)
def test_problems_say_what_is_allowed(query, word):
    choice, _, problems = parse_query(query)
    assert len(problems) == 1
    assert word in problems[0]
    assert choice == Choice(factor=8 if "factor=8" in query else 4)


def test_links_from_before_a_selection_existed_stay_valid():
    old = "?v=1&dataset=era5-uk-t2m&frame=12&factor=8&method=bicubic&mode=applied&constraint=mult&hide=truth,scores"
    choice, hide, problems = parse_query(old)
    assert (choice, problems) == (Choice("era5-uk-t2m", 12, 8, "bicubic", "applied", "mult"), [])
    assert (choice.network, choice.hour, choice.show, choice.view) == ("compact", 0, "mean", "downscale")
    assert hide == ("truth", "scores")


def test_a_scene_does_not_depend_on_the_view():
    choice = Choice(view="benchmark", against="s_per_megapixel", network="edsr", hour=2)
    assert choice.scene() == Choice(network="edsr", hour=2)
    assert choice.key() != choice.scene().key()


def test_a_bad_entry_does_not_spoil_the_good_ones():
    choice, hide, problems = parse_query("?factor=8&constraint=sum&method=bicubic&hide=truth,menu,truth")
    assert (choice.factor, choice.method, choice.constraint) == (8, "bicubic", Choice().constraint)
    assert hide == ("truth",)
    assert len(problems) == 2


def test_sessions_do_not_share_state():
    first, second = State(), State()
    first.apply(Choice(factor=8, frame=3), ("truth",))
    assert second.choice() == Choice()
    assert second.hide == ()


def test_reset_keeps_what_the_lesson_hides():
    state = State()
    state.apply(Choice(factor=2, constraint="add"), ("truth",))
    state.reset()
    assert state.choice() == Choice()
    assert state.hide == ("truth",)
