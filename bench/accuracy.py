#!/usr/bin/env python3
"""Trains and evaluates on labelled data sets over several seeds, and prints means and spreads.

Each data set is a folder in MVTec AD layout. Models and evaluations are kept in --work, and what is
there is not made again. What follows -- goes to `mkd train`:

  bench/accuracy.py --seeds 3 ../shared/data/magnetic-tile
  bench/accuracy.py --localize gradient,gbp ../shared/data/magnetic-tile -- --recipe paper \\
      --expert vgg19.safetensors --epochs 40
"""

import argparse
import hashlib
import json
import pathlib
import statistics
import subprocess
import sys
import time

COLUMNS = [
    ("image AUROC", ("image", "auroc")),
    ("pixel AUROC, all images", ("pixel", "auroc_all")),
    ("at 256²", ("at_256", "pixel", "auroc_all")),
    ("anomalous images", ("pixel", "auroc_anomalous")),
    ("AU-PRO 0.3", ("pixel", "aupro_0.3")),
    ("detected", ("at_threshold", "detection_rate")),
    ("false alarms", ("at_threshold", "false_alarm_rate")),
]


def run(command):
    """Standard output of a command; its error output when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def measure(options, data, seed, localize):
    """Trains and evaluates once; the JSON of `mkd eval`, with seconds of training."""
    key = hashlib.sha256(json.dumps([str(data), seed, options.train]).encode()).hexdigest()[:12]
    model = options.work / f"{data.name}-{seed}-{key}.mkd"
    times = model.with_suffix(".seconds")
    if not model.exists():
        start = time.monotonic()
        run([options.mkd, "train", data, "-o", model, "--seed", str(seed), "-q", *options.train])
        times.write_text(f"{time.monotonic() - start:.1f}")
    result = model.with_suffix(f".{localize or 'recipe'}.json")
    if not result.exists():
        command = [options.mkd, "eval", model, data, "-q", "--format", "json"]
        if localize:
            command += ["--localize", localize]
        found = json.loads(run(command))
        found["at_256"] = json.loads(run([*command, "--resolution", "256"]))
        found["seconds"] = float(times.read_text())
        result.write_text(json.dumps(found))
    return json.loads(result.read_text())


def cell(values):
    """Mean and sample deviation in percent, or a dash for what is not defined."""
    if any(value is None for value in values):
        return "-"
    percent = [100 * value for value in values]
    spread = f" ± {statistics.stdev(percent):.1f}" if len(percent) > 1 else ""
    return f"{statistics.mean(percent):.1f}{spread}"


def look_up(found, path):
    for name in path:
        found = (found or {}).get(name)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    parser.add_argument("--mkd", default="build/release/programs/mkd/mkd", help="the program")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 .. N - 1 (3)")
    parser.add_argument("--localize", default="", help="methods, separated by commas")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/accuracy"))
    arguments = sys.argv[1:]
    train = []
    if "--" in arguments:
        train = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    options = parser.parse_args(arguments)
    options.train = train
    options.work.mkdir(parents=True, exist_ok=True)

    print("| data | map | " + " | ".join(name for name, _ in COLUMNS) + " | training, s |")
    print("|---|---|" + "---|" * (len(COLUMNS) + 1))
    for data in options.data:
        for localize in options.localize.split(","):
            rows = [measure(options, data, seed, localize) for seed in range(options.seeds)]
            cells = [cell([look_up(row, path) for row in rows]) for _, path in COLUMNS]
            seconds = statistics.median(row["seconds"] for row in rows)
            print(f"| {data.name} | {localize or 'of the recipe'} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
