"""What the browser keeps of the work: after a model that failed, with several tabs, over a reload."""

import json

import pytest
from fake_engine import FakeEngine
from pages import blank, ids, run, settled

pytestmark = pytest.mark.browser
NEVER_TIRED = "AbortSignal.timeout = () => new AbortController().signal;"


def classes(page):
    return {value for row in ids(page) for value in row}


def keep(page):
    """Waits until what has changed is kept, if this tab keeps at all."""
    run(page, 'await (await import("/static/js/storage.js")).keepNow();')


def reload(page):
    page.reload()
    settled(page)


def works_and_finds_it_kept(page, class_id):
    blank(page, class_id=class_id)
    keep(page)
    reload(page)
    assert classes(page) == {class_id}


def test_work_is_kept_after_a_first_model_that_failed_to_load(open_page, serve):
    page = open_page(serve(FakeEngine("first"), FakeEngine("second")), expected=("500",))
    body = json.dumps({"code": "internal", "message": "Broken on purpose."})
    page.route("**/first/classes", lambda route: route.fulfill(status=500, body=body))
    page.reload()
    page.wait_for_selector(".toast:has-text('Broken on purpose.')")
    assert page.locator("#model").input_value() == ""
    page.locator("#model").select_option("second")
    settled(page)
    works_and_finds_it_kept(page, 4)
    assert run(page, "return state.model.name") == "second"


def test_of_two_tabs_the_first_keeps_its_work_and_the_second_says_so(open_page):
    first = open_page()
    second = first.context.new_page()
    second.goto(first.url)
    settled(second)
    second.wait_for_selector(".toast:has-text('changes here are not kept: save a project')")
    blank(first, class_id=5)
    keep(first)
    blank(second, class_id=7)
    keep(second)
    reload(first)
    assert classes(first) == {5}
    assert first.locator(".toast").count() == 0
    first.close()
    reload(second)  # alone by now
    assert classes(second) == {5}
    works_and_finds_it_kept(second, 6)


def test_changes_made_before_an_earlier_page_has_let_go_are_kept_then(open_page):
    earlier = open_page()
    page = earlier.context.new_page()
    page.add_init_script(NEVER_TIRED)
    page.goto(earlier.url)
    settled(page)
    blank(page, class_id=3)
    page.wait_for_timeout(600)  # longer than the pause before work is kept
    earlier.close()
    keep(page)
    reload(page)
    assert classes(page) == {3}


def test_work_is_kept_where_the_browser_offers_no_locks(open_page):
    page = open_page()
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });")
    reload(page)
    assert page.evaluate("navigator.locks === undefined")
    works_and_finds_it_kept(page, 8)


def test_what_nobody_worked_on_is_not_kept(open_page):
    page = open_page()
    page.wait_for_timeout(600)  # longer than the pause before work is kept
    keep(page)
    stored = 'return (await (await import("/static/js/storage.js")).kept(state.model.name)) === undefined;'
    assert run(page, stored)
    blank(page, class_id=9)
    keep(page)
    assert not run(page, stored)
