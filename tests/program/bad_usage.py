"""Command lines that are wrong: status 2, and a hint where help is."""

from hostile import Case

VERBS = ["train", "score", "eval", "calibrate", "import", "info", "reproduce", "demo-data", "bench"]


def used(name, says, make, status=2):
    return Case(f"usage: {name}", make, status, says)


def cases():
    yield used("no verb", "mkd --help", lambda f, w: [])
    yield used("an unknown verb", "'learn'", lambda f, w: ["learn"])
    yield used("an empty verb", "''", lambda f, w: [""])
    for verb in VERBS:
        yield used(f"{verb} alone", f"see mkd {verb} --help", lambda f, w, v=verb: [v])
        yield used(f"{verb} --what", "--what", lambda f, w, v=verb: [v, "--what"])
        yield used(f"{verb} -Z", "-Z", lambda f, w, v=verb: [v, "-Z"])
        yield used(f"{verb} --help", f"usage: mkd {verb}", lambda f, w, v=verb: [v, "--help"], 0)

    def training(*more):
        return lambda f, w: [*w.training(w.data, "out"), *more]

    for option, value in [
        ("--threads", "-1"),
        ("--threads", "many"),
        ("--threads", "1.5"),
        ("--threads", "99999999999999999999"),
        ("--threads", ""),
        ("--epochs", "0"),
        ("--epochs", "-3"),
        ("--batch", "0"),
        ("--seed", "x"),
        ("--seed", "-1"),
        ("--size", "0"),
        ("--size", "5x"),
        ("--size", "axb"),
        ("--size", "100000x100000"),
        ("--tiles", "3x3"),
        ("--tile-overlap", "1"),
        ("--holdout", "2"),
        ("--false-alarm", "0"),
        ("--false-alarm", "1.5"),
        ("--limit", "pixels=0"),
        ("--limit", "pixels"),
        ("--limit", "1000"),
        ("--limit", "bytes=-1"),
        ("--limit", "bytes=1025G"),
        ("--limit", "images=10"),
        ("--cache-mem", "-1"),
        ("--cache-mem", "2X"),
        ("--cache-mem", "9999999999999G"),
    ]:
        yield used(f"train {option} {value}", option, training(option, value))
    yield used("train, an option without its value", "--epochs", training("--epochs"))
    yield used("train, two folders", "help", lambda f, w: [*w.training(w.data, "out"), w.data])
    yield used("train, no output", "-o", lambda f, w: ["train", w.data])

    def scoring(*more):
        return lambda f, w: ["score", w.model, w.image, *more]

    yield used("score --format xml", "xml", scoring("--format", "xml"))
    yield used("score --localize by-hand", "by-hand", scoring("--localize", "by-hand"))
    yield used("score --false-alarm 0", "--false-alarm", scoring("--false-alarm", "0"))
    yield used("score without images", "see mkd score --help", lambda f, w: ["score", w.model])
    yield used("import without output", "-o", lambda f, w: ["import", w.expert])
    yield used("eval with two folders", "help", lambda f, w: ["eval", w.model, w.data, w.data])
    yield used(
        "reproduce an unknown data set",
        "'imagenet'",
        lambda f, w: ["reproduce", "imagenet", "--data", "."],
    )
    yield used(
        "reproduce an unknown ablation",
        "luck",
        lambda f, w: ["reproduce", "mvtec", "--data", ".", "-o", "out", "--ablation", "luck"],
    )

    def onto_file(option):
        def make(folder, world):
            (folder / "there").write_text("a file")
            return ["score", world.model, world.image, option, "there"]

        return make

    for option in ["--maps", "--overlays", "--masks"]:
        yield used(f"score {option} onto a file", "there: is not a folder", onto_file(option), 3)
