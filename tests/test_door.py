"""What leads into the code is true: recipes name files and commits, pages and ``gfm why`` what there is."""

import inspect
import json
import re
import runpy
import subprocess
from operator import attrgetter
from pathlib import Path

import pandas as pd
import pytest

import gfm_utils
from gfm_utils.book import why
from gfm_utils.measures.registry import MEASURES

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def paths_in(text: str) -> list[str]:
    """Files and folders of the repository in backticks; NAME stands for one's own."""
    found = re.findall(r"`([\w./-]+(?:/|\.(?:py|md|yml|yaml|toml|cff)))`", text)
    return [path for path in found if not path.startswith((".venv", "_build")) and "NAME" not in path]


def test_every_file_that_the_guide_names_is_there() -> None:
    named = paths_in(GUIDE)
    assert len(named) > 20
    modules = [f"gfm_utils/measures/{name}" for name in named if name in ("static.py", "output.py")]
    plain = [name for name in named if name not in ("static.py", "output.py")]
    assert [path for path in (*plain, *modules) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("kind", SECTIONS)
def test_the_example_of_each_recipe_is_a_commit_that_changed_what_it_names(kind: str) -> None:
    (commit,) = re.findall(r"Example: `(\w{7})`", SECTIONS[kind])
    show = ["git", "show", "--format=", "--name-only", commit]
    done = subprocess.run(show, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("the history here does not reach back to it")
    changed = done.stdout.split()
    assert any(file.startswith(path) for path in paths_in(SECTIONS[kind]) for file in changed), done.stderr


def test_the_page_of_functions_has_all_that_chapters_call() -> None:
    page = runpy.run_path(str(ROOT / "pages" / "api.py"))["page"](ROOT)
    described = set(re.findall(r"autofunction:: gfm_utils\.(\w+\.\w+)", page))
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("chapters/*.py"))
    code = "\n".join(line for line in scripts.splitlines() if not line.startswith("#"))
    called = set(re.findall(r"\b((?:figures|measures|claims)\.\w+)", code))
    assert called <= described and len(called) > 100


@pytest.mark.parametrize("name", MEASURES)
def test_what_makes_a_measure_says_so(name: str) -> None:
    """The function that a trace and the page of functions name has the metric in its description."""
    measure = MEASURES[name]
    described = inspect.getdoc(attrgetter(measure.made_by)(gfm_utils)) or ""
    parts = re.fullmatch(r"(pooled_)?(.+?)(_authors|_paper|_invariant)?", measure.terms[0].metric)
    assert parts is not None
    whole = f"``{measure.terms[0].metric}``" in described
    assert whole or all(f"``{part}``" in described for part in parts.groups() if part)


def test_the_picture_has_every_part_and_an_arrow_into_each_but_the_first() -> None:
    script = runpy.run_path(str(ROOT / "pages" / "architecture.py"))
    parts, taken = script["imports"](ROOT)
    assert set(parts) == {path.stem for path in (ROOT / "gfm_utils").iterdir()} - {"__init__", "__pycache__"}
    assert taken["corpora", "tokens"]["Segment"] > 0 and ("tokens", "corpora") not in taken
    assert set(script["direct"]({("a", "b"), ("b", "c"), ("a", "c")})) == {("a", "b"), ("b", "c")}


@pytest.fixture(scope="module")
def traces() -> dict[str, why.Trace]:
    return why.recorded_traces()


@pytest.mark.parametrize("name", why.NAMES)
def test_a_trace_names_rows_that_are_in_the_table_and_a_line_that_defines_its_function(name: str, traces) -> None:
    trace = traces[name]
    table = pd.read_parquet(ROOT / trace.facts["Table"].strip("`"))
    columns = [*why.TRACED]
    assert len(trace.rows) and table.loc[trace.rows.index, columns].equals(trace.rows[columns])
    assert {"Command", "Commit", "Device", "Versions", "Date"} <= set(trace.facts)
    module, line = trace.place.split(":")
    defined = (ROOT / module).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert defined.startswith(f"def {trace.function_name.rpartition('.')[2]}(")


def test_why_prints_a_trace(gfm, traces) -> None:
    status, out, _ = gfm("why", "js_distance", "--json")
    rows, trace = json.loads(out), traces["js_distance"]
    assert status == 0 and [row["row"] for row in rows] == list(trace.rows.index)
    assert {rows[0][head] for head in trace.facts} == set(trace.facts.values())


def test_why_of_a_wrong_name_lists_those_that_there_are(gfm) -> None:
    status, out, err = gfm("why", "js_distanse")
    assert status == 1 and not out and "did you mean 'js_distance'" in err and "task_gain" in err
