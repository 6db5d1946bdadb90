# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in a real browser: on a phone, a tablet and a desk, by day and by night."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from fleet import ODD, fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

TEMPLATE = Path(__file__).parents[2] / "playbooks/templates/report.html.j2"
VARIABLES = {
    "report_time": "2026-11-26 12:00 UTC",
    "report_page": "{{ report_hosts | poolwright.storage.pool_report }}",
}
HOSTS = 200


def written(folder: Path, hosts: int) -> Path:
    """The page as Ansible writes it."""
    variables, page = folder / "variables.json", folder / "storage.html"
    variables.write_text(json.dumps({**VARIABLES, "report_hosts": fleet(hosts)}), encoding="utf-8")
    arguments = json.dumps({"src": str(TEMPLATE), "dest": str(page)})
    command = ["ansible", "localhost", "-c", "local", "-m", "ansible.builtin.template"]
    subprocess.run([*command, "-a", arguments, "-e", f"@{variables}"], check=True)
    return page


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"), HOSTS).as_uri()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page at a width and in a colour scheme; the policy is off for axe, which is a script."""
    width, scheme = getattr(request, "param", (900, "light"))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    shown = context.new_page()
    shown.goto(address)
    yield shown
    context.close()


@pytest.mark.parametrize(
    "page",
    [(width, scheme) for width in (400, 900, 1400) for scheme in ("light", "dark")],
    indirect=True,
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def test_it_can_be_read(page: Page) -> None:
    page.evaluate("""
        [...document.querySelectorAll('details')].forEach((each, number) => {
            each.open = number < 4 || number > 7 && number < 12
        })""")
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(fits)
    keep = os.environ.get("POOLWRIGHT_PAGES")
    if keep:
        size = page.viewport_size or {}
        scheme = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        page.screenshot(path=f"{keep}/{size['width']}-{'dark' if scheme else 'light'}.png")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_every_host_is_on_it(page: Page) -> None:
    assert page.locator(".host").count() == HOSTS
    assert page.locator(".host.bad", has_text="unreachable").count() == 1
    assert page.title() == f"Storage of {HOSTS} hosts, {VARIABLES['report_time']}"


def test_names_are_text(page: Page) -> None:
    """Nothing in a name becomes an element, and every character of it can be seen."""
    assert page.locator("script, b:has-text('bold')").count() == 0
    names = page.locator(".host", has_text="kvm9.").locator("tbody th").all_text_contents()
    told = ["tab\\x09 bell\\x07 line turned\\u202e round", *ODD[:3], ODD[4]]
    for name in told:
        assert any(each.startswith(name) for each in names), (name, names)


def test_it_asks_for_nothing(browser: Browser, address: str) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.close()
    assert asked == [address]


def test_hosts_are_picked_without_a_script(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    bad = page.locator(".host.bad").count()
    page.locator("label[for=only-bad]").click()
    assert page.locator(".host:visible").count() == bad
    page.locator("#attention + .card a").first.click()
    assert page.locator(".host[open]").count() == 1
    context.close()
