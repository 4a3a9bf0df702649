"""What docs/recipe.md says of the built-in recipes is what recipes/*.json say."""

import json
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = ["default", "paper", "paper-code"]


def as_text(value):
    """A value as the document writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        if value == ["pool2", "pool3", "pool4", "pool5"]:
            return "pool2 .. pool5"
        return ", ".join(value) or "none"
    return str(value)


class RecipeDocs(unittest.TestCase):
    def test_defaults_are_those_of_the_recipes(self):
        text = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
        rows = re.findall(r"(?m)^\| `([a-z_]+)` \|.*\| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", text)
        documented = {key: values for key, *values in rows}
        documented["cloner"] = None  # too long for a table
        keys = re.findall(r"(?m)^\| `([a-z_]+)` \|", text)
        for i, name in enumerate(RECIPES):
            recipe = json.loads((ROOT / "recipes" / f"{name}.json").read_text(encoding="utf-8"))
            self.assertEqual(list(recipe), keys)
            for key, value in recipe.items():
                if documented[key] is not None:
                    self.assertEqual(documented[key][i], as_text(value), (name, key))


if __name__ == "__main__":
    unittest.main(verbosity=2)
