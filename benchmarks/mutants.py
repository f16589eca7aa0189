"""Mutants: small faults drawn at random, and how many of them the tests that name the changed code do not find.

A place in the package is drawn by ``--seed``, all with the same chance, and one change that Cosmic Ray knows for
it: another comparison, sign or product, a number off by one, ``and`` for ``or``, a loop that does not run. In a
copy of the tree the tests of that module run, which are those of the same name and those that import it, until one
fails. Annotations, docstrings and figures' layout are left alone. Needs ``pip install cosmic-ray``.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Changes that a reader would take for a slip; Cosmic Ray's other ones (``+`` to ``<<``) any run finds.
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Div")),
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "Gt_Lt", "Is_IsNot")
    ),
    "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd", "AddNot", "NumberReplacer",
    "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ZeroIterationForLoop",
    "ReplaceContinueWithBreak",
)  # fmt: skip
#: What is drawn says little of results.
LEFT_OUT = ("gfm_utils/figures/", "gfm_utils/cli.py")
KILLED, SURVIVED, UNTESTED = "killed", "survived", "no test names it"


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        path: of the file, from the root.
        line: where.
        operator: of Cosmic Ray.
        occurrence: which of the places of that operator in the file.
    """

    path: str
    line: int
    operator: str
    occurrence: int


def mutants(path: Path) -> Iterator[list[Mutant]]:
    """The changes at each place of a file."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    source = path.read_text(encoding="utf-8")
    nodes, hidden = list(ast_nodes(get_ast(source))), _ignored_spans(source)
    places: dict[tuple[int, int], list[Mutant]] = {}
    for name in OPERATORS:
        operator, occurrence = get_operator(f"core/{name}")(), 0
        for node in nodes:
            for (line, column), _ in operator.mutation_positions(node):
                if not any(begin <= (line, column) < end for begin, end in hidden):
                    mutant = Mutant(str(path.relative_to(ROOT)), line, name, occurrence)
                    places.setdefault((line, column), []).append(mutant)
                occurrence += 1
    yield from places.values()


def _ignored_spans(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where types stand, and ``strict`` of ``zip``, a check of ours: a change there is no fault of a result."""
    spans = []
    for node in ast.walk(ast.parse(source)):
        checked = node.value if isinstance(node, ast.keyword) and node.arg == "strict" else None
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None), checked):
            if isinstance(part, ast.expr):
                spans.append(((part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)))
    return spans


def drawn(count: int, seed: int, only: Sequence[str]) -> list[Mutant]:
    """So many mutants, each at another place."""
    rng, places = random.Random(seed), []
    for path in sorted((ROOT / "gfm_utils").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(LEFT_OUT) and (not only or name.startswith(tuple(only))):
            places += list(mutants(path))
    return [rng.choice(place) for place in rng.sample(places, min(count, len(places)))]


def tests_of(path: str) -> list[str]:
    """The test files of a module: of its name or that of its package, and those that import it."""
    module = path.removesuffix(".py").replace("/", ".")
    parent, name = module.rsplit(".", 1)
    named = (f"test_{name}", f"test_{parent.rsplit('.', 1)[-1]}")
    imports = re.compile(
        rf"{re.escape(module)}\b|from {re.escape(parent)} import [^\n]*\b{name}\b|"
        rf"from {re.escape(parent)} import \([^)]*\b{name}\b"
    )
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(file.relative_to(ROOT))
        for file in files
        if file.stem in named or imports.search(file.read_text(encoding="utf-8"))
    ]


def outcome(mutant: Mutant, tree: Path, limit: float) -> tuple[str, str]:
    """What becomes of a mutant in a copy of the tree, and its line."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    file, tests = tree / mutant.path, tests_of(mutant.path)
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutate_code(source, get_operator(f"core/{mutant.operator}")(), mutant.occurrence)
    line = changed.splitlines()[mutant.line - 1].strip()
    if not tests:
        return UNTESTED, line
    file.write_text(changed, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=limit, check=False)
        return SURVIVED if done.returncode == 0 else KILLED, line
    except subprocess.TimeoutExpired:
        return KILLED, line
    finally:
        file.write_text(source, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=(), metavar="PREFIX", help="files, like gfm_utils/measures/")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a mutant counts as killed")
    parser.add_argument("--list", action="store_true", help="draw them, and run nothing")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = drawn(options.count, options.seed, options.only)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        kept = shutil.ignore_patterns(".git", ".venv*", "runs", "_build", "__pycache__", ".*_cache")
        if not options.list:
            shutil.copytree(ROOT, tree, ignore=kept)
        for mutant in chosen:
            said, line = ("drawn", "") if options.list else outcome(mutant, tree, options.limit)
            results.append({**asdict(mutant), "outcome": said, "becomes": line})
            if not options.json:
                print(f"{said:16} {mutant.path}:{mutant.line} {mutant.operator}: {line}", flush=True)
    if options.json:
        print(json.dumps(results, indent=1))
    elif not options.list:
        lost = sum(result["outcome"] != KILLED for result in results)
        print(f"{lost} of {len(results)} mutants survived")


if __name__ == "__main__":
    main()
