"""The page of crashes names tests that exist."""

import re

import pytest

from docs.builders import ROOT

PAGE = (ROOT / "docs" / "explanation" / "crashes.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_the_page_names_is_there(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_pattern_has_its_line() -> None:
    _, _, table = PAGE.partition("## Known patterns")
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == 28 + 2
    assert len(NAMED) > 40
