"""The public header compiles alone, as C11 and as C++11, and so does the example of its
introduction, which also runs."""

import re
import shutil
import textwrap
import unittest

import made_up_expert
from package import BUILD, FLAGS, LIBRARIES, PROGRAM, ROOT, PackageTest, compiler

HEADER = ROOT / "include" / "mkd" / "mkd.h"
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{ROOT / 'include'}"]
LANGUAGES = {"c": "-std=c11", "c++": "-std=c++11"}

IMAGES = 4  # as few as make a training that takes seconds


def example():
    """The program of the introduction."""
    comment = HEADER.read_text().split("*/")[0]
    lines = [re.sub(r"^ \* ?", "", line) for line in comment.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("Example:")) + 1
    code = "\n".join(lines[start:]).rstrip()
    return (
        "#include <mkd/mkd.h>\n\n#include <stdio.h>\n\nint main(void)\n{\n"
        + textwrap.indent(textwrap.dedent(code), "  ")
        + "\n}\n"
    )


class CompileTest(PackageTest):
    def compile(self, language, source, *arguments):
        command = compiler(language)
        if not command:
            self.skipTest(f"no compiler for {language}")
        file = self.folder / "source"
        file.write_text(source)
        self.run_command(
            *command, LANGUAGES[language], *STRICT, *FLAGS, "-x", language, file, *arguments
        )


class Header(CompileTest):
    def test_alone(self):
        for language in LANGUAGES:
            with self.subTest(language):
                self.compile(language, "#include <mkd/mkd.h>\n", "-fsyntax-only")

    def test_twice_after_other_headers(self):
        source = "#include <stdio.h>\n#include <mkd/mkd.h>\n#include <mkd/mkd.h>\n"
        for language in LANGUAGES:
            with self.subTest(language):
                self.compile(language, source, "-fsyntax-only")


class Example(CompileTest):
    """Builds the example and runs it in a folder with the files that it names."""

    def expert(self):
        file = "efficientnet-lite0.safetensors"
        for place in [BUILD / "expert" / file, BUILD.parent / "expert" / file]:
            if place.is_file():
                return place
        weights, expert = self.folder / "weights.safetensors", self.folder / "made-up.safetensors"
        made_up_expert.write(weights)
        self.run_command(PROGRAM, "import", weights, "-o", expert)
        return expert

    def prepare(self):
        data = self.folder / "data"
        self.run_command(PROGRAM, "demo-data", data)
        images = sorted((data / "train" / "good").iterdir())
        good = self.folder / "parts" / "good"
        good.mkdir(parents=True)
        for image in images[:IMAGES]:
            shutil.copy(image, good)
        shutil.copy(images[IMAGES], self.folder / "parts" / "new.png")
        shutil.copyfile(self.expert(), self.folder / "efficientnet-lite0.safetensors")

    def check(self, language):
        program = self.folder / "example"
        links = [f"-L{LIBRARIES}", f"-Wl,-rpath,{LIBRARIES}", "-lmkd"]
        self.compile(language, example(), "-x", "none", "-o", program, *links)
        self.prepare()
        verdict = r"score \S+, p = \S+: (anomalous|normal)\n"
        self.assertRegex(self.run_command(program), verdict)
        self.assertTrue((self.folder / "parts.mkd").is_file())
        # Its error message tells what is wrong; a file that ends the example at its first call.
        (self.folder / "efficientnet-lite0.safetensors").unlink()
        message = self.run_command("sh", "-c", "./example 2>&1")
        self.assertIn("efficientnet-lite0.safetensors", message)

    def test_as_c(self):
        self.check("c")

    def test_as_cpp(self):
        self.check("c++")


if __name__ == "__main__":
    unittest.main(verbosity=2)
