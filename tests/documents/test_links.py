"""Every link and every file that a document names leads somewhere."""

import re

import pytest

from docs.generate.markdown import anchor
from tests.documents.conftest import BLOCK, PAGES, ROOT, name, prose, quoted

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:md|py)")
FOLDERS = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name not in {".git", ".venv"})
WITHIN = tuple(f"{path.name}/" for path in (ROOT / "oicp_adapter").iterdir() if path.is_dir())


def anchors(page):
    seen = {}
    for heading in re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        slug = anchor(heading)
        seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug


def broken(page, text):
    for link in LINK.findall(text):
        path, _, fragment = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and target.suffix == ".md" and fragment not in set(anchors(target))):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert not list(broken(page, prose(page)))


@pytest.mark.parametrize("text", ["[a](nothing.md)", "[a](README.md#no-such-heading)", "[a](#neither)"])
def test_a_broken_link_would_be_found(text):
    assert list(broken(ROOT / "README.md", text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_of_the_project_that_is_named_is_there(page):
    for text in quoted(page):
        path = text.partition("#")[0]
        if FILE.fullmatch(path) and path.startswith((*FOLDERS, *WITHIN)):
            assert any((folder / path).exists() for folder in (ROOT, ROOT / "oicp_adapter", page.parent)), text


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent in {ROOT, ROOT / "docs"}], ids=name)
def test_every_page_can_be_found_from_the_readme(page):
    assert page.name == "README.md" or name(page) in (ROOT / "README.md").read_text(encoding="utf-8")
