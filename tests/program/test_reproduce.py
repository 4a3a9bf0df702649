"""The paper's experiments on a few made-up images, with a made-up expert: that the protocols are
kept, the sums are right, and a run goes on where it was stopped."""

import csv
import json
import math
import pathlib
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

from program import ProgramTest, main

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "package"))
import made_up_expert  # noqa: E402

# The paper's recipe for this expert, as small as it can be.
CLONER = (
    "conv 7x7/4 8 relu; conv 3x3/2 8 relu; conv 3x3/2 8 relu; keep a; conv 1x1 expert bias; "
    "point block10; from a; conv 3x3/2 8 relu; conv 1x1 expert bias; point block15"
)
SMALL = {"critical_points": "block10,block15", "cloner": CLONER, "batch": "4"}


def settings(**more):
    return [word for key, value in {**SMALL, **more}.items() for word in ("--set", f"{key}={value}")]


TRAIN, TEST = 4, 3  # images of each class


def image(generator, label):
    """28x28 pixels: as many bright rows as the label says, and noise."""
    rows = [200 if y < 2 * label + 2 else 30 for y in range(28)]
    return bytes(min(255, row + generator.randrange(40)) for row in rows for _ in range(28))


def write_mnist(folder):
    folder.mkdir(parents=True)
    generator = random.Random(0)
    for name, each in [("train", TRAIN), ("t10k", TEST)]:
        labels = [i % 10 for i in range(10 * each)]
        pixels = b"".join(image(generator, label) for label in labels)
        header = struct.pack(">4B3I", 0, 0, 8, 3, len(labels), 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + pixels)
        header = struct.pack(">4BI", 0, 0, 8, 1, len(labels))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + bytes(labels))


def write_cifar(folder):
    """All classes to test, but only 3 (cat) and 8 (ship) to train."""
    folder.mkdir(parents=True)
    generator = random.Random(1)
    for name, labels in [("data_batch_1", [3, 8] * 4), ("test_batch", list(range(10)) * 2)]:
        records = (bytes([label]) + generator.randbytes(3072) for label in labels)
        (folder / f"{name}.bin").write_bytes(b"".join(records))


def write_pgm(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P5\n28 28\n255\n" + pixels)


def write_category(folder):
    """MVTec AD layout: the defect is a dark square."""
    generator = random.Random(2)
    for i in range(5):
        write_pgm(folder / f"train/good/{i}.pgm", image(generator, 5))
    for i in range(3):
        write_pgm(folder / f"test/good/{i}.pgm", image(generator, 5))
        marked = [8 <= y < 16 and 4 + i <= x < 12 + i for y in range(28) for x in range(28)]
        pixels = image(generator, 5)
        write_pgm(folder / f"test/hole/{i}.pgm", bytes(0 if m else p for m, p in zip(marked, pixels)))
        write_pgm(folder / f"ground_truth/hole/{i}_mask.pgm", bytes(255 * m for m in marked))


class Reproduce(ProgramTest):
    @classmethod
    def setUpClass(cls):
        shared = tempfile.TemporaryDirectory(prefix="mkd-program-")
        cls.addClassCleanup(shared.cleanup)
        cls.shared = pathlib.Path(shared.name).resolve()
        weights = cls.shared / "weights.safetensors"
        made_up_expert.write(weights)
        cls.expert = cls.shared / "expert.safetensors"
        cls.program.run("import", weights, "-o", cls.expert)
        write_mnist(cls.shared / "mnist")
        write_cifar(cls.shared / "cifar-10")
        write_category(cls.shared / "mvtec" / "bottle")
        write_category(cls.shared / "mvtec" / "tile")

    def reproduce(self, status, data_set, *arguments, data=None, **more):
        data = data or self.shared / data_set
        more.setdefault("epochs", "2")
        return self.expect(
            status, "reproduce", data_set, "--data", data, "--expert", self.expert,
            *settings(**more), *arguments,
        )  # fmt: skip

    def results(self, folder):
        with open(folder / "results.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return rows, json.loads((folder / "results.json").read_text())

    def assert_close(self, text, number):
        self.assertTrue(math.isclose(float(text), number, abs_tol=1e-9), (text, number))

    def test_one_class_against_the_rest(self):
        out = self.folder / "deep" / "out"
        arguments = ["-o", out, "--seeds", "2", "--class", "8", "--class", "1", "--class", "8"]
        table = self.reproduce(0, "mnist", *arguments, epochs="21").stdout.decode()
        for part in ["input_width=32", "holdout=0.001", "epochs=21", "after epoch 20, 21, seeds 0 to 1"]:
            self.assertIn(part, table)
        for line in table.splitlines():
            self.assertTrue(len(line) <= 87 or "cloner" in line, line)
        rows, whole = self.results(out)
        self.assertEqual([row["class"] for row in rows], ["8", "1", "mean"])
        units = {(unit["class"], unit["seed"]): unit for unit in whole["units"]}
        self.assertEqual(set(units), {(c, s) for c in "81" for s in (0, 1)})
        for unit in units.values():
            images = {"train": TRAIN, "normal": TEST, "anomalous": 9 * TEST}
            self.assertEqual(unit["images"], images)
            self.assertEqual([sample["epoch"] for sample in unit["samples"]], [20, 21])
            self.assertEqual(unit["maps"], [])
        # A class: mean and deviation over all sampled models. The mean: over classes, then seeds.
        samples = {key: [100 * s["auroc"] for s in unit["samples"]] for key, unit in units.items()}
        for row in rows[:2]:
            values = samples[row["class"], 0] + samples[row["class"], 1]
            self.assertEqual(row["models"], "4")
            self.assert_close(row["image_auroc"], statistics.mean(values))
            self.assert_close(row["image_deviation"], statistics.stdev(values))
            self.assertRegex(table, rf"(?m)^{row['class']} +4 +{statistics.mean(values):.2f} ± ")
        seeds = [statistics.mean(samples["8", s] + samples["1", s]) for s in (0, 1)]
        self.assert_close(rows[2]["image_auroc"], statistics.mean(seeds))
        self.assert_close(rows[2]["image_deviation"], statistics.stdev(seeds))
        self.assertEqual(rows[2]["image_published"], "")

    def test_the_score_is_that_of_training_and_scoring_by_hand(self):
        """The last model of seed 1, with the same images in files of their own."""
        out, data = self.folder / "out", self.folder / "data"
        self.reproduce(0, "mnist", "-o", out, "--class", "3", "--seeds", "2")
        pixels = {}
        for name in ["train", "t10k"]:
            content = (self.shared / "mnist" / f"{name}-images-idx3-ubyte").read_bytes()[16:]
            pixels[name] = [content[i : i + 784] for i in range(0, len(content), 784)]
        for i, picture in enumerate(pixels["train"]):
            if i % 10 == 3:
                write_pgm(data / f"train/good/{i:02}.pgm", picture)
        for i, picture in enumerate(pixels["t10k"]):
            write_pgm(data / f"test/{'good' if i % 10 == 3 else 'other'}/{i:02}.pgm", picture)
        model = self.folder / "3.mkd"
        shape = {"input_width": "32", "input_height": "32", "holdout": "0.001", "epochs": "2"}
        self.expect(0, "train", data, "-o", model, "--recipe", "paper", "--seed", "1", "--expert",
                    self.expert, *settings(**shape))  # fmt: skip
        metrics = json.loads(self.expect(0, "eval", model, data, "--format", "json").stdout)
        unit = json.loads((out / "units" / "3.seed_1.json").read_text())
        self.assertEqual(len(unit["samples"]), 1)
        self.assert_close(unit["samples"][0]["auroc"], metrics["image"]["auroc"])

    def test_all_classes_stand_beside_the_published_mean(self):
        out = self.folder / "out"
        table = self.reproduce(0, "mnist", "-o", out, epochs="1").stdout.decode()
        rows, _ = self.results(out)
        self.assertEqual([row["class"] for row in rows], [*"0123456789", "mean"])
        self.assertEqual(float(rows[10]["image_published"]), 98.71)
        self.assert_close(
            rows[10]["image_auroc"], statistics.mean(float(row["image_auroc"]) for row in rows[:10])
        )
        self.assertRegex(table, r"(?m)^mean +10 +[0-9.]+ +98\.71 +[-+][0-9.]+$")

    def test_a_run_goes_on_where_it_was_stopped(self):
        whole, out = self.folder / "whole", self.folder / "out"
        arguments = ["mnist", "--class", "1", "--class", "2", "--class", "3", "--seeds", "2", "-q"]
        table = self.reproduce(0, *arguments, "-o", whole, epochs="60").stdout
        command = self.program.command(
            "reproduce", *arguments, "--data", self.shared / "mnist", "--expert", self.expert,
            *settings(epochs="60"), "-o", out,
        )  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None and not list(out.glob("units/*.json")):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, messages = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, messages)
        self.assertIn(b"goes on", messages)
        self.assertFalse((out / "results.csv").exists())
        done = {path: path.stat().st_mtime_ns for path in (out / "units").iterdir()}
        self.assertIn(len(done), range(1, 6))
        self.assertEqual(self.reproduce(0, *arguments, "-o", out, epochs="60").stdout, table)
        for path, modified in done.items():
            self.assertEqual(path.stat().st_mtime_ns, modified)
        self.assertEqual((out / "results.csv").read_bytes(), (whole / "results.csv").read_bytes())

    def test_nothing_is_run_twice(self):
        """More classes may be added, by the same expert."""
        out, expert = self.folder / "out", self.folder.resolve() / "expert.safetensors"
        shutil.copy(self.expert, expert)
        arguments = ["reproduce", "mnist", "--data", self.shared / "mnist", "--expert", expert]
        arguments += [*settings(epochs="2"), "-o", out]
        first = self.expect(0, *arguments, "--class", "4").stdout
        modified = (out / "units/4.seed_0.json").stat().st_mtime_ns
        self.assertEqual(self.expect(0, *arguments, "--class", "4").stdout, first)
        self.assertEqual((out / "units/4.seed_0.json").stat().st_mtime_ns, modified)
        self.expect(0, *arguments, "--class", "4", "--class", "5")
        self.assertEqual([row["class"] for row in self.results(out)[0]], ["4", "5", "mean"])
        weights = self.folder / "weights.safetensors"
        made_up_expert.write(weights)
        weights.write_bytes(weights.read_bytes()[:-4] + struct.pack("<f", 0.5))
        self.expect(0, "import", weights, "-o", expert)
        done = self.expect(2, *arguments, "--class", "4")
        self.assertIn(b"the content of the expert was", done.stderr)
        expert.unlink()
        self.assertIn(b"expert.safetensors", self.expect(3, *arguments, "--class", "4").stderr)

    def test_a_command_that_failed_does_not_take_the_folder(self):
        out = self.folder / "out"
        self.reproduce(2, "mnist", "-o", out, "--class", "4", epochs="0")
        self.reproduce(2, "mnist", "-o", out, "--class", "4", "--set", "batc=3")
        self.reproduce(0, "mnist", "-o", out, "--class", "4")

    def test_results_of_others_are_not_replaced(self):
        out = self.folder / "out"
        out.mkdir()
        (out / "results.csv").write_text("mine")
        done = self.reproduce(2, "mnist", "-o", out, "--class", "4")
        self.assertIn(b"results.csv: is there, but no command.json", done.stderr)
        self.assertEqual([path.name for path in out.iterdir()], ["results.csv"])

    def test_names_of_categories_may_be_anything(self):
        data, out = self.folder / "mvtec", self.folder / "out"
        names = ["a b", "a_b", "a.b", "\u87ba\u4e1d", "\u87ba\u6bcd", "x" * 200 + "1", "x" * 200 + "2"]
        for name in names:
            shutil.copytree(self.shared / "mvtec" / "tile", data / name)
        first = self.reproduce(0, "mvtec", "-o", out, data=data, **self.small_input()).stdout
        again = self.reproduce(0, "mvtec", "-o", out, data=data, **self.small_input()).stdout
        self.assertEqual(first, again)
        self.assertEqual(len(list((out / "units").iterdir())), len(names))

    def test_another_command_in_the_same_folder_is_refused(self):
        out = self.folder / "out"
        self.reproduce(0, "mnist", "-o", out, "--class", "4")
        before = (out / "results.csv").read_bytes()
        for arguments, more, part in [
            ([], {"epochs": "3"}, "settings"),
            (["--recipe", "paper-code"], {}, 'recipe was "paper", now it is "paper-code"'),
            (["--limit-train", "3"], {}, 'limit of training images was "0", now it is "3"'),
            (["--ablation", "loss"], {}, "ablation"),
        ]:
            done = self.reproduce(2, "mnist", "-o", out, "--class", "4", *arguments, **more)
            self.assertIn(part, done.stderr.decode())
            self.assertIn("name another folder", done.stderr.decode())
        data = self.folder / "mnist"
        shutil.copytree(self.shared / "mnist", data)
        self.reproduce(2, "mnist", "-o", out, "--class", "4", data=data)
        self.assertEqual((out / "results.csv").read_bytes(), before)

    def test_a_damaged_unit_is_named(self):
        out = self.folder / "out"
        self.reproduce(0, "mnist", "-o", out, "--class", "4")
        unit = out / "units" / "4.seed_0.json"
        good = unit.read_text()
        for bad in ["", "{", "[]", good.replace('"seed": 0', '"seed": 1'), good.replace("auroc", "x"),
                    good.replace('"epoch": 2', '"epoch": 3')]:  # fmt: skip
            unit.write_text(bad)
            done = self.reproduce(3, "mnist", "-o", out, "--class", "4")
            self.assertIn(str(unit), done.stderr.decode())

    def test_classes_without_training_images(self):
        table = self.reproduce(0, "cifar-10", "-q", **self.small_input()).stdout.decode()
        self.assertRegex(table, r"(?m)^cat +1 +[0-9.]+ +77\.02 ")
        self.assertRegex(table, r"(?m)^ship +1 +[0-9.]+ +91\.45 ")
        self.assertRegex(table, r"(?m)^mean +2 +[0-9.]+ +84\.2[34] ")  # of these two
        self.assertNotIn("airplane", table)
        note = self.reproduce(0, "cifar-10", "-q", **self.small_input()).stderr.decode()
        self.assertIn("airplane: no image to train on", note)
        done = self.reproduce(3, "cifar-10", "--class", "frog", **self.small_input())
        self.assertIn("frog", done.stderr.decode())
        table = self.reproduce(0, "cifar-10", "--class", "8", **self.small_input()).stdout.decode()
        self.assertIn("ship", table)
        done = self.reproduce(2, "cifar-10", "--class", "cow", **self.small_input())
        self.assertIn("truck", done.stderr.decode())

    @staticmethod
    def small_input():
        sides = ["input_width", "input_height", "resize_width", "resize_height"]
        return dict.fromkeys(sides, "32")

    def test_what_the_paper_changes_for_its_data(self):
        table = self.reproduce(0, "mnist", "--class", "0", "--recipe", "paper-code", epochs="1",
                               score_points="").stdout.decode()  # fmt: skip
        for part in ["paper-code", "weight_val=0.01", "input_width=32"]:
            self.assertIn(part, table)
        self.assertNotIn("epochs=51", table)  # the user's own count
        recipe = self.folder / "mine.json"
        recipe.write_text('{"base": "paper", "name": "mine", "input_width": 64, "input_height": 64}')
        table = self.reproduce(0, "mnist", "--class", "0", "--recipe", recipe).stdout.decode()
        self.assertNotIn("input_width", table)

    def test_one_cycle_has_one_model(self):
        out = self.folder / "out"
        self.reproduce(0, "mnist", "-o", out, "--class", "0", schedule="one-cycle", epochs="21")
        _, whole = self.results(out)
        self.assertEqual([s["epoch"] for s in whole["units"][0]["samples"]], [21])

    def test_a_limit_is_named(self):
        out = self.folder / "out"
        done = self.reproduce(0, "mnist", "-o", out, "--class", "0", "--limit-train", "3")
        self.assertIn("at most 3 normal images", done.stdout.decode())
        _, whole = self.results(out)
        self.assertEqual(whole["units"][0]["images"]["train"], 3)
        self.assertEqual(whole["limit_train"], 3)

    def test_mvtec(self):
        out = self.folder / "out"
        done = self.reproduce(0, "mvtec", "-o", out, "--seeds", "2", **self.small_input())
        rows, whole = self.results(out)
        self.assertEqual([row["class"] for row in rows], ["bottle", "tile", "mean"])
        self.assertEqual([float(row["pixel_published"]) for row in rows[:2]], [96.32, 82.77])
        self.assert_close(rows[2]["pixel_published"], (96.32 + 82.77) / 2)
        for row in rows[:2]:
            units = [unit for unit in whole["units"] if unit["class"] == row["class"]]
            for column, key in [("pixel_auroc_anomalous", "auroc_anomalous"),
                                ("pixel_auroc_all", "auroc_all"), ("aupro_0.3", "aupro_0.3")]:  # fmt: skip
                values = [100 * unit["maps"][0][key] for unit in units]
                self.assert_close(row[column], statistics.mean(values))
        self.assertIn("all images", done.stdout.decode())
        alone = self.reproduce(
            0, "mvtec", "-o", self.folder / "one", "--seeds", "2", data=self.shared / "mvtec" / "tile",
            **self.small_input(),
        )  # fmt: skip
        self.assertRegex(alone.stdout.decode(), r"(?m)^tile ")
        one, _ = self.results(self.folder / "one")
        self.assertEqual(one[0], rows[1])
        done = self.reproduce(2, "mvtec", "--category", "cow", **self.small_input())
        self.assertIn("bottle, tile", done.stderr.decode())

    def test_medical(self):
        """10 normal images drawn by the seed, and all others, are what is tested."""
        generator, data, out = random.Random(3), self.folder / "brain", self.folder / "out"
        for i in range(16):
            write_pgm(data / f"no/{i}.pgm", image(generator, 2))
        for i in range(3):
            write_pgm(data / f"yes/{i}.pgm", image(generator, 7))
        self.reproduce(0, "medical", "-o", out, "--seeds", "2", data=data, **self.small_input())
        rows, whole = self.results(out)
        self.assertEqual([row["class"] for row in rows], ["brain", "mean"])
        for unit in whole["units"]:
            self.assertEqual(unit["images"], {"train": 6, "normal": 10, "anomalous": 3})

        head = self.folder / "head"
        (head / "images").mkdir(parents=True)
        lines = ["id, hemorrhage"]
        for i, path in enumerate(sorted((data / "no").iterdir()) + sorted((data / "yes").iterdir())):
            shutil.copy(path, head / "images" / f"{i:03}.pgm")
            lines.append(f"{i},{int('yes' in str(path))}")
        (head / "labels.csv").write_text("\n".join(lines))
        self.reproduce(0, "medical", "-o", self.folder / "2", data=head, **self.small_input())
        _, whole = self.results(self.folder / "2")
        self.assertEqual(whole["units"][0]["images"], {"train": 6, "normal": 10, "anomalous": 3})

        table = self.reproduce(
            0, "medical", data=self.shared / "mvtec" / "tile", **self.small_input()
        ).stdout.decode()
        self.assertIn("as the data set divides them", table)
        self.assertIn(b"no known medical", self.reproduce(3, "medical", data=self.shared / "mnist").stderr)

    def test_ablation_of_the_loss(self):
        out = self.folder / "out"
        arguments = ["-o", out, "--ablation", "loss", "--class", "0", "--class", "t-shirt/top"]
        data = self.shared / "mnist"
        self.reproduce(2, "mnist", *arguments)  # the class is one of fashion-mnist
        table = self.reproduce(0, "fashion-mnist", *arguments[:-2], "--class", "trouser", data=data)
        rows, _ = self.results(out)
        names = ["value only", "direction only", "total"]
        self.assertEqual([row["variant"] for row in rows], [name for name in names for _ in range(3)])
        figures = {row["image_auroc"] for row in rows if row["class"] == "trouser"}
        self.assertGreater(len(figures), 1)
        self.assertIn("direction only", table.stdout.decode())
        self.check_plot(out, groups=3, series=names)

    def test_ablation_of_the_maps(self):
        out = self.folder / "out"
        more = {**self.small_input(), "smoothgrad_samples": "2"}
        self.reproduce(0, "mvtec", "-o", out, "--ablation", "maps", "--category", "tile", **more)
        rows, whole = self.results(out)
        self.assertEqual(len(whole["units"]), 1)  # trained once
        self.assertEqual(len(whole["units"][0]["maps"]), 6)
        first = [row["variant"] for row in rows if row["class"] == "tile"]
        self.assertEqual(len(first), 6)
        figures = {row["pixel_auroc_anomalous"] for row in rows if row["class"] == "tile"}
        self.assertGreater(len(figures), 4)
        self.check_plot(out, groups=1, series=first)
        # The recipe's own map is one of them.
        self.reproduce(0, "mvtec", "-o", self.folder / "own", "--category", "tile", **more)
        own, _ = self.results(self.folder / "own")
        gradient = next(row for row in rows if row["variant"] == "gradient, Gaussian")
        self.assertEqual(own[0]["pixel_auroc_anomalous"], gradient["pixel_auroc_anomalous"])
        done = self.reproduce(2, "mnist", "-o", self.folder / "no", "--ablation", "maps")
        self.assertIn(b"masks", done.stderr)

    def test_names_of_folders_are_shown_whole_and_tame(self):
        name = "<tiles of a long name, größer> \x1b[31m \udcff"
        data, out = self.folder / "mvtec", self.folder / "out"
        shutil.copytree(self.shared / "mvtec" / "tile", data / name)
        arguments = ["-o", out, "--ablation", "loss"]
        done = self.reproduce(0, "mvtec", *arguments, data=data, **self.small_input())
        lines = done.stdout.decode().splitlines()
        shown = name.replace("\x1b", "?").replace("\udcff", "?")
        for variant in ["value only", "direction only", "total"]:
            self.assertEqual(sum(line.startswith(f"{shown} {variant} ") for line in lines), 2)
        self.assertNotIn(b"\x1b", done.stderr)
        self.check_plot(out, groups=1, series=["value only", "direction only", "total"])
        tree = xml.etree.ElementTree.parse(out / "ablation.svg")
        self.assertIn("größer> \ufffd[31m \ufffd", "".join(tree.getroot().itertext()))

    def check_plot(self, out, groups, series):
        tree = xml.etree.ElementTree.parse(out / "ablation.svg")
        text = "".join(tree.getroot().itertext())
        for name in series:
            self.assertIn(name, text)
        self.assertIn("prefers-color-scheme: dark", text)
        bars = [
            element for element in tree.iter("{http://www.w3.org/2000/svg}rect")
            if element.get("fill") and not element.get("rx")
        ]  # fmt: skip
        self.assertEqual(len(bars), groups * len(series))
        for bar in bars:
            self.assertGreaterEqual(float(bar.get("height")), 0)

    def test_what_an_ablation_varies_cannot_be_set(self):
        done = self.reproduce(2, "mnist", "-o", self.folder, "--ablation", "loss", weight_dir="1")
        self.assertIn(b"weight_dir", done.stderr)

    def test_wrong_names(self):
        self.assertIn(b"cifar-10", self.reproduce(2, "imagenet", data=self.shared / "mnist").stderr)
        done = self.reproduce(3, "mnist", data=self.shared / "nothing")
        self.assertIn(b"no such folder", done.stderr)
        done = self.reproduce(3, "mvtec", data=self.shared / "mnist")
        self.assertIn(b"train/good", done.stderr)


if __name__ == "__main__":
    main()
