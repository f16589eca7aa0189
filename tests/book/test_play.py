"""The game of hidden tokens in a browser, on a phone, by keyboard."""

import json
import shutil

import numpy as np
import pytest
import toybook
from browser import browser, check

from gfm_utils import figures, measures

PAGE = """<!DOCTYPE html><html lang="en"><head><title>Game</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="play.css"><script src="play.js" defer></script></head><body><main>{}</main></body>
</html>"""


@pytest.fixture(scope="module")
def games(trained, smoke):
    return measures.guessing_games(trained, smoke.model_copy(update={"test_windows": 64}))


@pytest.fixture(scope="module")
def page(games, tmp_path_factory):
    folder = tmp_path_factory.mktemp("play")
    for name in ("play.js", "play.css"):
        shutil.copyfile(toybook.REPOSITORY / "assets" / name, folder / name)
    (folder / "play.html").write_text(PAGE.format(figures.guessing_game(games).data), encoding="utf-8")
    return folder / "play.html"


def test_the_data_are_small_and_end_no_script(games):
    hostile = [{**games[0], "condition": "</script><b>@bpe9"}]
    html = figures.guessing_game(hostile).data
    assert html.count("</script>") == 1 and "<b>" not in html
    assert json.loads(html[html.index("[") : html.rindex("]") + 1]) == hostile
    assert len(figures.guessing_game(games).data.encode()) < 60_000


@pytest.mark.browser
def test_two_rounds_by_keyboard_are_scored_as_by_numpy(games, page):
    assert not check(page.parent)
    first, second = (game["rounds"][0] for game in games)
    with browser() as chromium:
        tab = chromium.new_page(viewport={"width": 390, "height": 800})
        tab.goto(page.as_uri())

        def board(player, column):
            row = tab.locator(".guess-board tr", has_text=player)
            return row.locator("td").nth(column).evaluate("cell => cell.firstChild.textContent")

        tab.keyboard.press(str(first["truth"] + 1))  # "likely", and right
        assert board("You", 0) == f"{-np.log2(0.7):.2f}" and board("You", 1) == "–"
        assert board("chance", 0) == f"{np.log2(5):.2f}"
        tab.keyboard.press("1")  # a second answer to a round counts for nothing
        assert board("You", 0) == f"{-np.log2(0.7):.2f}"

        tab.keyboard.press("Enter")
        tab.get_by_label("likely").focus()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press(str((second["truth"] + 1) % 5 + 1))  # "sure", and wrong
        assert board("You", 1) == f"{-np.log2(0.05 / 4):.2f}"
        for column, one in enumerate((first, second)):
            bits = -np.log2(np.array(one["models"])[:, one["truth"]]).mean()
            assert board("Models", column) == f"{bits:.2f}"
            assert board("Counting", column) == f"{-np.log2(one['counting'][one['truth']]):.2f}"
        assert (
            f"It was {second['candidates'][second['truth']]}. You pay" in tab.locator("[role=status]").inner_text()
        )
