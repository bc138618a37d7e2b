"""docs/architecture.md says where everything is."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def tree() -> set[str]:
    """Return the paths of the files and folders in the tree, which is drawn by indentation."""
    found, folders = set(), [""]
    for line in TEXT.split("## What each file is\n\n```\n")[1].split("\n```")[0].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"\s*([\w./]+(?:, [\w./]+)*)", line)
        assert names, line
        for name in names[1].split(", "):
            path = folders[depth] + name
            found.add(path)
            folders[depth + 1 :] = [path]
    return found


def test_the_tree_names_every_module_in_its_folder() -> None:
    modules = {
        str(file.relative_to(ROOT))
        for folder in ("chat", "prompts")
        for file in (ROOT / folder).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert modules <= tree()


def test_the_tree_names_nothing_that_is_not_there() -> None:
    assert not [path for path in tree() if not (ROOT / path).exists()]
