// Checks an answer in the published page by the rules of `toolkit.exercises.check`.
(() => {
  "use strict";

  // A comma may mark thousands (1,234.5) or decimals (0,05); where both readings are numbers, both count.
  function readings(text) {
    const plain = text.trim().replace("−", "-");
    const grouped = /^[-+]?\d{1,3}(,\d{3})+(\.\d*)?$/.test(plain) ? [plain.replaceAll(",", "")] : [];
    const decimal = plain.includes(".") ? [] : [plain.replace(",", ".")];
    const found = [...decimal, ...grouped, ...(plain.includes(",") ? [] : [plain])];
    return found.filter((each) => each !== "").map(Number).filter(Number.isFinite);
  }

  function feedback(exercise, text) {
    const numbers = readings(text);
    if (!numbers.length) return [false, "Give one number, such as 0.05 (no unit, no % sign)."];
    const near = (value, tolerance) => numbers.some((number) => Math.abs(number - value) <= tolerance);
    if (near(exercise.expected, exercise.tolerance)) return [true, `Right: ${exercise.right}`];
    for (const [value, tolerance, hint] of exercise.wrong) {
      if (near(value, tolerance)) return [false, `Not yet: ${hint}`];
    }
    return [false, `Not yet: ${exercise.other}`];
  }

  // What stands between backticks is code.
  function marked(text) {
    return text.split("`").map((part, i) => {
      if (i % 2 === 0) return part;
      const code = document.createElement("code");
      code.textContent = part;
      return code;
    });
  }

  for (const form of document.querySelectorAll("form.exercise")) form.querySelector("fieldset").disabled = false;

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form.exercise");
    if (!form) return;
    event.preventDefault();
    const exercise = JSON.parse(form.querySelector('script[type="application/json"]').textContent);
    const [right, text] = feedback(exercise, form.elements.answer.value);
    const place = form.querySelector(".exercise-feedback");
    place.classList.toggle("exercise-right", right);
    place.replaceChildren(...marked(text));
  });
})();
