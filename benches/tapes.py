#!/usr/bin/env python3
"""The scalar tape and other Rust tapes on workloads T1 to T5: minima as multiples of the plain value in the same run.

    python3 benches/tapes.py --shared DIR [--work T2 T5]

DIR/peers/tape/rust holds the peers' driver. It is built in a temporary folder with the same flags as this crate: native processor,
link-time optimisation, one code unit. Needs Python 3 and cargo.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ["rust-plain", "echidna-reverse", "echidna-bytecode", "reverse-crate", "ad_trait-adr", "num-dual-vec20"]
OURS = ["gradient-plain", "gradient-fused", "hvp-plain", "hvp-fused"]
FLAGS = {
    "RUSTFLAGS": "-C target-cpu=native",
    "CARGO_PROFILE_RELEASE_LTO": "fat", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1",
    "CARGO_PROFILE_BENCH_LTO": "fat", "CARGO_PROFILE_BENCH_CODEGEN_UNITS": "1",
}


def run(command, **options):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def peer(binary, tool, work):
    """Seconds of a peer's gradient, or of the plain value; None if the peer does not have the workload."""
    if tool == "num-dual-vec20" and work != "T5":
        return None  # twenty tangents suffice only for twenty arguments
    mode = "primal" if tool == "rust-plain" else "warm"
    return json.loads(run([binary, tool, work, mode, "own"]))["total_min_s"]


def ours(target, work, what):
    """Seconds of the fastest sample that criterion recorded."""
    path = target / "criterion" / work / what / "new" / "sample.json"
    if not path.exists():
        return None
    sample = json.loads(path.read_text())
    return min(time / count for time, count in zip(sample["times"], sample["iters"])) * 1e-9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path, required=True)
    parser.add_argument("--work", nargs="+", default=["T1", "T2", "T3", "T4", "T5"])
    arguments = parser.parse_args()
    environment = os.environ | FLAGS
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copytree(arguments.shared / "peers/tape/rust", folder / "rust")
        target = folder / "target"
        environment["CARGO_TARGET_DIR"] = str(target)
        run(["cargo", "build", "--release"], cwd=folder / "rust", env=environment)
        binary = target / "release/tape-peers"
        print(f"{'work':6}{'plain value':>14}" + "".join(f"{name:>18}" for name in PEERS[1:] + OURS))
        for work in arguments.work:
            bench = ["cargo", "bench", "-p", "hypertape-autodiff", "--bench", "scalar", "--", f"^{work}/(gradient|hvp)"]
            run(bench, cwd=ROOT, env=environment)
            seconds = [peer(binary, tool, work) for tool in PEERS] + [ours(target, work, what) for what in OURS]
            plain = seconds[0]
            cells = "".join(f"{s / plain:18.1f}" if s else f"{'-':>18}" for s in seconds[1:])
            print(f"{work:6}{plain * 1e3:11.3f} ms{cells}", flush=True)


if __name__ == "__main__":
    main()
