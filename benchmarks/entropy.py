"""Code length of DNA: the context mixer against the compressors of the standard library (and GeCo3 if installed).

Tasks: ``entropy:dna-code-length`` (bits a base: the ratio is theirs / ours) and ``entropy:dna-code-speed``
(megabases a second of CPU time, compilation left out: the ratio is ours / theirs), for each mode.
All peers read the same bases, packed four a byte where they are no DNA compressors.
"""

import argparse
import json
import platform
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfm_utils import corpora
from gfm_utils.entropy.codelength import Coder, dna_code_length
from gfm_utils.entropy.dna_mixing import compile_kernels
from gfm_utils.entropy.rows import encode_bases

OURS = (Coder.CONTEXT_MIXING, Coder.CONTEXT_MIXING_FAST, Coder.CONTEXT_MIXING_REPEAT_FREE)


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def geco3(codes: NDArray[np.uint8], level: int) -> float:
    """Bits a base of GeCo3 at a level."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bases"
        path.write_bytes(np.frombuffer(b"ACGT", np.uint8)[codes].tobytes())
        subprocess.run(["GeCo3", "-l", str(level), str(path)], check=True, capture_output=True)
        return 8 * path.with_suffix(".co").stat().st_size / len(codes)


def measure(code: Callable[[], float], bases: int) -> dict[str, float]:
    """Bits a base, and megabases a second of CPU time."""
    begun = cpu_seconds()
    bits = code()
    return {"bits/base": bits, "Mb/s": bases / 1e6 / (cpu_seconds() - begun)}


def compare(codes: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Rows of all modes against all peers."""
    compile_kernels(progress=True)

    def own(coder: Coder) -> dict[str, float]:
        return measure(lambda: dna_code_length([codes], coder).per_symbol, len(codes))

    ours = {coder: own(coder) for coder in OURS}
    peers = {str(coder): own(coder) for coder in (Coder.LZMA, Coder.BZ2)}
    if shutil.which("GeCo3"):
        for level in (10, 16):
            peers[f"GeCo3 -l{level}"] = measure(lambda level=level: geco3(codes, level), len(codes))
    rows = []
    for task, unit in (("entropy:dna-code-length", "bits/base"), ("entropy:dna-code-speed", "Mb/s")):
        for coder, mine in ours.items():
            for peer, other in peers.items():
                ratio = other[unit] / mine[unit] if unit == "bits/base" else mine[unit] / other[unit]
                rows.append(
                    {"task": f"{task}:{coder.removeprefix('context_mixing').strip('_') or 'full'}", "peer": peer}
                    | {"ours": mine[unit], "theirs": other[unit], "unit": unit, "ratio": ratio}
                    | {"device": device()}
                )
    return rows


def device() -> str:
    """The processor's name; one core of it is used."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return f"{found.group(1) if found else platform.processor() or platform.machine()}, 1 core"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", default="tair10-chr1", help="name of a DNA corpus")
    parser.add_argument("--bases", type=int, default=4_000_000, help="how many first bases; 0: all")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args()
    segments, _ = encode_bases([segment.text for segment in corpora.load(options.corpus).segments])
    rows = compare(np.concatenate(segments)[: options.bases or None])
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{options.corpus}, first {options.bases or 'all'} bases; {rows[0]['device']}")
    for row in rows:
        print(
            f"{row['task']:40s} {row['ours']:8.4f} {row['unit']:9s} "
            f"against {row['peer']:12s} {row['theirs']:8.4f}: {row['ratio']:.3f}"
        )


if __name__ == "__main__":
    main()
