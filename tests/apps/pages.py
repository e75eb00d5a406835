"""What the explorer's tests share: a pool that does not wait, a page without a browser, and a hand in a real one."""

from __future__ import annotations

from concurrent.futures import Executor, Future

from apps.screenshot import telling
from apps.session import Session
from apps.slow import Slow
from apps.state import Choice, parse_query
from apps.store import Store


class AtOnce(Executor):
    """Runs everything in the calling thread."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


class Never(Executor):
    """Takes work and never does it."""

    def submit(self, function, /, *args, **kwargs):
        return Future()


def session(store: Store, search: str = "") -> Session:
    """A page at an address, which draws at once."""
    return Session(store, AtOnce(), AtOnce(), lambda draw: draw(), search)


def stop_and_go_on(page: Session, view: Slow, panel: str) -> None:
    """The button stops work that waits for its turn, and another one begins it again."""
    view.slow.pool = Never()
    page.state.seed = 13
    strip = view.strip
    assert strip.stop.visible and view.queued in strip.words.object
    if view.has_to_wait(page.state.choice()):
        assert view.maps.silence[panel].data["text"] == [view.making]
    strip.stop.clicks += 1
    assert strip.again.visible and not strip.stop.visible and "Stopped" in strip.words.object
    assert view.maps.silence[panel].data["text"] == ["Stopped."]
    view.slow.pool = AtOnce()
    strip.again.clicks += 1
    assert not strip.again.visible


def press(page, label: str) -> None:
    """Click a button as a user does."""
    page.get_by_role("button", name=label, exact=True).click()


def settled(page, seconds: float = 60.0) -> Choice:
    """The selection of the address, once it is drawn and a second later still the same: a film stops when it can."""
    before = None
    for _ in range(round(seconds)):
        choice = parse_query(page.evaluate("location.search"))[0]
        drawn = page.locator(f'[data-status="ready"][data-key="{choice.key()}"]').count()
        if drawn and choice == before:
            return choice
        before = choice if drawn else None
        page.wait_for_timeout(1000)
    raise AssertionError(f"still moving after {seconds:.0f} s: {choice}")


def drag(page, name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Over a figure, from and to shares of its width and height."""
    figure = page.locator(f'[data-name="{name}"]:visible').first
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    (x, y), (to_x, to_y) = ((box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in (start, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to_x) / 2, (y + to_y) / 2, steps=5)
    page.mouse.move(to_x, to_y, steps=5)
    page.mouse.up()


TABLES = {
    "downscale": "frame",
    "continuous": "moment",
    "assimilate": "analysis",
    "ensemble": "ensemble",
    "paint": "paint",
}


def wait_for(page, choice: Choice) -> None:
    """Until status and numbers on the page are those of the selection: panes are drawn one after the other."""
    wanted = [f'[data-status="ready"][data-key="{choice.key()}"]']
    if table := TABLES.get(choice.view):
        wanted.append(f'[data-table="{table}"][data-state="ready"][data-key="{choice.key()}"]')
    with telling(page):
        for what in wanted:
            page.wait_for_selector(what, state="attached")


def numbers_on(page, table: str, first: str, second: str) -> list[tuple[str, str, float]]:
    """Two names and the value of each number of a table, as the page holds them."""
    cells = page.locator(f'[data-table="{table}"] td[data-{first}][data-{second}]')
    look = "(cells, names) => cells.map(c => [...names.map(n => c.dataset[n]), parseFloat(c.dataset.value)])"
    return [tuple(cell) for cell in cells.evaluate_all(look, [first, second])]


def stop(page, choice: Choice) -> None:
    """Stop the work on a selection that is under way, and begin it again."""
    page.wait_for_selector('[data-progress="busy"]', state="attached")
    press(page, "Stop")
    page.wait_for_selector('[data-progress="stopped"]', state="attached")
    page.wait_for_selector(f'[data-status="stopped"][data-key="{choice.key()}"]', state="attached")
    press(page, "Again")
    wait_for(page, choice)


def take_turns(page, choice: Choice, hidden: str) -> None:
    """To the Downscale view, where a button is not shown, and back to the selection."""
    wait_for(page, choice)
    press(page, "Downscale")
    wait_for(page, choice.with_(view="downscale"))
    assert not page.get_by_role("button", name=hidden, exact=True).is_visible()
    press(page, choice.view.capitalize())
    wait_for(page, choice)
