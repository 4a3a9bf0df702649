"""The command line of bench/run.sh, as far as it goes without the programs that are compared."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ROOT / "bench/run.sh"


def run(*arguments):
    return subprocess.run([RUN, *arguments], capture_output=True, text=True, check=False)


class Usage(unittest.TestCase):
    def test_help_names_every_work(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        listed = re.findall(r"^  ([a-z][a-z0-9-]+) {2,}\S", done.stdout, re.M)
        source = (ROOT / "bench/peers/options.py").read_text(encoding="utf-8")
        self.assertGreater(len(listed), 10)
        self.assertEqual(listed, re.findall(r'^    "([a-z0-9-]+)": "', source, re.M))

    def test_wrong_usage(self):
        for arguments in (
            ["--only", "nothing"],
            ["--only"],
            ["--json"],
            ["--fast"],
            ["vgg16-1"],
            ["--only", "vgg16"],
        ):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stdout, done.stderr))
            self.assertEqual(done.stdout, "", "nothing is set up")
            self.assertIn("run.sh: error:", done.stderr)

    def test_every_work_is_described_by_its_sizes(self):
        """A work of a network says its input and batch, as the table's readers need them."""
        for line in run("--help").stdout.splitlines():
            match = re.match(r"  (?:vgg\d+|lite0)-(\d+) +(.*)", line)
            if match:
                self.assertRegex(match[2], rf"\d+x\d+, batch {match[1]}$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
