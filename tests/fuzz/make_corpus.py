#!/usr/bin/env python3
"""Makes the inputs that fuzzing starts from: make_corpus.py PROGRAM FOLDER writes FOLDER/TARGET/*.

They are the files of the other tests, good and bad ones."""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(TESTS / "program"))

import bad_data  # noqa: E402
import bad_models  # noqa: E402
import bad_recipes  # noqa: E402
import bad_weights  # noqa: E402
import hostile  # noqa: E402
import small  # noqa: E402

MOST = 1 << 16  # bytes of one input


def case_files(table, world, name):
    """What the cases of a table write under a name."""
    for case in table.cases():
        with tempfile.TemporaryDirectory() as folder:
            case.make(pathlib.Path(folder), world)
            file = pathlib.Path(folder) / name
            if file.is_file() and os.access(file, os.R_OK):
                yield file.read_bytes()


def pickles():
    state, _ = small.state_dict(small.weights())
    yield small.pickle_of(state)
    yield small.pickle_of({"state_dict": state, "epoch": 3, "name": "x", "rate": 0.5, "none": None})
    yield small.pickle_of(state, legacy=True)
    yield bad_weights.COMMAND
    yield bad_weights.CYCLIC
    for file in sorted((TESTS / "fixtures/weights").glob("*.pth")):
        content = file.read_bytes()
        at = content.find(b"\x80\x02")
        if at >= 0:
            yield content[at:]


def cloners():
    yield small.RECIPE["cloner"].replace("pool1", "a").replace("relu2_1", "b").encode()
    for recipe in sorted((TESTS.parent / "recipes").glob("*.json")):
        yield json.loads(recipe.read_text()).get("cloner", "").encode()
    yield b"conv 3x3/2 4 bn relu; pool 2x2/1; keep k; conv 1x1 expert; point a; from k; conv 1x1 expert; point b"


def data_files():
    images = bad_data.idx(3, 4, [3, 2], bytes(range(24)))
    labels = bad_data.idx(1, 4, [], bytes([0, 1, 2, 9]))
    for images_file in [images, gzip.compress(images)]:
        for labels_file in [labels, gzip.compress(labels)]:
            yield bytes([0]) + len(images_file).to_bytes(2, "big") + images_file + labels_file
    record = bytes([3]) + small.noise(3072, 1)
    yield bytes([1, 0, 0]) + record * 2
    yield bytes([1, 0, 0]) + gzip.compress(record)
    yield bytes([2, 0, 0]) + b"id, hemorrhage\n0,0\n1,1\n"
    yield bytes([2, 0, 0]) + b"\xef\xbb\xbfid,hemorrhage\r\n0,1\r\n1,0\r\n"


def inputs(world):
    """Target -> contents."""
    good = [world.model.read_bytes(), world.expert.read_bytes()]
    fixtures = sorted((TESTS / "fixtures/weights").iterdir())
    recipes = [json.dumps(small.RECIPE).encode()]
    recipes += [file.read_bytes() for file in sorted((TESTS.parent / "recipes").glob("*.json"))]
    recipes += case_files(bad_recipes, world, "bad.json")
    yield "picture", [content for content, _ in small.fixture_images().values()]
    yield (
        "weights",
        [f.read_bytes() for f in fixtures] + list(case_files(bad_weights, world, "file")),
    )
    yield "pickle", list(pickles())
    yield "expert", good[::-1] + recipes[:2]
    yield "model", good + list(case_files(bad_models, world, "model"))
    yield "recipe", recipes
    yield "json", recipes + [b'[1, -2.5e3, "\\u00e9\\ud83d\\ude00", true, null, {"a": []}]']
    yield "cloner", list(cloners())
    yield "data", list(data_files())


def main():
    program, out = sys.argv[1], pathlib.Path(sys.argv[2])

    def run(*arguments):
        subprocess.run([program, *map(os.fspath, arguments)], check=True, stdout=subprocess.DEVNULL)

    with tempfile.TemporaryDirectory() as folder:
        world = hostile.World(pathlib.Path(folder), run)
        for target, contents in inputs(world):
            (out / target).mkdir(parents=True, exist_ok=True)
            for i, content in enumerate(contents):
                if len(content) <= MOST:
                    (out / target / f"{i:03}").write_bytes(content)


if __name__ == "__main__":
    main()
