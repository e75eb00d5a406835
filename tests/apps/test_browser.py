"""The explorer in a real browser: every switch, numbers as in the library, no error, no outside request."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from functools import lru_cache

import pytest
import torch

from apps import zoo
from apps.options import CONSTRAINTS, DATASETS, FACTORS, METHODS, MODES, NETWORKS, VIEWS
from apps.screenshot import serve, wait_until_drawn
from apps.state import Choice, parse_query, to_query
from apps.views import METRICS, OF_ENSEMBLES
from physlab import load_model
from physlab.benchmark import read_runs, summary
from physlab.data import sr_pairs
from physlab.downscale import Constrained, make_downscaler
from physlab.downscale.interpolate import InTime
from physlab.errors import PhysLabError
from physlab.nn import NoiseResNet
from physlab.score import crps, spread_skill, table
from physlab.train.checkpoint import describe_model, save_checkpoint
from physlab.train.evaluate import predict_members
from tests.apps.pages import wait_for

pytestmark = pytest.mark.browser
FRAME = 5
TIMEOUT = 60_000  # ms, for a machine that is busy with something else


@pytest.fixture(scope="module")
def untrained_gan(tmp_path_factory):
    """A generator with random weights among the assets, instead of a trained one if that is installed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = NoiseResNet(4, channels=4, blocks=1, upsample="shuffle", skip="bicubic", gain=0.05)
    arguments = {"channels": 4, "blocks": 1, "upsample": "shuffle", "skip": "bicubic", "gain": 0.05, "factor": 4}
    gan = make_downscaler(network, "add", 70.0, "tcw", "tcw-x4-gan-add-s0")
    card = {
        **describe_model(gan),
        "recipe": "tcw-x4-gan",
        "task": "tcw",
        "scaling": {"offset": [0.0], "scale": [70.0]},
        "network": {"class": "NoiseResNet", "arguments": arguments},
        "training": {"history": [{"step": 100, "d_right": 0.75}, {"step": 200, "d_right": 0.5}]},
    }
    assets = tmp_path_factory.mktemp("assets")
    save_checkpoint(assets / "checkpoints" / "tcw-x4-gan-add-s0", gan, card)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHYSLAB_ASSETS", str(assets))
        yield gan


@pytest.fixture(scope="module")
def address(untrained_gan):
    with serve(timeout=180.0) as address:
        yield address


def press(page, group: dict, value) -> None:
    """Click a control as a user does."""
    label = f"× {value}" if value in FACTORS else group[value]
    page.get_by_role("button", name=label, exact=True).click()


def select_data(page, dataset: str) -> None:
    page.get_by_role("combobox").first.click()
    page.get_by_role("menuitem", name=DATASETS[dataset]).click()


def select_network(page, network: str) -> None:
    page.get_by_role("combobox").nth(1).click()
    page.get_by_role("menuitem", name=NETWORKS[network]).click()


def scores_on(page, name: str = "frame", column: str = "this") -> dict[str, float]:
    """The numbers of one column of a score table, as the page holds them."""
    cells = page.locator(f'[data-table="{name}"] td[data-column="{column}"]')
    return dict(cells.evaluate_all("cells => cells.map(c => [c.dataset.metric, parseFloat(c.dataset.value)])"))


@lru_cache(maxsize=8)
def pairs(dataset: str, factor: int):
    return sr_pairs(dataset, factor, splits=("test",))


@lru_cache(maxsize=64)
def model(name: str):
    with contextlib.suppress(PhysLabError):
        return load_model(name)
    return None


def expected(choice: Choice) -> dict[str, float]:
    """The scores of a selection from the library alone."""
    data = pairs(choice.dataset, choice.factor)
    network = model(f"{choice.dataset}-x{choice.factor}-{choice.constraint if choice.mode == 'trained' else 'none'}")
    after = choice.mode == "applied"
    if choice.method != "network" or network is None:
        network, after = model(f"{'bicubic' if choice.method == 'network' else choice.method}-x{choice.factor}"), True
    if after and choice.constraint not in ("none", "soft"):
        options = {}
        if choice.constraint == "scaled_add":
            offset, scale = data.scaling.offset[0], data.scaling.scale[0]
            bounds = (0.0, scale) if data.non_negative else (offset - 5 * scale, offset + 5 * scale)
            options = {"bounds": tuple(round(bound, 3) for bound in bounds)}
        network = Constrained(network, choice.constraint, **options)
    at = slice(choice.frame, choice.frame + 1)
    truth, coarse = data.fine["test"][at], data.coarse["test"][at]
    return table(
        network.predict(coarse, data.weights), truth, coarse, choice.factor, data.data_range("test"), data.weights
    )


def same(shown: dict[str, float], wanted: dict[str, float], choice: Choice) -> None:
    rows = {
        key for key, *_ in METRICS if key not in {*OF_ENSEMBLES, "law_relative"} or key in wanted
    }  # no law of water alone
    assert shown.keys() == rows <= wanted.keys(), choice
    for name, value in shown.items():
        assert wanted[name] == pytest.approx(value, rel=1e-5, abs=1e-6), (name, choice)


def test_every_data_set_factor_and_constraint(open_page):
    choice = Choice(frame=FRAME, constraint="none")
    page = open_page(to_query(choice))
    seen = {}
    for dataset in ("tcw", "era5-uk-t2m"):
        if dataset != choice.dataset:
            select_data(page, dataset)
            choice = choice.with_(dataset=dataset)
        for factor in FACTORS:
            press(page, {}, factor)
            for constraint in CONSTRAINTS:
                press(page, CONSTRAINTS, constraint)
                choice = choice.with_(factor=factor, constraint=constraint)
                wait_for(page, choice)
                seen[choice] = scores_on(page)
                same(seen[choice], expected(choice), choice)
                assert seen[choice]["conservation_error"] < 1e-4 or constraint in ("none", "soft"), choice
    assert len(seen) == 36
    assert parse_query(page.evaluate("location.search"))[0].dataset == choice.dataset


def test_constraints_applied_afterwards_to_each_method(open_page):
    choice = Choice(frame=FRAME, mode="applied", constraint="add")
    page = open_page(to_query(choice))
    for method in ("network", "bicubic", "nearest"):
        press(page, METHODS, method)
        for constraint in ("add", "mult", "softmax", "scaled_add"):
            press(page, CONSTRAINTS, constraint)
            choice = choice.with_(method=method, constraint=constraint)
            wait_for(page, choice)
            same(scores_on(page), expected(choice), choice)
    press(page, METHODS, "network")
    press(page, MODES, "trained")
    choice = choice.with_(method="network", mode="trained")
    wait_for(page, choice)
    same(scores_on(page), expected(choice), choice)
    for name in ("nearest", "bicubic", "bicubic+add"):
        method, _, constraint = name.partition("+")
        same(
            scores_on(page, column=name),
            expected(Choice("tcw", FRAME, 4, method, "applied", constraint or "none")),
            choice,
        )


def test_the_link_is_the_state(open_page):
    choice = Choice("era5-uk-t2m", 7, 8, "bicubic", "applied", "mult")
    page = open_page(to_query(choice, ("truth", "method")))
    wait_for(page, choice)
    assert not page.get_by_role("button", name="Nearest", exact=True).is_visible()
    assert page.get_by_text("Truth", exact=True).count() == 0 or not page.get_by_text("Truth", exact=True).is_visible()
    press(page, CONSTRAINTS, "add")
    choice = choice.with_(constraint="add")
    wait_for(page, choice)
    page.wait_for_function("location.search.includes('constraint=add')")
    assert parse_query(page.evaluate("location.search")) == (choice, ("truth", "method"), [])
    again = open_page(page.evaluate("location.search"))
    wait_for(again, choice)
    assert scores_on(again) == scores_on(page)


def test_a_bad_link_is_explained(open_page):
    page = open_page("?factor=3&constraint=<img src=x onerror=alert(1)>&frame=99999999999999999999")
    wait_for(page, Choice())
    assert page.locator("[data-message]").count() >= 3
    assert page.locator("[data-message] img").count() == 0


def test_two_tabs_do_not_share_state(open_page):
    first, second = open_page(), open_page()
    press(first, {}, 8)
    wait_for(first, Choice(factor=8))
    wait_for(second, Choice())
    same(scores_on(second), expected(Choice()), Choice())


def test_the_film_plays_and_reset_returns(open_page):
    choice = Choice(method="bicubic", mode="applied", constraint="none", factor=8)
    page = open_page(to_query(choice))
    page.get_by_role("button", name="play").first.click()
    page.get_by_text(re.compile(r"frame ([3-9]|\d\d+) of")).wait_for()  # a slow machine leaves some out
    page.get_by_role("button", name="pause").first.click()
    page.get_by_role("button", name="Reset").click()
    wait_for(page, Choice())


def test_copied_code_and_card(open_page, tmp_path, repository):
    choice = Choice("tcw", 3, 4, "network", "applied", "mult")
    page = open_page(to_query(choice))
    wait_for(page, choice)
    shown = scores_on(page)
    page.get_by_role("tab", name="Card").click()
    if model("tcw-x4-none") is not None:
        page.locator(".card-table").get_by_text("seed").first.wait_for(timeout=20000)
    page.get_by_role("tab", name="Code").click()
    script = tmp_path / "copied.py"
    script.write_text(page.locator("[data-code]:visible").inner_text(), encoding="utf-8")
    run = subprocess.run([sys.executable, str(script)], cwd=repository, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    printed = {name: float(value) for name, value in (line.split() for line in run.stdout.splitlines())}
    for name, value in shown.items():
        assert printed[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_scores_of_the_test_set_arrive(open_page):
    choice = Choice("era5-uk-t2m", 0, 4, "bicubic", "applied", "add")
    page = open_page(to_query(choice))
    wait_until_drawn(page, timeout=TIMEOUT / 1000, tests=True)
    data = pairs("era5-uk-t2m", 4)
    truth, coarse = data.fine["test"], data.coarse["test"]
    wanted = table(
        model("bicubic+add-x4").predict(coarse, data.weights), truth, coarse, 4, data.data_range("test"), data.weights
    )
    shown = scores_on(page, "test")
    assert shown["rmse"] == pytest.approx(wanted["rmse"], rel=1e-5)
    assert shown == scores_on(page, "test", "bicubic+add")


def test_a_network_with_noise_shows_its_spread_and_its_crps(open_page, untrained_gan):
    page = open_page(to_query(Choice(frame=FRAME, constraint="add")))
    assert not page.get_by_text("Spread", exact=True).is_visible()
    select_network(page, "gan")
    choice = Choice(frame=FRAME, constraint="add", network="gan")
    wait_for(page, choice)
    data, at = pairs("tcw", 4), slice(FRAME, FRAME + 1)
    members = predict_members(untrained_gan, data, "test", at, members=10, seed=0)
    truth, coarse = data.fine["test"][at], data.coarse["test"][at]
    wanted = table(members.mean(0), truth, coarse, 4, data.data_range("test"), data.weights)
    wanted |= {
        "crps": float(crps(members, truth, weights=data.weights)),
        "spread_skill": float(spread_skill(members, truth, weights=data.weights)),
    }
    same(scores_on(page), wanted, choice)
    assert page.get_by_text("Spread", exact=True).is_visible()
    assert page.get_by_text("Ranks", exact=True).is_visible()
    page.get_by_role("combobox").nth(2).click()
    page.get_by_role("menuitem", name="Member 2", exact=True).click()
    choice = choice.with_(show="member-2")
    wait_for(page, choice)
    wanted |= table(members[1], truth, coarse, 4, data.data_range("test"), data.weights)
    same(scores_on(page), wanted, choice)
    page.get_by_role("tab", name="Card").click()
    page.wait_for_selector('[data-discriminator="0.5"]')


def test_the_missing_hour(open_page):
    page = open_page()
    assert not page.get_by_text("Hour", exact=True).first.is_visible()
    select_data(page, "tcw-t2")
    offers = zoo.offers("tcw-t2", 4)
    choice = Choice("tcw-t2")
    if offers:
        network = next(iter(offers))
        choice = choice.with_(network=network, constraint="add" if "add" in offers[network] else offers[network][0])
    wait_for(page, choice)
    assert page.get_by_text("Hour", exact=True).first.is_visible()
    page.get_by_role("slider").nth(1).press("ArrowRight")  # time, hour, band
    choice = choice.with_(hour=1)
    wait_for(page, choice)
    data, hour = pairs("tcw-t2", 4), slice(1, 2)
    truth, coarse = data.fine["test"][:1, hour], data.all_coarse("test")[:1, hour]
    wanted = {}
    for name in ("bicubic", "nearest"):
        result = InTime(model(f"{name}-x4")).predict(data.coarse["test"][:1])[:, hour]
        wanted = table(result, truth, coarse, 4, data.data_range("test"), data.weights)
        same(scores_on(page, column=name), wanted, choice)
    if offers:
        result = model(f"tcw-t2-x4-{choice.network}-{choice.constraint}").predict(data.coarse["test"][:1], data.weights)
        wanted = table(result[:, hour], truth, coarse, 4, data.data_range("test"), data.weights)
        same(scores_on(page), wanted, choice)
    assert scores_on(page)["conservation_error"] > 1e-3  # no layer knows the missing hour


def test_all_methods_in_one_figure_or_the_reason_why_not(open_page):
    page = open_page("?view=benchmark&against=spectral_divergence")
    wait_for(page, Choice(view="benchmark", against="spectral_divergence"))
    page.wait_for_selector("[data-benchmark]")
    with contextlib.suppress(FileNotFoundError):
        rows = summary(read_runs(), "tcw", 4)
        cells = page.locator('[data-table="benchmark"] tr[data-value]')
        shown = cells.evaluate_all("rows => rows.map(r => parseFloat(r.dataset.value))")
        assert shown == pytest.approx(sorted(rows["rmse"]), rel=1e-6)
    press(page, VIEWS, "downscale")
    wait_for(page, Choice(against="spectral_divergence"))
    assert len(scores_on(page)) >= 10


def test_a_slow_first_panel_is_drawn(open_page, painted):
    """What arrives before the browser is connected must not be lost."""
    page = open_page(to_query(Choice("era5-uk-t2m", 11, 2)))
    page.wait_for_timeout(1000)
    assert len(painted(page)) == 6
    assert all(painted(page))


def test_a_wait_that_is_too_long_says_what_the_page_says(browser) -> None:
    page = browser.new_page()
    page.set_content('<div data-status="busy" data-key="a=1"></div><div data-table="analysis" data-state="busy"></div>')
    with pytest.raises(TimeoutError, match=r'"status":"busy","key":"a=1".*"table":"analysis","state":"busy"'):
        wait_until_drawn(page, timeout=0.2)
    page.close()
