// Checks an answer in the published page by the rules of `toolkit.exercises.check`.
(() => {
  "use strict";

  function feedback(exercise, text) {
    // A reader may write 1,234.5 or 1234,5; only one reading of the comma can be a number of thousands.
    const plain = text.trim().replace(/,(?=\d{3}(\D|$))/g, "").replace(",", ".").replace("−", "-");
    const number = plain === "" ? NaN : Number(plain);
    if (!Number.isFinite(number)) return [false, "Give one number, such as 0.05 (no unit, no % sign)."];
    if (Math.abs(number - exercise.expected) <= exercise.tolerance) return [true, `Right: ${exercise.right}`];
    for (const [value, tolerance, hint] of exercise.wrong) {
      if (Math.abs(number - value) <= tolerance) return [false, `Not yet: ${hint}`];
    }
    return [false, `Not yet: ${exercise.other}`];
  }

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form.exercise");
    if (!form) return;
    event.preventDefault();
    const exercise = JSON.parse(form.querySelector('script[type="application/json"]').textContent);
    const [right, text] = feedback(exercise, form.elements.answer.value);
    const place = form.querySelector(".exercise-feedback");
    place.classList.toggle("exercise-right", right);
    place.textContent = text;
  });
})();
