"""One demo's three renderings tell the same in every state; what is kept is never stale."""

import json

import altair as alt
import pandas as pd
import pytest

from toolkit.explore import (
    DemoError,
    choice,
    explore,
    glue,
    page,
    render_mode,
    slider,
    states,
    switch,
)
from toolkit.explore import (
    demo as demo_module,
)
from toolkit.explore.page import payload, read_page
from toolkit.explore.text import read_text
from toolkit.explore.vega import compile_skeleton, difference, split
from toolkit.explore.widget import read_widget


def make(scale=1):
    @explore(
        k=slider([1, 2, 5], unit="looks", default=2), rule=choice(["plain", "<b>&"]), on=switch(label="On")
    )
    def sample(k, rule, on):
        """Does "it" move?"""
        data = pd.DataFrame({"x": range(k), "y": [float(scale * on)] * k, "unused": ["heavy"] * k})
        chart = alt.Chart(data, title=rule).mark_line().encode(x="x:Q", y="y:Q")
        return chart, f"{k} {rule} {'on' if on else 'off'} </script> {scale}"

    return sample


def applied(content, index):
    """The specification of a state, as the page's script puts it together."""
    spec = json.loads(json.dumps(content["spec"]))
    for path, value in content["changes"][content["states"][index][2]]:
        node = spec
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    return spec


def test_widget_page_and_text_say_the_same_in_every_state():
    demo = make()
    readouts = [state.readout for state in demo.states()]
    box = demo.widget()
    assert read_page(demo.html()) == readouts
    assert read_text(demo.text()) == readouts
    assert [read_widget(box, **values) for values in demo.grid()] == readouts


def test_a_page_holds_the_chart_of_every_state():
    demo = make()
    content = payload(demo)
    for index, values in enumerate(demo.grid()):
        skeleton, data = split(demo.state(**values).spec)
        assert applied(content, index) == compile_skeleton(skeleton, list(data))
        placed = content["states"][index][1]
        rebuilt = {
            name: {c: content["columns"][at] for c, at in table.items()} for name, table in placed.items()
        }
        assert rebuilt == data


def test_a_page_without_scripts_shows_the_default_state():
    html = make().html()
    before_data = html[: html.index("<script")]
    assert "2 plain off" in before_data
    assert "<svg" in before_data
    assert 'aria-live="polite"' in before_data


def test_text_from_a_demo_cannot_break_out_of_the_page():
    html = make().html()
    assert html.count("</script>") == 1
    assert "<b>" not in html


def test_what_the_chart_does_not_draw_does_not_weigh():
    assert "heavy" not in make().html()


def test_a_demo_that_weighs_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(demo_module, "PAGE_BYTES", 100)
    with pytest.raises(
        DemoError, match=r"demo 'sample': its states weigh [\d,]+ bytes compressed; at most 100 do"
    ):
        make().html()


def test_generated_names_do_not_make_equal_charts_differ():
    data = pd.DataFrame({"x": [1]})

    def skeleton():
        picked = alt.selection_point(fields=["x"])
        return split((alt.Chart(data).mark_point().encode(x="x:Q").add_params(picked)).to_dict())[0]

    assert skeleton() == skeleton()


def test_a_difference_rebuilds_the_new_value():
    old, new = {"a": [1, {"b": 2}], "c": 1}, {"a": [1, {"b": 3}], "c": True}
    assert difference(old, new) == [[["a", 1, "b"], 3], [["c"], True]]
    assert difference(old, old) == []


def test_a_chart_that_loads_an_address_is_refused():
    with pytest.raises(ValueError, match="loads data from an address"):
        split(alt.Chart("https://example.org/data.csv").mark_point().encode(x="x:Q").to_dict())


def test_numbers_keep_six_significant_digits():
    data = pd.DataFrame({"x": [0.123456789, 1e20, float("nan"), 3.0]})
    _, kept = split(alt.Chart(data).mark_point().encode(x="x:Q").to_dict())
    assert kept["d0"]["x"] == [0.123457, 1e20, None, 3]


def test_kept_states_are_read_again_and_a_changed_demo_is_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    make().states()
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(demo_module.Demo, "compute", lambda *_: pytest.fail("computed although kept"))
    assert make().states()[0].readout.startswith("1 plain off")
    monkeypatch.undo()
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    make(scale=2).states()
    assert len(list(tmp_path.iterdir())) == 2, kept


def test_the_digest_covers_what_a_demo_uses(monkeypatch):
    def digest(scale, **controls):
        used = {"scale": scale}

        def function(k):
            return None, f"{used['scale'] * k}"

        return states.fingerprint(explore(**(controls or {"k": [1, 2]}))(function))

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)
    assert digest(1) != digest(1, k=[1, 3])
    same = digest(1)
    monkeypatch.setattr(states, "build_digest", lambda: "another version of the toolkit")
    assert digest(1) != same


@pytest.mark.slow
def test_states_computed_in_several_processes_equal_those_of_one(monkeypatch):
    alone = [state.readout for state in make().states()]
    monkeypatch.setattr(states, "_WORTH_WORKERS", 0.0)
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    assert [state.readout for state in make().states()] == alone


def test_the_mode_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("TOOLKIT_RENDER", raising=False)
    assert render_mode() == "live"
    monkeypatch.setenv("TOOLKIT_RENDER", "statci")
    with pytest.raises(
        ValueError, match="TOOLKIT_RENDER: got 'statci'; it must be one of live, static, text"
    ):
        render_mode()


def test_glue_takes_formatted_numbers_only(capsys):
    glue(rate="5.0%")
    assert capsys.readouterr().out == "rate = 5.0%\n"
    for bad in ({}, {"rate": 0.05}, {"rate": " "}, {"rate": "nan%"}):
        with pytest.raises(ValueError, match="got"):
            glue(**bad)


def test_a_still_chart_draws_from_its_numbers():
    chart = alt.Chart(pd.DataFrame({"x": [1, 2]})).mark_bar().encode(x="x:Q")
    html = page.still("Title", chart.to_dict())
    assert '"columns":[[1,2]]' in html
    assert 'aria-label="Chart: Title"' in html


def test_the_digest_reads_globals_and_not_attributes_of_their_name(monkeypatch):
    def drawn(function):
        return states.fingerprint(explore(k=[1, 2])(function))

    def waterfall(k):
        return alt.waterfall, f"{k}"

    before = drawn(waterfall)
    # Once a notebook has defined it, a demo's name is also that of the chart form which it calls.
    monkeypatch.setitem(globals(), "waterfall", object())
    assert drawn(waterfall) == before
    monkeypatch.setitem(globals(), "alt", pd)
    assert drawn(waterfall) != before
