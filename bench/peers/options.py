"""The command line of bench/run.sh, and the names of all works. Needs Python's standard library
alone: it is read before anything is installed."""

import argparse

WORKS = {
    "vgg16-1": "VGG-16 forward, 128x128, batch 1",
    "vgg16-16": "VGG-16 forward, 128x128, batch 16",
    "vgg19-1": "VGG-19 forward, 128x128, batch 1",
    "vgg19-16": "VGG-19 forward, 128x128, batch 16",
    "layers-1": "conv2_2, conv3_3, conv4_3, conv5_3 of VGG and their sum, 128x128, batch 1",
    "layers-16": "the same layers, batch 16",
    "layers-data-16": "the same layers, backward to their input",
    "layers-weights-16": "the same layers, backward to their weights",
    "lite0-1": "EfficientNet-Lite0 to its last block, forward, 256x256, batch 1",
    "lite0-16": "EfficientNet-Lite0 to its last block, forward, 256x256, batch 16",
    "cloner-128": "the paper's cloner, 128x128, batch 64: forward, backward, Adam",
    "cloner-32": "the paper's cloner, 32x32, batch 64: forward, backward, Adam",
    "epoch": "an epoch of the paper's recipe after the first, 128x128",
    "localize": "score and gradient map of one image, paper's recipe, 128x128",
    "score": "`mkd score` of one file, as a whole process",
    "train": "`mkd train` with the default recipe on magnetic-tile, as a whole process",
    "growth": "cost and memory over the number of training images; start-up; sizes (no peers)",
}


def parse(arguments=None):
    names = "\n".join(f"  {name:18} {text}" for name, text in WORKS.items())
    parser = argparse.ArgumentParser(
        prog="run.sh",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Times mkd against other programs that do the same work: both with two "
        "threads, in turn,\nin one run. Writes docs/performance.md, unless --only asks for a part.",
        epilog=f"works:\n{names}\n\nexit status: 0 done; 1 a work failed; 2 wrong usage",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="less than ten minutes: fewer turns, less to train and to grow",
    )
    parser.add_argument(
        "--only",
        metavar="WORK",
        action="append",
        choices=WORKS,
        help="one work; may be given several times",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help='writes a list of {"work", "peer", "mkd_ms", "peer_ms", "ratio"}',
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse()
