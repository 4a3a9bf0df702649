"""Help, wrong usage, and exit status: what needs neither an expert nor a model."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import time
import unittest

from program import ProgramTest, main

VERBS = ["train", "score", "eval", "calibrate", "import", "info", "reproduce", "bench", "demo-data"]

# Command line, and what the message must name.
WRONG = [
    ([], "verb"),
    (["frobnicate"], "frobnicate"),
    (["train"], "DATA"),
    (["train", "data"], "-o MODEL"),
    (["train", "data", "-o"], "-o needs a value"),
    (["train", "data", "--output", ""], "--output"),
    (["train", "data", "more", "-o", "m"], "more"),
    (["train", "data", "-o", "m", "--frobnicate"], "--frobnicate"),
    (["train", "data", "-o", "m", "-z"], "-z"),
    (["train", "data", "-o", "m", "--resume=yes"], "--resume takes no value"),
    (["train", "data", "-o", "m", "--epochs", "0"], "--epochs"),
    (["train", "data", "-o", "m", "--epochs", "-3"], "-3"),
    (["train", "data", "-o", "m", "--epochs", "3x"], "3x"),
    (["train", "data", "-o", "m", "--epochs", " 3"], "--epochs"),
    (["train", "data", "-o", "m", "--epochs", "3.5"], "3.5"),
    (["train", "data", "-o", "m", "--batch", ""], "--batch"),
    (["train", "data", "-o", "m", "--size", "12x"], "12x"),
    (["train", "data", "-o", "m", "--size", "0"], "--size"),
    (["train", "data", "-o", "m", "--size", "12x13x14"], "12x13x14"),
    (["train", "data", "-o", "m", "--tiles", "7"], "--tiles"),
    (["train", "data", "-o", "m", "--tiles", "64x"], "64x"),
    (["train", "data", "-o", "m", "--tiles", "64x1000001"], "1000000"),
    (["train", "data", "-o", "m", "--tiles", "-1"], "--tiles"),
    (["train", "data", "-o", "m", "--tiles", "64", "--tiles", "0"], "tile_width"),
    (["train", "data", "-o", "m", "--tile-overlap", "1"], "0.9"),
    (["train", "data", "-o", "m", "--tile-overlap", "-0"], "--tile-overlap"),
    (["train", "data", "-o", "m", "--tile-overlap", ""], "--tile-overlap"),
    (["train", "data", "-o", "m", "--seed", "9223372036854775808"], "--seed"),
    (["train", "data", "-o", "m", "--seed", "-1"], "--seed"),
    (["train", "data", "-o", "m", "--threads", "1025"], "1024"),
    (["train", "data", "-o", "m", "--holdout", "1"], "--holdout"),
    (["train", "data", "-o", "m", "--false-alarm", "0"], "--false-alarm"),
    (["train", "data", "-o", "m", "--false-alarm", "nan"], "nan"),
    (["train", "data", "-o", "m", "--false-alarm", "0.1.2"], "0.1.2"),
    (["train", "data", "-o", "m", "--cache-mem", "2X"], "2X"),
    (["train", "data", "-o", "m", "--cache-mem", "2GB"], "2GB"),
    (["train", "data", "-o", "m", "--cache-mem", "99999999999T"], "--cache-mem"),
    (["train", "data", "-o", "m", "--limit", "pixels=0"], "pixels=N, bytes=N or files=N"),
    (["train", "data", "-o", "m", "--limit", "pixels=1K "], "from 1 to 1T"),
    (["train", "data", "-o", "m", "--set", "epochs"], "key=value"),
    (["train", "data", "-o", "m", "--epochs", "2", "--set", "epochs=3"], "epochs"),
    (["train", "data", "-o", "m", "--size", "64", "--size", "32"], "input_width"),
    (["score", "model"], "PATH"),
    (["score", "model", "-", "-"], "standard input"),
    (["score", "model", "x", "--format", "xml"], "jsonl"),
    (["score", "model", "x", "--localize", "none"], "smoothgrad"),
    (["score", "model", "x", "--ma", "y"], "--ma"),
    (["eval", "model"], "DIR"),
    (["eval", "model", "data", "--format", "csv"], "json"),
    (["calibrate", "model", "data"], "-o MODEL2"),
    (["import", "source"], "-o EXPERT"),
    (["info"], "FILE"),
    (["reproduce", "--data", "x"], "DATA-SET"),
    (["reproduce", "mnist"], "--data DIR"),
    (["reproduce", "mnist", "--data", "x", "--seeds", "0"], "--seeds"),
    (["reproduce", "mnist", "--data", "x", "--ablation", "depth"], "layers"),
    (["reproduce", "mnist", "--data", "x", "--ablation", "loss"], "-o DIR"),
    (["reproduce", "mnist", "--data", "x", "--epochs", "2", "--set", "epochs=3"], "epochs"),
    (["bench", "model"], "IMAGE"),
    (["demo-data"], "DIR"),
    (["demo-data", "x", "--seed", "1e3"], "1e3"),
]


class Usage(ProgramTest):
    def test_help_of_every_verb_fits_a_screen(self):
        for arguments in [["--help"], ["-h"]] + [[verb, "--help"] for verb in VERBS]:
            done = self.expect(0, *arguments)
            lines = done.stdout.decode().splitlines()
            self.assertLessEqual(len(lines), 24, arguments)
            self.assertLessEqual(max(map(len, lines)), 80, arguments)
            self.assertTrue(any(line.startswith("example") for line in lines), arguments)
            self.assertEqual(done.stderr, b"")

    def test_help_names_every_verb(self):
        text = self.expect(0, "--help").stdout.decode()
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb} +\w")

    def test_version(self):
        lines = self.expect(0, "--version").stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^mkd \d+\.\d+\.\d+$")
        self.assertEqual(len(lines), 2)

    def test_wrong_usage_is_one_clear_line(self):
        for arguments, named in WRONG:
            with self.subTest(arguments=arguments):
                done = self.expect(2, *arguments)
                message = done.stderr.decode()
                self.assertRegex(message, r"^mkd[^\n]*; see mkd[^\n]* --help\n$")
                self.assertIn(named, message)
                self.assertEqual(done.stdout, b"")

    def test_options_after_a_double_dash_are_operands(self):
        done = self.expect(3, "info", "--", "--help")
        self.assertIn(b"--help", done.stderr)

    def test_missing_and_bad_files(self):
        absent = self.folder / "absent"
        bad = self.folder / "bad"
        bad.write_bytes(b"this is no model")
        empty = self.folder / "empty"
        empty.mkdir()
        output = self.folder / "out"
        for arguments in [
            ["info", absent],
            ["bench", bad, absent],
            ["info", bad],
            ["info", empty],
            ["score", absent, empty],
            ["score", bad, empty],
            ["eval", bad, empty],
            ["calibrate", bad, empty, "-o", output],
            ["import", absent, "-o", output],
            ["import", bad, "-o", output],
            ["train", empty, "-o", output, "--expert", bad],
            ["train", absent, "-o", output, "--expert", bad],
            ["train", empty, "-o", absent / "out", "--expert", bad],
            ["train", empty, "-o", empty, "--expert", bad],
        ]:
            with self.subTest(arguments=arguments):
                done = self.expect(3, *arguments)
                self.assertRegex(done.stderr.decode(), r"^mkd [^\n]+\n$")
                self.assertEqual(done.stdout, b"")
        self.assertFalse(output.exists())

    def test_messages_cannot_command_the_terminal(self):
        done = self.expect(3, "info", "evil\x1b[2Jname")
        self.assertNotIn(b"\x1b", done.stderr)
        self.assertIn(b"evil?[2Jname", done.stderr)
        for arguments in [["evil\x1b[2J"], ["info", "--evil\x1b[2J"], ["info", "a", "evil\x1b[2J"]]:
            done = self.expect(2, *arguments)
            self.assertNotIn(b"\x1b", done.stderr)
            self.assertIn(b"evil?[2J", done.stderr)
        self.assertNotIn(b"\x1b", self.expect(0, "demo-data", self.folder / "d\x1b[31m").stdout)

    def test_an_option_beyond_ascii_is_refused(self):
        self.assertIn(b"unknown option, beyond ASCII", self.expect(2, "info", "-\xe9", "a").stderr)

    def test_an_interrupt_ends_every_verb(self):
        folder = self.folder / "demo"
        process = subprocess.Popen(self.program.command("demo-data", folder))
        while process.poll() is None and not list(folder.glob("train/good/*.png")):
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 130)
        self.assertFalse(folder.exists())

    def test_a_file_that_becomes_too_large_is_an_error(self):
        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        done = self.expect(4, "demo-data", self.folder / "demo", preexec_fn=limited)
        self.assertIn(b"File too large", done.stderr)
        self.assertFalse((self.folder / "demo").exists())

    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full")
    def test_a_full_disk_is_noticed(self):
        with open("/dev/full", "wb") as full:
            done = self.expect(4, "--help", stdout=full)
        self.assertIn(b"standard output", done.stderr)

    def test_a_closed_output_is_noticed(self):
        command = 'exec "$0" --help >&-'
        done = subprocess.run(["sh", "-c", command, self.program.path], check=False)
        self.assertEqual(done.returncode, 4)

    def test_a_reader_that_went_away_is_no_news(self):
        read, write = os.pipe()
        os.close(read)
        with open(write, "wb") as pipe:
            done = self.expect(4, "--help", stdout=pipe)
        self.assertEqual(done.stderr, b"")

    def test_demo_data_is_repeatable_and_never_overwrites(self):
        def content(folder):
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return {path.relative_to(folder): path.read_bytes() for path in files}

        names = ["a", "b", "c"]
        for name, seed in zip(names, "112"):
            self.expect(0, "demo-data", self.folder / name, "--seed", seed)
        a, b, c = (content(self.folder / name) for name in names)
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)
        kinds = {path.parts[1] for path in a if path.parts[0] == "test"}
        self.assertIn("good", kinds)
        self.assertGreater(len(kinds), 1)
        self.assertTrue(any(path.parts[:2] == ("train", "good") for path in a))
        self.assertTrue(any(path.parts[0] == "ground_truth" for path in a))
        done = self.program.run("demo-data", self.folder / "a")
        self.assertIn(done.returncode, (2, 3))
        self.assertEqual(content(self.folder / "a"), a)


class Documentation(ProgramTest):
    def test_the_manual_has_every_option(self):
        manual = pathlib.Path(__file__).parents[2] / "docs" / "mkd.1"
        text = manual.read_text().replace("\\-", "-")
        documented, shown = set(re.findall(r"--[a-z-]+", text)), {"--help", "--version"}
        for verb in VERBS:
            shown |= set(re.findall(r"--[a-z-]+", self.expect(0, verb, "--help").stdout.decode()))
        self.assertEqual(documented, shown)


if __name__ == "__main__":
    main()
