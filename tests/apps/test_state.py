"""The state and its address: round trips, bad links, two sessions."""

from __future__ import annotations

import random

import pytest

from apps import options
from apps.state import Choice, Draw, Look, Setup, State, parse_query, to_query
from physlab.teach import explorer_url


def random_number(rng: random.Random, name: str) -> float:
    low, high, step = options.NUMBERS[name]
    return low + step * rng.randrange(round((high - low) / step) + 1)


def random_choice(rng: random.Random) -> Choice:
    return Choice(
        dataset=rng.choice(list(options.DATASETS)),
        frame=rng.randrange(300),
        factor=rng.choice(options.FACTORS),
        method=rng.choice(list(options.METHODS)),
        mode=rng.choice(list(options.MODES)),
        constraint=rng.choice(list(options.CONSTRAINTS)),
        network=rng.choice(list(options.NETWORKS)),
        statistic=rng.choice(list(options.STATISTICS)),
        hour=rng.randrange(3),
        show=rng.choice(list(options.SHOWS)),
        view=rng.choice(list(options.VIEWS)),
        against=rng.choice(list(options.AGAINST)),
        variable=rng.choice(list(options.VARIABLES)),
        field=rng.choice(list(options.FIELDS)),
        zoom=rng.choice(options.ZOOMS),
        **{name: random_number(rng, name) for name in options.NUMBERS},
        when=rng.randrange(options.STATES),
        channel=rng.choice(list(options.CHANNELS)),
        share=rng.choice(options.SHARES),
        assimilator=rng.choice(list(options.ASSIMILATORS)),
        noise=rng.choice(list(options.NOISES)),
        members=rng.choice(options.SIZES),
        seed=rng.randrange(options.SEEDS + 1),
        own=".".join(map(str, rng.sample(range(64 * 128), rng.choice([0, 1, options.OWN])))),
        balance=rng.choice(list(options.LAWS)),
        day=rng.randrange(options.DAYS),
        weight=rng.choice(list(options.WEIGHTS)),
        draws=rng.choice(options.DRAWS),
        consistency=rng.choice(list(options.CONSISTENCIES)),
        threshold=rng.choice(options.THRESHOLDS),
        which=rng.choice(options.WHICH),
        painted=".".join(map(str, rng.sample(range(41 * 61), rng.choice([0, 1, options.PAINTED])))),
        guide=rng.choice(list(options.GUIDES)),
        sigma=rng.choice(options.SIGMAS),
        band=rng.choice(["", "1-90", "8-16"]),
        region=rng.choice(["", "-30.5,-90,40,55", "0,0,1,0.5"]),
    )


def test_default_is_silent():
    choice, hide, problems = parse_query("")
    assert (choice, hide, problems) == (Choice(), (), [])


def test_round_trip_of_any_selection():
    rng = random.Random(1)
    for _ in range(200):
        choice = random_choice(rng)
        hide = tuple(rng.sample(options.HIDEABLE, rng.randrange(4)))
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
        ("?variable=w", "tcw"),
        ("?field=both", "no-equations"),
        ("?zoom=3", "1, 2, 4, 8"),
        ("?moment=240.25", "0 to 240"),
        ("?moment=100.3", "steps of 0.25"),
        ("?moment=1e2", "0 to 240"),
        ("?moment=nan", "0 to 240"),
        ("?moment=١٠", "0 to 240"),
        ("?east=20", "-60 to -16"),
        ("?north=-44", "22 to 66"),
        ("?when=3", "0 to 2"),
        ("?channel=z100", "z500"),
        ("?share=3", "10, 5, 2, 1, 0.5, 0"),
        ("?share=0.50", "0.5"),
        ("?assimilator=guess", "phyda"),
        ("?noise=2", "0.25"),
        ("?members=3", "1, 2, 4, 8, 16"),
        ("?seed=21", "0 to 20"),
        ("?balance=all", "geostrophic"),
        ("?day=3", "0 to 2"),
        ("?weight=2", "live, 0, 0.1"),
        ("?weight=0.10", "0.1"),
        ("?draws=1", "2, 4, 8, 16"),
        ("?draws=17", "2, 4, 8, 16"),
        ("?consistency=mult", "none, add"),
        ("?threshold=273", "273.15"),
        ("?threshold=nan", "273.15"),
        ("?which=0", "1, 2, 3"),
        ("?which=٢", "16"),
        ("?own=8192", "below 8192"),
        ("?own=7.7", "different"),
        ("?own=7..8", "below 8192"),
        ("?own=-1", "below 8192"),
        ("?own=٧", "below 8192"),
        ("?own=" + ".".join(map(str, range(51))), "at most 50"),
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


def test_the_hour_of_a_link_to_the_continuous_view_is_its_moment():
    link = explorer_url(v=1, view="continuous", variable="q", field="equations", hour=100.5, zoom=4, east=-38, north=40)
    choice, _, problems = parse_query(link.split("?", 1)[1])
    assert not problems
    assert choice.part(Look) == Look("q", "equations", 100.5, 4, -38.0, 40.0)
    assert (choice.view, choice.hour) == ("continuous", 0)
    both = choice.with_(hour=2)  # a sequence keeps its own
    assert parse_query(to_query(both)) == (both, (), [])
    assert "moment is '100.3'" in parse_query("?view=continuous&hour=100.3")[2][0]
    assert len(parse_query("?hour=100.5")[2]) == 1  # in the other views it is the hour of a sequence


def test_what_two_views_show_is_apart():
    choice = Choice(view="continuous", variable="u", moment=3.25, zoom=8)
    assert choice.scene() == Choice()
    assert choice.with_(dataset="tcw-t2", hour=1).part(Look) == choice.part(Look)
    assert choice.with_(moment=3).key() == choice.with_(moment=3.0).key()  # a browser sends whole numbers as integers


def test_a_setup_is_what_the_assimilate_view_depends_on():
    choice = Choice(view="assimilate", channel="q700", share=0.0, own="3000.412")
    assert choice.part(Setup) == Setup(channel="q700", share=0.0, own="3000.412")
    assert choice.points == (3000, 412) and Setup().points == ()
    assert choice.scene() == Choice() and choice.part(Look) == Look()
    assert parse_query("?own=0412.7")[0].own == "412.7"  # one way to write a number


def test_a_draw_is_what_the_ensemble_view_depends_on():
    choice = Choice(view="ensemble", day=2, weight="0.3", draws=16, seed=3, threshold=283.15, which=2)
    assert choice.part(Draw) == Draw(day=2, weight="0.3", draws=16, seed=3, threshold=283.15, which=2)
    assert choice.scene() == Choice() and choice.part(Setup) == Setup(seed=3)  # the seed is that of both views
    assert choice.key() != choice.with_(consistency="add").key()


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
