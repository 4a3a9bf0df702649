"""Commands and links in the documents: what they name exists, and options are those of --help."""

import os
import pathlib
import re

from program import ProgramTest, main

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
FENCED = re.compile(r"(?ms)^```sh\n(.*?)^```$")
OF_MKD = re.compile(r"(?:^|[;&|] *|\bdo +)mkd ([a-z-]+)([^;&|]*)")
OF_TREE = re.compile(r"(?:^|[;&|] *|\bdo +)(python3 +)?((?:bench|scripts|tests)/\S+\.(?:sh|py))")


def commands(text):
    """Lines of shell in code blocks, indented or fenced; continued lines as one, comments cut off."""
    blocks = "\n".join(FENCED.findall(text) + re.findall(r"(?m)^    +(\S.*)$", text))
    for line in re.sub(r"\\\n\s*", "", blocks).splitlines():
        yield re.sub(r"\s+# .*", "", line).strip()


def everything(pattern):
    """Matches in all commands, with the document's name."""
    for path in DOCUMENTS:
        for line in commands(path.read_text(encoding="utf-8")):
            for match in pattern.finditer(line):
                yield path.name, line, match


class Documents(ProgramTest):
    def test_options_are_those_of_the_help(self):
        helps, tested = {}, 0
        for name, line, match in everything(OF_MKD):
            verb, rest = match.groups()
            if verb not in helps:
                shown = self.expect(0, verb, "--help").stdout.decode()
                helps[verb] = set(re.findall(r"(?<=[\s,])--?[a-z-]+", shown))
            own = rest.split(" -- ")[0]
            for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", own):
                self.assertIn(option, helps[verb], (name, line))
                tested += 1
        self.assertGreater(tested, 30)

    def test_scripts_can_be_run_as_written(self):
        tested = 0
        for name, line, match in everything(OF_TREE):
            script = ROOT / match[2]
            self.assertTrue(script.is_file(), (name, line))
            self.assertTrue(match[1] or os.access(script, os.X_OK), (name, line))
            tested += 1
        self.assertGreater(tested, 8)

    def test_links_lead_somewhere(self):
        tested = 0
        for path in DOCUMENTS:
            text = path.read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                if "://" not in target:
                    self.assertTrue((path.parent / target).exists(), (path.name, target))
                    tested += 1
        self.assertGreater(tested, 10)


if __name__ == "__main__":
    main()
