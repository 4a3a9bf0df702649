"""Files of mkd as another program reads and writes them, with the safetensors package: what
docs/model-format.md says is what is in them."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    from safetensors import safe_open
    from safetensors.numpy import save_file
except ImportError:
    # CI has them in an environment of their own, which it names.
    other = os.environ.pop("MKD_TEST_PYTHON", "")
    if other:
        os.execv(other, [other, *sys.argv])
    print("needs the Python packages numpy and safetensors")
    sys.exit(77)  # CTest's SKIP_RETURN_CODE

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
PROGRAM = None
WIDTH, HEIGHT, IMAGES = 24, 16, 11
PLAN = (
    "conv 3x3/2 6 bn relu; keep a; conv 1x1 expert bias; point p1; "
    "from a; conv 3x3/2 10 bn relu6; conv 1x1 expert bias; point p2"
)


def documented(heading):
    """The names in the first column of the tables of a section."""
    text = (DOCS / "model-format.md").read_text(encoding="utf-8")
    section = re.search(rf"(?ms)^#+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", text).group(1)
    rows = re.findall(r"(?m)^\| (`[^|]*`) \|", section)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def documented_recipe():
    text = (DOCS / "recipe.md").read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^\| `([a-z_]+)` \|", text))


def write_expert(path):
    """An expert of two convolutions, made from what the document says alone."""
    rng = numpy.random.default_rng(0)

    def weights(*shape):
        return rng.normal(0, 0.2, shape).astype(numpy.float32)

    graph = {
        "input": 3,
        "ops": [
            {"op": "conv", "src": 0, "channels": 8, "kernel": 3, "stride": 2, "groups": 1,
             "pad": 1, "bias": True},
            {"op": "relu", "src": 1, "name": "p1"},
            {"op": "conv", "src": 2, "name": "p2", "channels": 12, "kernel": 3, "stride": 2,
             "groups": 1, "pad": "same", "bias": False},
            {"op": "relu6", "src": 3, "name": "unused"},
        ],
    }
    arrays = {
        "op1.weight": weights(3, 3, 3, 8),
        "op1.bias": weights(8),
        "p2.weight": weights(3, 3, 8, 12),
    }
    metadata = {
        "format": "mkd-expert",
        "version": "2",
        "arch": "tiny",
        "mean": "[127, 127, 127]",
        "std": "[128, 128, 128.5]",
        "input_size": "24",
        "source_sha256": "0123456789abcdef" * 4,
        "graph": json.dumps(graph),
    }
    save_file(arrays, path, metadata)
    return arrays, metadata


def write_images(folder):
    folder.mkdir()
    rng = numpy.random.default_rng(1)
    for i in range(IMAGES):
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), numpy.uint8)
        head = f"P6 {WIDTH} {HEIGHT} 255\n".encode()
        (folder / f"{i:02}.ppm").write_bytes(head + pixels.tobytes())


def read(path):
    with safe_open(path, "numpy") as file:
        names = list(file.keys())
        return {name: file.get_tensor(name) for name in names}, file.metadata()


class ModelFormat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="mkd-format-")
        cls.addClassCleanup(cls.temporary.cleanup)
        folder = pathlib.Path(cls.temporary.name)
        cls.expert = folder / "tiny.safetensors"
        cls.expert_arrays, cls.expert_metadata = write_expert(cls.expert)
        write_images(folder / "images")
        cls.model = folder / "tiny.mkd"
        sets = ["critical_points=p1,p2", f"cloner={PLAN}", "copies=0", "contrast_below=0"]
        cls.run_program(
            "train", folder / "images", "-o", cls.model, "--expert", cls.expert, "--size",
            f"{WIDTH}x{HEIGHT}", "--epochs", "2", "--batch", "4", "--seed", "3", "-q",
            *[word for value in sets for word in ("--set", value)],
        )
        cls.arrays, cls.metadata = read(cls.model)

    @classmethod
    def run_program(cls, *arguments):
        command = [PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            raise AssertionError((command, done.returncode, done.stderr))
        return done.stdout

    def check_network(self, prefix, points):
        """The arrays are those that the operations ask for, and nothing else."""
        graph = json.loads(self.metadata[f"{prefix}graph"])
        self.assertEqual(set(graph), {"input", "ops"})
        self.assertEqual(graph["input"], 3)
        members = documented("Networks")
        channels, shapes, names = [3], {}, set()
        for number, op in enumerate(graph["ops"], 1):
            self.assertLessEqual(set(op), members)
            names.add(op.get("name"))
            sources = op["src"] if isinstance(op["src"], list) else [op["src"]]
            self.assertTrue(all(0 <= source < number for source in sources))
            self.assertIn(op["op"], {"conv", "relu", "relu6", "max_pool", "add"})
            channels.append(op.get("channels", channels[sources[0]]))
            if op["op"] != "conv":
                continue
            name = prefix + op.get("name", f"op{number}")
            size = [channels[sources[0]] // op["groups"], op["channels"]]
            shapes[f"{name}.weight"] = (op["kernel"], op["kernel"], *size)
            if op["bias"]:
                shapes[f"{name}.bias"] = (op["channels"],)
        found = {name: array.shape for name, array in self.arrays.items()
                 if name.startswith(prefix)}
        self.assertEqual(found, shapes)
        self.assertLessEqual(set(points), names)
        return len(graph["ops"])

    def test_metadata_are_those_of_the_document(self):
        self.assertEqual(set(self.metadata), documented("Model files") - {
            "target_mean.P", "target_deviation.P"})
        self.assertEqual(self.metadata["mkd_model"], "2")
        for name in ("input", "calibration", "provenance"):
            self.assertEqual(set(json.loads(self.metadata[name])), documented(f"`{name}`"))
        self.assertEqual(set(json.loads(self.metadata["recipe"])), documented_recipe())

    def test_networks_are_complete(self):
        self.assertEqual(self.check_network("expert.", ["p1", "p2"]), 3)  # "unused" is cut off
        self.assertEqual(self.check_network("cloner.", ["p1", "p2"]), 6)  # batch norm is folded
        for name, array in self.expert_arrays.items():
            numpy.testing.assert_array_equal(self.arrays[f"expert.{name}"], array)

    def test_statistics_belong_to_the_points(self):
        rest = {name: array for name, array in self.arrays.items()
                if not name.startswith(("expert.", "cloner."))}
        shapes = {f"{kind}.{point}": (size,) for kind in ("target_mean", "target_deviation")
                  for point, size in (("p1", 8), ("p2", 12))}
        self.assertEqual({name: array.shape for name, array in rest.items()}, shapes)
        for name, array in self.arrays.items():
            self.assertEqual(array.dtype, numpy.float32, name)
            self.assertTrue(numpy.isfinite(array).all(), name)

    def test_values_are_plausible(self):
        recipe, made, calibration, provenance = (
            json.loads(self.metadata[name])
            for name in ("recipe", "input", "calibration", "provenance"))
        self.assertEqual(recipe["cloner"], PLAN)
        self.assertEqual(recipe["epochs"], "2")
        self.assertEqual((made["width"], made["height"]), (WIDTH, HEIGHT))
        self.assertEqual(made["mean"], [127, 127, 127])
        self.assertEqual(made["std"], [128, 128, 128.5])
        self.assertEqual((made["low"], made["high"]), (0, 255))
        self.assertEqual(calibration["scores"], sorted(calibration["scores"]))
        self.assertEqual(len(calibration["scores"]), 2)
        self.assertEqual(len(calibration["map_maxima"]), 2)
        self.assertEqual(len(calibration["square_mean"]), 2)
        self.assertEqual(calibration["false_alarm"], 0.01)
        self.assertEqual(calibration["localize"], "discrepancy")
        self.assertEqual(provenance["expert_arch"], "tiny")
        self.assertEqual(provenance["expert_sha256"], self.expert_metadata["source_sha256"])
        self.assertEqual(provenance["seed"], 3)
        self.assertEqual(provenance["trained_images"], 9)
        self.assertEqual(provenance["epochs"], 2)

    def test_files_of_other_programs_are_read(self):
        """What the package writes is read back, and scores the same."""
        copy = self.model.with_name("copy.mkd")
        save_file(self.arrays, copy, self.metadata)
        image = self.model.parent / "images" / "00.ppm"
        scores = [json.loads(self.run_program("score", "--format", "jsonl", "-q", path, image))
                  ["score"]
                  for path in (self.model, copy)]
        self.assertEqual(scores[0], scores[1])

    def test_expert_files_are_those_of_the_document(self):
        self.assertEqual(set(self.expert_metadata), documented("Expert files"))
        self.run_program("info", self.expert)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
