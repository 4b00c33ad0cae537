"""The linter of the docs, on small pages; `make docs` runs it on the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List

import pytest

from tools.docs import chinese, generated, links, names
from tools.docs.__main__ import main
from tools.docs.pages import Block, Check, Pages, sections

RESULTS = "".join(f"| {result.value} | {result.name} | meaning |\n" for result in names.Result)
SHOWN = (
    "`x`, [one](docs/one.md#b-c)\n\n```text\n# no heading\n```\n\n- p\n- q\n\n| a | b |\n|---|---|\n| c | `d \\| e` |\n"
)
SMALL = {
    "README.md": f"[中文](README.zh-CN.md)\n\n# A\n\nSee {SHOWN}",
    "README.zh-CN.md": f"[English](README.md)\n\n# 甲\n\n见 {SHOWN}",
    "docs/one.md": "# One\n\n## B, c\n\n| `k` | 1 |\n\n1. [home](../README.md) `[no](link.md)` [far](https://a.b/)\n",
}
Lint = Callable[..., List[str]]


@pytest.fixture
def lint(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lint:
    """Write pages and run checks; return the problems that the linter prints."""
    monkeypatch.setattr(chinese, "NEEDED", ("README.md",))

    def run_checks(*checks: Check, **pages: str) -> List[str]:
        for name, text in pages.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        code = main(tmp_path, checks)
        *problems, last = capsys.readouterr().out.splitlines()
        assert (code, last.endswith(", no problem")) == ((1, False) if problems else (0, True))
        return problems

    return run_checks


@pytest.mark.parametrize(
    ("page", "old", "new", "problem"),
    [
        ("docs/one.md", "B, c", "B", "README.md:5: link to docs/one.md#b-c: no such heading"),
        ("docs/one.md", "(../", "(", "docs/one.md:7: link to README.md: no such file"),
        ("docs/two.md", "", "# Two\n", "docs/two.md:1: no page that the README leads to links to this one"),
        ("README.zh-CN.md", "(README.md)", "", "README.zh-CN.md:1: no link to README.md in the first 5 lines"),
        ("README.zh-CN.md", "# 甲", "## 甲", "README.zh-CN.md:3: heading of level 2, README.md:3 has level 1"),
        ("README.zh-CN.md", "# no h", "# h", "README.zh-CN.md:3: not in README.md:3: block 1 (text) '# heading'"),
        ("README.zh-CN.md", "`x`", "x", "README.zh-CN.md:3: missing from the translation of README.md:3: code `x`"),
        (
            "README.zh-CN.md",
            "- q\n",
            "",
            "README.zh-CN.md:3: missing from the translation of README.md:3: list item 2 (-)",
        ),
        ("README.zh-CN.md", "c |", "", "README.zh-CN.md:3: not in README.md:3: table row 3 of 1 cells, code d \\| e"),
        ("README.zh-CN.md", "#b-c", "", "README.zh-CN.md:3: not in README.md:3: link to docs/one.md"),
        ("README.md", "See", "See 5", "README.zh-CN.md:3: missing from the translation of README.md:3: number 5"),
        ("docs/zh-CN/two.md", "", "# 二\n", "docs/zh-CN/two.md:1: there is no docs/two.md"),
    ],
)
def test_structure(lint: Lint, page: str, old: str, new: str, problem: str) -> None:
    checks = links.broken, links.unreachable, chinese.differences
    assert lint(*checks, **SMALL) == []
    text = SMALL.get(page, "")
    assert problem in lint(*checks, **{page: text.replace(old, new) if text else new})


def test_names(lint: Lint) -> None:
    page = """\
    See `examples/no.yaml`, huawei_maas_api_up and huawei_maas_api_down.
    sum:huawei_maas.usage.total_tokens{*} by {range}.as_count()
    SELECT sum("total_token") FROM "huawei_maas_hourly"
    $ maas-usage-check report --lst 7d
    ## Configuration
    ```yaml
    instances: [{regio: x}]
    ```
    """.replace("    ", "")
    checks = names.files, names.metrics, names.queries, names.commands, names.configurations
    assert [":".join(problem.split(":")[:3]) for problem in lint(*checks, **{"docs/a.md": page})] == [
        "docs/a.md:1: examples/no.yaml",
        "docs/a.md:1: huawei_maas_api_down",
        "docs/a.md:2: huawei_maas.usage.total_tokens is a gauge",
        "docs/a.md:3: huawei_maas_hourly has no field total_token",
        "docs/a.md:4: --lst",
        "docs/a.md:5: instances[0].regio",
    ]


def test_result_codes(lint: Lint) -> None:
    pages = dict.fromkeys(("docs/troubleshooting.md", "docs/zh-CN/troubleshooting.md"), RESULTS)
    assert lint(names.result_codes, **pages) == []
    pages["docs/troubleshooting.md"] = RESULTS.replace("| 7 |", "| 77 |")
    assert lint(names.result_codes, **pages) == [
        "docs/troubleshooting.md:1: the result codes are not all there in order: CREDENTIALS_EXPIRED",
        "docs/troubleshooting.md:8: no result code is 77 CREDENTIALS_EXPIRED",
    ]


def test_stale_file(tmp_path: Path) -> None:
    """A stale generated file is reported at the first line that differs."""
    (tmp_path / "a.json").write_text("{\n}\n")
    for text, lines in (("{\n}\n", []), ("{\n 1}\n", [2]), ("{\n", [2]), ("{\n}\n\n", [3])):
        files = [generated.Made("a.json", lambda text=text: text, "tools.a")]  # type: ignore[misc]
        assert [problem.line for problem in generated.stale(Pages(tmp_path), files)] == lines


def test_fence_inside_a_longer_fence() -> None:
    _, first, second = sections("# A\n\nSee\n\n````console\n# no heading\n```\n````\n\n## D\n")
    assert first.blocks == [Block("console", "# no heading\n```")]
    assert (second.line, second.level, second.title) == (10, 2, "D")
