"""Progress of a kernel, as a log shows it."""

import pytest

from gfm_utils.book.kernel import Relay


def test_a_log_gets_every_line_and_few_states_of_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    relay = Relay(every=1000.0)
    for step in range(5):
        relay.write(f"\r {step * 20}%")
    relay.write("saved\n")
    assert capsys.readouterr().err == "saved\n"


def test_a_log_gets_the_latest_state_of_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    relay = Relay(every=0.0)
    relay.write("\r 10%\r 20%")
    assert capsys.readouterr().err == " 20%\n"
