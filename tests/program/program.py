"""Running the program under test, which CTest names on the command line."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77  # CTest's SKIP_RETURN_CODE


class Program:
    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()

    def command(self, *arguments):
        return [str(self.path), *map(os.fspath, arguments)]

    def run(self, *arguments, env=None, **options):
        """Runs to the end; texts are bytes, as names of files may be anything."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            self.command(*arguments),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            timeout=900,
            check=False,
            **options,
        )

    def expert(self):
        """The default expert, where a developer has it, or None."""
        name = "efficientnet-lite0.safetensors"
        build = self.path.parents[2]
        places = [build / "expert" / name, build.parent / "expert" / name]
        if "MKD_EXPERT" in os.environ:
            places.insert(0, pathlib.Path(os.environ["MKD_EXPERT"]))
        return next((place for place in places if place.is_file()), None)


class ProgramTest(unittest.TestCase):
    """A test with a program and a folder of its own."""

    program = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="mkd-program-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def expect(self, status, *arguments, **options):
        """Runs the program and checks its exit status."""
        done = self.program.run(*arguments, **options)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done


def main():
    ProgramTest.program = Program(sys.argv.pop(1))
    unittest.main(verbosity=2)
