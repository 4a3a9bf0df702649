"""Recipes, and keys of them, that are refused before anything is read or written."""

import json

import small
from hostile import Case, write


def recipe(name, content, says, status=3):
    def make(folder, world):
        write(folder / "bad.json", content)
        return ["train", world.data, "-o", "out", "--recipe", "bad.json", "--expert", world.expert]

    return Case(f"recipe: {name}", make, status, says)


def keys(name, says, status=3, **values):
    return recipe(name, json.dumps({**small.RECIPE, **values}), says, status)


def setting(text, says):
    """With --set."""

    def make(folder, world):
        return [*world.training(world.data, "out"), "--set", text]

    return Case(f"--set {text}", make, 2, says)


def cloner(statements, says):
    """What is right by itself, but not for this expert, is wrong usage."""
    return keys(f"cloner {statements[:30]}", says, 2, cloner=statements)


def cases():
    yield recipe("empty", "", "bad.json: not a recipe: not valid JSON, line 1")
    yield recipe("a list", "[]", "bad.json: not a recipe: no JSON object")
    yield recipe("no JSON", "name: small", "bad.json: not a recipe: not valid JSON, line 1")
    yield recipe(
        "cut short",
        json.dumps(small.RECIPE)[:-20],
        "bad.json: not a recipe: not valid JSON, line 1",
    )
    yield recipe("deep", '{"name":' + "[" * 100000, "values are nested too deep")
    yield recipe("no UTF-8", b'{"name": "\xff\xfe"}', "a text is not UTF-8")
    yield recipe("a zero byte", b'{"name": "a\\u0000b"}', "invalid escape in a text")
    yield recipe("a key twice", '{"batch": 1, "batch": 2}', "duplicate key in an object")
    yield recipe("an image", small.grey_png(), "bad.json: not a recipe")
    yield keys("an unknown key", "bad.json: a recipe has no key 'bach'", bach=4)
    yield keys(
        "a text for a number",
        "batch = 'many' cannot be; it is a whole number in 1 .. 4096",
        batch="many",
    )
    yield keys("a fraction for a count", "batch = '1.5' cannot be", batch=1.5)
    yield keys("null", "batch = 'null' cannot be", batch=None)
    yield recipe("NaN", '{"learning_rate": NaN}', "bad.json: not a recipe: not valid JSON")
    yield recipe("infinity", '{"learning_rate": 1e999}', "number out of range")
    yield keys("no batch", "batch = '0' cannot be", batch=0)
    yield keys("a batch of a billion", "batch = '1000000000' cannot be", batch=10**9)
    yield keys(
        "a negative rate", "learning_rate = '-1' cannot be; it is a number in", learning_rate=-1
    )
    yield keys("no epochs", "epochs = '0' cannot be; it is a number, or rules", epochs="0")
    yield keys("epochs of rules that are none", "epochs = 'a lot' cannot be", epochs="a lot")
    yield keys(
        "everything held out", "holdout = '1' cannot be; it is a number in 0.001 .. 0.9", holdout=1
    )
    yield keys("nothing held out", "holdout = '0' cannot be", holdout=0)
    yield keys(
        "an unknown schedule",
        "schedule = 'magic' cannot be; it is one of constant, one-cycle",
        schedule="magic",
    )
    yield keys("an unknown score", "score = 'guess' cannot be; it is one of", score="guess")
    yield keys(
        "no width", "input_width = '0' cannot be; it is a whole number in 8 .. 8192", input_width=0
    )
    yield keys("a width of a million", "input_width = '1000000' cannot be", input_width=10**6)
    yield recipe("a size that no image has", '{"input_width": 1}', "input_width = '1' cannot be")
    yield keys(
        "tiles that overlap wholly",
        "tile_overlap = '1' cannot be; it is a number in 0 .. 0.9",
        tile_width=16,
        tile_height=16,
        tile_overlap=1,
    )
    yield keys(
        "an unknown critical point",
        "has no output 'pool9' to be a critical point; it has pool1, pool2",
        2,
        critical_points=["pool9"],
    )
    yield keys(
        "no critical point", "critical_points is empty; name at least one", 2, critical_points=[]
    )
    yield keys(
        "a critical point twice",
        "critical_points names 'pool1' twice",
        2,
        critical_points=["pool1", "pool1"],
    )
    yield keys(
        "a hundred critical points", "it is at most 8 names", critical_points=["pool1"] * 100
    )
    yield cloner("", "cloner is empty")
    yield cloner("magic 3x3", "a statement is conv, pool, keep, from or point")
    yield cloner("conv 3x3", "it is conv KxK[/STRIDE] WIDTH")
    yield cloner("conv 0x0 6", "it is conv KxK[/STRIDE] WIDTH")
    yield cloner("conv 3x3/0 6", "it is conv KxK[/STRIDE] WIDTH")
    yield cloner("conv 3x3 -6", "the width is 'expert' or a number in 1 .. 16384")
    yield cloner("conv 3x3 99999999999", "the width is 'expert' or a number in 1 .. 16384")
    yield cloner("conv 3x3 6; point nowhere", "has no 'point pool1' in the cloner's plan")
    yield cloner("from nothing; conv 3x3 6", "'from nothing': no such name was kept")
    yield cloner("conv 3x3 6; point pool1", "has no 'point relu2_1' in the cloner's plan")
    yield cloner("conv 1x1 6;" * 5000, "more than 4096 operations")
    yield setting("batch", "'batch' is not key=value")
    yield setting("=4", "'=4' is not key=value")
    yield setting("bach=4", "a recipe has no key 'bach'")
    yield setting("batch=", "batch = '' cannot be")
    yield setting("batch=four", "batch = 'four' cannot be")
    yield setting("batch=4.5", "batch = '4.5' cannot be")
    yield setting("batch=-1", "batch = '-1' cannot be")
    yield setting("holdout=nan", "holdout = 'nan' cannot be")

    def half_a_tile(folder, world):
        return [*world.training(world.data, "out"), "--set", "tile_width=16"]

    yield Case("recipe: a tile with a width alone is a square", half_a_tile, 0, "")

    def missing(folder, world):
        return [
            "train",
            world.data,
            "-o",
            "out",
            "--recipe",
            "nothing.json",
            "--expert",
            world.expert,
        ]

    yield Case(
        "recipe: missing", missing, 3, "nothing.json: cannot open: No such file or directory"
    )
