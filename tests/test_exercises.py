"""Every exercise accepts its answer, tells typical mistakes apart, and refuses what is no number."""

import pytest

from toolkit import exercises
from toolkit.exercises import Exercise, Hint, check, rendering


@pytest.mark.parametrize("name", exercises.names())
def test_the_expected_answer_is_right_and_each_typical_mistake_gets_its_hint(name):
    exercise = exercises._find(name)
    assert check(name, exercise.expected()).right
    assert check(name, exercise.expected() + 0.9 * exercise.tolerance).right
    for value, tolerance, text in exercise.wrong_answers():
        assert abs(value - exercise.expected()) > exercise.tolerance + tolerance, (
            "a mistake would count as right"
        )
        feedback = check(name, value)
        assert not feedback.right
        assert feedback.message == text
    assert exercise.question.strip().endswith(("?", "."))


def test_each_chapter_has_at_least_two_exercises():
    chapters = [name.split("/")[0] for name in exercises.names()]
    assert set(chapters) >= {"intro", "multiple_comparisons"}
    for chapter in set(chapters):
        assert chapters.count(chapter) >= 2, chapter


def test_an_unanswered_exercise_says_how_to_answer(monkeypatch):
    name = exercises.names()[0]
    feedback = check(name, ...)
    assert feedback.right is None
    assert "Replace the three dots" in str(feedback)
    monkeypatch.setenv("TOOLKIT_RENDER", "static")
    page = check(name, ...)._repr_html_()
    assert "<form" in page
    assert str(exercises._find(name).expected()) in page


def test_code_in_a_question_is_code_in_the_page(monkeypatch):
    monkeypatch.setenv("TOOLKIT_RENDER", "static")
    asked = Exercise("How large is `x<1`, in percent?", 1.0, 0.1, "Because.", (Hint(2.0, "No."),))
    page = rendering.unanswered("a/b", asked)._repr_html_()
    assert "<p>How large is <code>x&lt;1</code>, in percent?</p>" in page


def test_a_bad_name_or_answer_is_refused():
    name = exercises.names()[0]
    with pytest.raises(ValueError, match=r"name: got 'nothing/here'; it must be one of .*" + name):
        check("nothing/here", 1)
    for bad in ("2.4", None, True, [2.4], 1j):
        with pytest.raises(TypeError, match=r"answer: got .* it must be one real number"):
            check(name, bad)
    with pytest.raises(ValueError, match="answer: got nan; it must be finite"):
        check(name, float("nan"))


def test_an_exercise_needs_a_positive_tolerance():
    with pytest.raises(ValueError, match="tolerance: got 0; it must be positive"):
        Exercise("How many?", 1.0, 0, "Because.", (Hint(2.0, "No."),))
