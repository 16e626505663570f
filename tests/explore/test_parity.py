"""Every demo of the book says the same in a notebook, in the page and as text, in every state."""

from conftest import ROOT

from toolkit.explore.page import read_page
from toolkit.explore.states import CACHE_VARIABLE
from toolkit.explore.text import read_text
from toolkit.explore.widget import read_widget


def test_a_chapter_s_demos_say_the_same_in_their_three_renderings(demos, monkeypatch):
    # States that a build has just computed are read; their digest covers all that they depend on.
    monkeypatch.setenv(CACHE_VARIABLE, str(ROOT / "_build" / "cache" / "demos"))
    assert len(demos) >= 2
    for demo in demos:
        readouts = [state.readout for state in demo.states()]
        box = demo.widget()
        assert [read_widget(box, **values) for values in demo.grid()] == readouts
        assert read_page(demo.html()) == readouts
        assert read_text(demo.text()) == readouts
