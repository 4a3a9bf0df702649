"""From demonstration data to scores and metrics, by the program alone. Needs the default expert."""

import csv
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import small
from program import SKIPPED, Program, ProgramTest, main

RESULT_KEYS = ["path", "score", "p_value", "threshold", "anomalous", "map_max", "ms", "error"]
IMAGE_KEYS = ["auroc", "auroc_ci95", "ap", "ap_ci95", "f1_max"]
PIXEL_KEYS = ["auroc_all", "auroc_anomalous", "aupro_0.3", "aupro_0.05", "f1_max", "ap"]
RATES = ["false_alarm_rate", "detection_rate"]
THRESHOLD_KEYS = [key for rate in RATES for key in (rate, f"{rate}_ci95")]

# As short as a training can be: this is about the program, not about how good a model gets.
SHORT = ["--epochs", "1", "--size", "64"]


class EndToEnd(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.env = {"MKD_EXPERT": str(cls.program.expert())}
        shared = tempfile.TemporaryDirectory(prefix="mkd-program-")
        cls.addClassCleanup(shared.cleanup)
        cls.shared = pathlib.Path(shared.name)
        cls.data = cls.shared / "demo"
        cls.model = cls.shared / "demo.mkd"
        cls.program.run("demo-data", cls.data)
        cls.training = cls.program.run("train", cls.data, "-o", cls.model, *SHORT, env=cls.env)

    def score(self, status, *arguments, **options):
        """The JSON lines of `mkd score`."""
        done = self.expect(status, "score", self.model, "--format", "jsonl", *arguments, **options)
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def test_train(self):
        self.assertEqual(self.training.returncode, 0, self.training.stderr)
        self.assertTrue(self.model.is_file())
        self.assertFalse((self.shared / "demo.mkd.ckpt").exists())
        summary = self.training.stdout.decode()
        for word in ["model", "images", "loss", "threshold", "time"]:
            self.assertRegex(summary, rf"(?m)^{word} +\S")

    def test_same_seed_same_model_on_any_number_of_threads(self):
        again = self.folder / "again.mkd"
        self.expect(0, "train", self.data, "-o", again, *SHORT, "--threads", "3", "-q", env=self.env)
        self.assertEqual(again.read_bytes(), self.model.read_bytes())

    def test_tiles_are_kept_in_the_model(self):
        """Trained on any number of threads, scored, calibrated and evaluated without being told."""
        models = []
        for threads in ["1", "3"]:
            models.append(self.folder / f"{threads}.mkd")
            self.expect(0, "train", self.data, "-o", models[-1], *SHORT, "--tiles", "160x256",
                        "--tile-overlap", "0", "--threads", threads, env=self.env)
        self.assertEqual(models[0].read_bytes(), models[1].read_bytes())
        calibrated = self.folder / "calibrated.mkd"
        self.expect(0, "calibrate", models[0], self.data / "train", "-o", calibrated)
        for model in [models[0], calibrated]:
            made = json.loads(self.expect(0, "info", model, "--format", "json").stdout)["input"]
            self.assertEqual([made["tile_width"], made["tile_height"], made["tile_overlap"]],
                             [160, 256, 0])
        maps = []
        for threads in ["1", "4"]:
            out = self.folder / threads
            image = sorted((self.data / "test" / "hole").iterdir())[0]
            self.expect(0, "score", calibrated, image, "--threads", threads, "--maps", out)
            maps.append(next(out.rglob("*.tiff")).read_bytes())
        self.assertEqual(maps[0], maps[1])
        result = json.loads(self.expect(0, "eval", calibrated, self.data, "--format", "json").stdout)
        self.check_metrics(result)

    def test_score_of_a_folder(self):
        results = self.score(0, self.data / "test")
        names = [result["path"] for result in results]
        files = [os.fspath(path) for path in (self.data / "test").rglob("*.png")]
        self.assertEqual(names, sorted(files))
        for result in results:
            self.assertEqual(list(result), RESULT_KEYS)
            self.assertIsNone(result["error"])
            self.assertEqual(result["anomalous"], result["score"] > result["threshold"])
            self.assertTrue(0 < result["p_value"] <= 1)
            self.assertGreater(result["ms"], 0)
            self.assertIsInstance(result["map_max"], float)

    def test_threads_change_neither_order_nor_numbers(self):
        runs = []
        for threads in ["1", "5"]:
            results = self.score(0, self.data / "test", "--threads", threads)
            for result in results:
                del result["ms"]
            runs.append(results)
        self.assertEqual(runs[0], runs[1])

    def test_csv_and_table_say_the_same(self):
        folder = self.data / "test" / "good"
        results = self.score(0, folder)
        text = self.expect(0, "score", self.model, folder, "--format", "csv").stdout.decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(list(rows[0]), RESULT_KEYS)
        table = self.expect(0, "score", self.model, folder).stdout.decode().splitlines()[1:]
        for result, row, line in zip(results, rows, table, strict=True):
            self.assertEqual(float(row["score"]), result["score"])
            self.assertEqual(row["anomalous"], str(result["anomalous"]).lower())
            score, _, verdict, path = line.split(maxsplit=3)
            self.assertEqual(path, result["path"])
            self.assertAlmostEqual(float(score), result["score"], places=3)
            self.assertEqual(verdict, "anomalous" if result["anomalous"] else "normal")

    def test_a_broken_file_costs_its_own_line(self):
        good = sorted((self.data / "test" / "good").iterdir())[:2]
        broken = self.folder / os.fsdecode(b"bro\xffken\".png")
        broken.write_bytes(good[0].read_bytes()[:50])
        results = self.score(1, good[0], broken, self.folder / "absent.png", good[1])
        self.assertEqual([result["error"] is None for result in results], [True, False, False, True])
        self.assertEqual(list(results[1]), RESULT_KEYS)
        self.assertIsNone(results[1]["score"])
        self.assertIn("bro\ufffdken\".png", results[1]["path"])
        text = self.expect(1, "score", self.model, broken, "--format", "csv").stdout
        rows = list(csv.reader(io.StringIO(os.fsdecode(text))))
        self.assertEqual(rows[1][0], os.fspath(broken))

    def test_an_empty_folder_is_an_input_that_failed(self):
        results = self.score(1, self.folder, self.data / "test" / "good")
        self.assertIsNotNone(results[0]["error"])
        self.assertTrue(all(result["error"] is None for result in results[1:]))

    def test_names_on_standard_input_are_scored_as_they_come(self):
        first, second = sorted((self.data / "test" / "good").iterdir())[:2]
        command = self.program.command("score", self.model, "-", "--format", "jsonl")
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            for name, end in [(first, b"\n"), (second, b"\r\n")]:
                process.stdin.write(os.fsencode(name) + end)
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["path"], os.fspath(name))
            process.stdin.write(b"\n" + os.fsencode(first))  # an empty line, and no end of line
            process.stdin.close()
            self.assertEqual(json.loads(process.stdout.readline())["path"], os.fspath(first))
            self.assertEqual(process.wait(), 0)

    def test_an_interrupt_ends_the_wait_for_standard_input(self):
        command = self.program.command("score", self.model, "-")
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdin.write(os.fsencode(self.folder / "absent.png") + b"\n")
            process.stdin.flush()
            process.stdout.readline()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60), 130)
            process.communicate()

    def test_pictures_mirror_the_inputs(self):
        source = self.folder / "in"
        out = self.folder / "out"
        image = sorted((self.data / "test" / "good").iterdir())[0]
        for name in ["a/1.png", "b/1.png", "b/1.jpg"]:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, source / name)
        folders = ["--maps", out, "--overlays", out, "--masks", out]
        self.score(0, source, *folders)
        made = {os.fspath(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
        suffixes = {"map.tiff": b"II", "overlay.png": b"\x89PNG", "mask.png": b"\x89PNG"}
        expected = {f"{name}.{s}" for name in ["a/1.png", "b/1.png", "b/1.jpg"] for s in suffixes}
        self.assertEqual(made, expected)
        for suffix, magic in suffixes.items():
            start = (out / f"b/1.jpg.{suffix}").read_bytes()[: len(magic)]
            self.assertIn(start, (magic, b"MM"))
        shutil.rmtree(out)
        self.score(0, source / "a", source / "b" / "1.png", "--overlays", out)
        made = {os.fspath(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
        self.assertEqual(made, {"a/1.png.overlay.png", "b/1.png.overlay.png"})

    def test_masks_need_a_threshold_for_their_map(self):
        image = sorted((self.data / "test" / "good").iterdir())[0]
        done = self.expect(
            2, "score", self.model, image, "--masks", self.folder, "--localize", "gradient"
        )
        self.assertIn(b"calibrate", done.stderr)

    def test_fail_on_anomaly(self):
        """At a false-alarm rate of nearly 1, every threshold is below some image."""
        test = self.data / "test"
        rates = ["--false-alarm", "0.9"]
        anomalous = [result["anomalous"] for result in self.score(0, test, *rates)]
        self.assertIn(True, anomalous)
        self.assertEqual(len(self.score(5, test, *rates, "--fail-on-anomaly")), len(anomalous))
        some = self.folder / "broken.png"
        some.write_bytes(b"")
        self.score(5, some, test, *rates, "--fail-on-anomaly")
        self.score(1, some, "--fail-on-anomaly")

    def test_a_lower_false_alarm_rate_raises_the_threshold(self):
        image = sorted((self.data / "test" / "good").iterdir())[0]
        thresholds = [
            self.score(0, image, "--false-alarm", rate)[0]["threshold"]
            for rate in ["0.3", "0.1", "0.001"]
        ]
        self.assertEqual(thresholds, sorted(thresholds))
        self.assertLess(thresholds[0], thresholds[2])

    def test_a_full_disk_ends_the_run(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("needs /dev/full")
        with open("/dev/full", "wb") as full:
            self.expect(4, "score", self.model, self.data / "test", stdout=full)

    def test_quiet_is_quiet(self):
        done = self.expect(0, "score", self.model, self.data / "test" / "good", "-q")
        self.assertEqual(done.stderr, b"")

    def check_metrics(self, metrics):
        self.assertEqual(list(metrics["image"]), IMAGE_KEYS)
        self.assertEqual(list(metrics["pixel"]), PIXEL_KEYS)
        self.assertEqual(list(metrics["at_threshold"]), THRESHOLD_KEYS)
        self.assertEqual(list(metrics["images"]), ["normal", "anomalous"])
        values = [*metrics["image"].values(), *metrics["pixel"].values()]
        values += metrics["at_threshold"].values()
        for value in values:
            for number in value if isinstance(value, list) else [value]:
                self.assertTrue(0 <= number <= 1, metrics)

    def test_eval(self):
        overlays = self.folder / "overlays"
        done = self.expect(
            0, "eval", self.model, self.data, "--format", "json", "--overlays", overlays
        )
        result = json.loads(done.stdout)
        wanted = {"image", "pixel", "at_threshold", "kinds", "images", "model", "data"}
        self.assertEqual(set(result), wanted)
        self.check_metrics(result)
        kinds = {path.name for path in (self.data / "test").iterdir()} - {"good"}
        self.assertEqual(set(result["kinds"]), kinds)
        anomalous = 0
        for kind, metrics in result["kinds"].items():
            self.check_metrics(metrics)
            files = list((self.data / "test" / kind).iterdir())
            self.assertEqual(metrics["images"]["anomalous"], len(files))
            anomalous += len(files)
            for file in files:
                self.assertTrue((overlays / "test" / kind / f"{file.name}.overlay.png").is_file())
        self.assertEqual(result["images"]["anomalous"], anomalous)
        self.assertEqual(result["model"], os.fspath(self.model))
        self.assertEqual(result["data"], os.fspath(self.data))
        table = self.expect(0, "eval", self.model, self.data).stdout.decode()
        self.assertLessEqual(max(map(len, table.splitlines())), 80)
        for kind in kinds:
            self.assertEqual(table.count(f"\n{kind} "), 3)

    def test_eval_prints_names_of_kinds_whole_and_tame(self):
        name = "a scratch of more than twenty letters, großer \x1b[31m \udcff"
        data = self.folder / "named"
        shutil.copytree(self.data / "train", data / "train")
        shutil.copytree(self.data / "test" / "good", data / "test" / "good")
        kind = next(p.name for p in (self.data / "test").iterdir() if p.name != "good")
        for part in ["test", "ground_truth"]:
            shutil.copytree(self.data / part / kind, data / part / name)
        lines = self.expect(0, "eval", self.model, data).stdout.decode().splitlines()
        shown = name.replace("\x1b", "?").replace("\udcff", "?")
        rows = [line for line in lines if line.startswith(shown + " ")]
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertEqual(len(row), len(lines[lines.index(row) + 1]))  # that of all kinds

    def test_eval_of_data_without_labels(self):
        done = self.expect(3, "eval", self.model, self.data / "train")
        self.assertIn(b"test", done.stderr)

    def test_what_ends_an_evaluation_is_told_whichever_thread_meets_it(self):
        data = self.folder / "data"
        shutil.copytree(self.data, data)
        for mask in (data / "ground_truth").rglob("*.png"):
            mask.write_bytes(small.png(256, 256, bytes(256 * 256)))
        for _ in range(10):
            done = self.expect(3, "eval", self.model, data, "--threads", "4", "-q")
            self.assertIn(b"_mask.png: image", done.stderr)

    def test_calibrate(self):
        other = self.folder / "other.mkd"
        arguments = ["calibrate", self.model, self.data, "-o", other, "--false-alarm", "0.2"]
        summary = self.expect(0, *arguments).stdout.decode()
        self.assertRegex(summary, r"(?m)^threshold +\S+ for a false-alarm rate of 0\.2")
        images = len(list((self.data / "train" / "good").iterdir()))
        self.assertIn(f"from {images} held-out images", summary)
        image = sorted((self.data / "test" / "good").iterdir())[0]
        done = self.expect(0, "score", other, image, "--format", "jsonl")
        threshold = re.search(r"(?m)^threshold +(\S+)", summary).group(1)
        self.assertAlmostEqual(json.loads(done.stdout)["threshold"], float(threshold), places=3)

    def test_bench(self):
        image = next((self.data / "test").rglob("*.png"))
        text = self.expect(0, "bench", self.model, image).stdout.decode()
        times = re.findall(r"(?m)^(\S.*?) +([0-9.]+) ms(?: +([0-9.]+) GFLOP/s)?", text)
        names = [name for name, _, _ in times]
        stages = ["decode", "resize", "expert", "cloner", "score", "map"]
        self.assertEqual(names[: len(stages)], stages)
        self.assertEqual(len(set(names)), len(names))
        rates = {name: rate for name, _, rate in times}
        for name in ["expert", "cloner", "conv 3x3/2 64x64x3 to 32", "depthwise 3x3/1 32x32x32"]:
            self.assertGreater(float(rates[name]), 0.1, name)
        expert, alone = dict(t[:2] for t in times)["expert"], "conv 3x3/2 64x64x3 to 32"
        self.assertLess(float(dict(t[:2] for t in times)[alone]), float(expert))
        self.assertRegex(text, r"(?m)^peak +[0-9.]+ GFLOP/s, 1 thread$")

    def test_info(self):
        for file in [self.model, self.env["MKD_EXPERT"]]:
            description = json.loads(self.expect(0, "info", file, "--format", "json").stdout)
            self.assertIsInstance(description, dict)
            text = self.expect(0, "info", file).stdout.decode()
            for key in description:
                self.assertRegex(text, rf"(?m)^{key}\b")

    def interrupt_after(self, seconds, arguments):
        """Starts the program and sends SIGINT; gives its exit status and messages."""
        command = self.program.command(*arguments)
        environment = {**os.environ, **self.env}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            _, messages = process.communicate(timeout=120)
            return process.returncode, messages

    def test_an_interrupted_training_can_be_resumed(self):
        whole = self.folder / "whole.mkd"
        model = self.folder / "parts.mkd"
        checkpoint = self.folder / "parts.mkd.ckpt"
        long = ["train", self.data, "-q", "--epochs", "12", "--size", "64", "-o"]
        start = time.monotonic()
        self.expect(0, *long, whole, env=self.env)
        seconds = time.monotonic() - start
        # How long reading takes, after which there is something to resume, is not known here.
        for share in [0.7, 0.5, 0.6, 0.8, 0.4, 0.9]:
            model.write_bytes(b"the last good model")
            status, messages = self.interrupt_after(share * seconds, [*long, model])
            if checkpoint.exists():
                break
        self.assertEqual(status, 130, messages)
        self.assertIn(b"--resume", messages)
        self.assertEqual(model.read_bytes(), b"the last good model")
        self.expect(0, *long, model, "--resume", env=self.env)
        self.assertFalse(checkpoint.exists())
        self.assertEqual(model.read_bytes(), whole.read_bytes())

    def test_a_failed_training_leaves_the_old_model(self):
        model = self.folder / "old.mkd"
        model.write_bytes(b"the last good model")
        wrong = ["--set", "no_such_key=1"]
        done = self.expect(2, "train", self.data, "-o", model, *wrong, env=self.env)
        self.assertIn(b"no_such_key", done.stderr)
        self.assertEqual(model.read_bytes(), b"the last good model")
        self.assertEqual(os.listdir(self.folder), ["old.mkd"])


def needs_expert():
    if Program(sys.argv[1]).expert() is None:
        print("skipped: there is no expert; scripts/fetch-expert.sh build/expert, or set MKD_EXPERT")
        sys.exit(SKIPPED)


if __name__ == "__main__":
    needs_expert()
    main()
