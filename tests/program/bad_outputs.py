"""Outputs that cannot be written, or should not be, told before the work; and pictures of no map."""

import os
import pathlib

import small
from hostile import Case, write

PIPE = "is a device or a pipe, not a file"
LOST = "is read as well, and would be lost"


def case(name, status, says, arguments, prepare=lambda folder, world: None):
    """`arguments` are made of the case's world, after `prepare`."""

    def make(folder, world):
        prepare(folder, world)
        return arguments(world)

    return Case(f"output: {name}", make, status, says)


def copies(folder, world):
    """Of the good files, in the folder itself."""
    for path in [world.model, world.expert, world.recipe, world.folder / "weights"]:
        write(folder / path.name, path.read_bytes())
    small.make_category(folder / "data")


def device_cases():
    def pipe(folder, world):
        os.mkfifo(folder / "pipe")

    def link(folder, world):
        os.symlink("nothing", folder / "link")

    calibrate = ["calibrate", "-q", "-o"]
    yield case("a pipe, train", 3, PIPE, lambda w: w.training(w.data, "pipe"), pipe)
    yield case(
        "a pipe, calibrate", 3, PIPE, lambda w: [*calibrate, "pipe", w.model, w.data], pipe
    )
    yield case("a pipe, import", 3, PIPE, lambda w: ["import", w.expert, "-o", "pipe"], pipe)
    yield case(
        "a pipe, report", 3, PIPE, lambda w: ["eval", w.model, w.data, "--report", "pipe"], pipe
    )
    yield case("a device", 3, PIPE, lambda w: ["import", w.expert, "-o", "/dev/null"])
    says = "link: cannot follow this link"
    def loop(folder, world):
        os.symlink("loop", folder / "loop")

    says_loop = "loop: cannot follow this link: Too many levels"
    yield case("a link to itself", 3, says_loop, lambda w: w.training(w.data, "loop"), loop)
    yield case("a link to nothing", 3, says, lambda w: w.training(w.data, "link"), link)


def input_cases():
    def linked(folder, world):
        copies(folder, world)
        os.symlink("model.mkd", folder / "page.html")

    report = ["eval", "model.mkd", "data", "--report"]
    yield case("report onto the model", 2, LOST, lambda w: [*report, "model.mkd"], copies)
    yield case("report onto a link to it", 2, LOST, lambda w: [*report, "page.html"], linked)
    image = "data/test/good/0.png"
    mask = "data/ground_truth/dent/0_mask.png"
    yield case("report onto a mask", 2, LOST, lambda w: [*report, mask], copies)
    yield case("report onto an image", 2, LOST, lambda w: [*report, image], copies)
    yield case(
        "model onto the expert",
        2,
        LOST,
        lambda w: [*w.training(w.data, w.expert.name), "--expert", f"./{w.expert.name}"],
        copies,
    )
    yield case(
        "checkpoint onto the expert",
        2,
        LOST,
        lambda w: [*w.training(w.data, "out"), "--expert", "out.ckpt"],
        lambda folder, world: write(folder / "out.ckpt", world.expert.read_bytes()),
    )
    yield case(
        "model onto the recipe",
        2,
        LOST,
        lambda w: [*w.training(w.data, "recipe.json"), "--recipe", "recipe.json"],
        copies,
    )
    yield case(
        "model onto an image", 2, LOST, lambda w: w.training("data", "data/train/good/0.png"), copies
    )
    calibrate = ["calibrate", "model.mkd", "data", "-o", "data/train/good/0.png"]
    yield case("calibrated model onto an image", 2, LOST, lambda w: calibrate, copies)
    yield case(
        "expert onto the weights", 2, LOST, lambda w: ["import", "weights", "-o", "weights"], copies
    )


def name_cases():
    def checkpoint(folder, world):
        (folder / "out.ckpt").mkdir()

    says = "new/: is a folder; name a file in it"
    yield case("a folder that is not there", 3, says, lambda w: w.training(w.data, "new/"))
    says = "out.ckpt: is a folder"
    yield case("a folder for the checkpoint", 3, says, lambda w: w.training(w.data, "out"), checkpoint)
    says = "out.ckpt: is there, and no checkpoint of this version"
    yield case(
        "a file for the checkpoint",
        3,
        says,
        lambda w: w.training(w.data, "out"),
        lambda folder, world: write(folder / "out.ckpt", "precious"),
    )
    says = "File name too long"
    yield case("a long name", 3, says, lambda w: ["import", w.expert, "-o", "n" * 256])
    yield case("a long name, checkpoint", 3, says, lambda w: w.training(w.data, "n" * 251))


def picture_cases():
    def model(folder, world):
        """One that makes no maps, trained in the world once."""
        made = world.folder / "no-maps.mkd"
        if not made.exists():
            world.run(*world.training(world.data, made, "--set", "localize=none"))
        write(folder / "model", pathlib.Path(made).read_bytes())

    says = "the model makes no heat maps by itself; name a method with --localize"
    for what in ["--maps", "--overlays", "--masks"]:
        yield case(
            f"{what} of no map, score",
            2,
            f"{what}: {says}",
            lambda w, what=what: ["score", "model", w.image, what, "to"],
            model,
        )
    yield case(
        "--overlays of no map, eval",
        2,
        f"--overlays: {says}",
        lambda w: ["eval", "model", w.data, "--overlays", "to"],
        model,
    )
    says = "--masks: the model has no threshold for maps of this kind"
    yield case(
        "--masks of another map",
        2,
        says,
        lambda w: ["score", w.model, w.image, "--masks", "to", "--localize", "gradient"],
    )

    def file(folder, world):
        write(folder / "file", "text")

    yield case(
        "--overlays below a file",
        3,
        "file: is not a folder",
        lambda w: ["score", w.model, w.image, "--overlays", "file/deep/to"],
        file,
    )

    def wide(folder, world):
        write(folder / "wide.pgm", small.pgm(1000001, 1, bytes(1000001)))

    yield case(
        "an overlay that is too wide",
        1,
        "to/wide.pgm.overlay.png: of 1000001 x 1 pixels; a PNG has at most 1000000 a side",
        lambda w: ["score", w.model, "wide.pgm", "--overlays", "to"],
        wide,
    )


def cases():
    yield from device_cases()
    yield from input_cases()
    yield from name_cases()
    yield from picture_cases()
