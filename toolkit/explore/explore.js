// Moves the demos of a page: every state was computed when the page was built, and lies beside the
// controls as numbers. Drawing needs Vega-Embed (vega.js), from the site itself; no network.
(() => {
  "use strict";

  // A chart that stands still, drawn anew at the width of its column.
  class Still {
    constructor(figure) {
      this.figure = figure;
      Object.assign(this, JSON.parse(figure.querySelector('script[type="application/json"]').textContent));
      this.chart = figure.querySelector(".explore-chart");
      this.shown = 0; // index of the state on the page
      this.drawn = null; // index of the state in the drawing
      this.view = null;
    }

    rows(index) {
      const tables = {};
      for (const [name, columns] of Object.entries(this.states[index][1])) {
        const names = Object.keys(columns);
        const values = names.map((column) => this.columns[columns[column]]);
        const count = values.length ? values[0].length : 0;
        tables[name] = Array.from({ length: count }, (_, row) =>
          Object.fromEntries(names.map((column, i) => [column, values[i][row]])));
      }
      return tables;
    }

    specification(index) {
      const spec = structuredClone(this.spec);
      for (const [path, value] of this.changes[this.states[index][2]]) {
        const last = path[path.length - 1];
        const parent = path.slice(0, -1).reduce((node, key) => node[key], spec);
        parent[last] = structuredClone(value);
      }
      return spec;
    }

    // One drawing at a time; a control that moves on meanwhile is caught up with at the end.
    async draw() {
      this.near = true;
      if (this.busy || !window.vegaEmbed) return;
      this.busy = true;
      try {
        while (this.drawn !== this.shown) {
          const index = this.shown;
          const tables = this.rows(index);
          const sameSpec = this.view && this.states[this.drawn][2] === this.states[index][2];
          if (sameSpec) {
            const before = this.states[this.drawn][1];
            for (const [name, rows] of Object.entries(tables)) {
              if (JSON.stringify(before[name]) !== JSON.stringify(this.states[index][1][name])) {
                this.view.data(name, rows);
              }
            }
          } else {
            await this.embed(index, tables);
          }
          await this.view.runAsync();
          this.drawn = index;
        }
      } finally {
        this.busy = false;
      }
      this.figure.dataset.drawn = String(this.drawn);
    }

    async embed(index, tables) {
      const spec = this.specification(index);
      for (const entry of spec.data) if (entry.name in tables) entry.values = tables[entry.name];
      const holder = document.createElement("div");
      holder.style.width = "100%";
      this.chart.replaceChildren(holder);
      if (this.embedded) this.embedded.finalize();
      this.embedded = await window.vegaEmbed(holder, spec, { mode: "vega", actions: false, renderer: "svg" });
      this.view = this.embedded.view;
    }
  }

  class Demo extends Still {
    constructor(figure) {
      super(figure);
      this.form = figure.querySelector("form");
      this.readout = figure.querySelector(".explore-readout");
      this.link = figure.querySelector(".explore-link");
      this.details = figure.querySelector("details");
      this.reset = figure.querySelector(".explore-reset");
      this.inputs = this.controls.map((control) => this.form.elements[control.name]);
      this.defaults = this.controls.map((control) => control.default);
      this.shown = null;
      this.form.addEventListener("input", () => this.show(this.read()));
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.reset.addEventListener("click", () => this.set(this.defaults));
      this.details.addEventListener("toggle", () => this.fillTable());
      this.form.querySelector("fieldset").disabled = false;
      this.reset.disabled = false;
    }

    // The place of each control's value among its values.
    read() {
      return this.controls.map((control, i) =>
        control.kind === "switch" ? Number(this.inputs[i].checked) : Number(this.inputs[i].value));
    }

    set(places) {
      this.controls.forEach((control, i) => {
        if (control.kind === "switch") this.inputs[i].checked = places[i] === 1;
        else this.inputs[i].value = String(places[i]);
      });
      this.show(places);
    }

    show(places) {
      const index = places.reduce((sum, place, i) => sum * this.controls[i].values.length + place, 0);
      this.controls.forEach((control, i) => {
        if (control.kind !== "slider") return;
        const text = control.texts[places[i]];
        this.inputs[i].setAttribute("aria-valuetext", text);
        this.inputs[i].previousElementSibling.textContent = text;
      });
      const query = this.controls
        .map((control, i) => `${control.name}=${encodeURIComponent(control.values[places[i]])}`)
        .join(",");
      this.link.setAttribute("href", `#${this.name}:${query}`);
      if (index === this.shown) return;
      this.shown = index;
      this.figure.dataset.shown = String(index);
      const text = this.states[index][0];
      // Setting equal text again would make a screen reader say it again.
      if (this.readout.textContent !== text) this.readout.textContent = text;
      this.fillTable();
      if (this.near) this.draw();
    }

    fillTable() {
      if (!this.details.open || this.tabled === this.shown) return;
      this.tabled = this.shown;
      // One column is a rule across the chart, or only names what another data set holds.
      const told = (rows) => rows.length && Object.keys(rows[0]).length > 1;
      const tables = Object.values(this.rows(this.shown)).filter(told);
      this.details.querySelector(".explore-table").replaceChildren(...tables.map(toTable));
    }

    // `#peeking:looks=20,rule=Pocock` sets the controls that it names; the others keep their defaults.
    follow(hash) {
      const [name, query] = [hash.slice(1).split(":")[0], hash.slice(hash.indexOf(":") + 1)];
      if (name !== this.name || !hash.includes(":")) return false;
      const places = [...this.defaults];
      for (const part of query.split(",")) {
        const [key, value] = part.split("=");
        const i = this.controls.findIndex((control) => control.name === key);
        if (i < 0 || value === undefined) continue;
        const place = this.controls[i].values.indexOf(decodeURIComponent(value));
        if (place >= 0) places[i] = place;
      }
      this.set(places);
      this.figure.scrollIntoView({ block: "start" });
      return true;
    }
  }

  function readable(value) {
    if (typeof value !== "number" || Number.isInteger(value) || Math.abs(value) >= 1000) return value ?? "";
    return Number(value.toPrecision(4));
  }

  function toTable(rows) {
    const table = document.createElement("table");
    const names = Object.keys(rows[0]);
    const head = table.createTHead().insertRow();
    for (const name of names) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows.slice(0, 500)) {
      const line = body.insertRow();
      for (const name of names) line.insertCell().textContent = readable(row[name]);
    }
    return table;
  }

  function start() {
    const demos = [...document.querySelectorAll("figure.explore[data-demo]")].map((figure) => new Demo(figure));
    const stills = [...document.querySelectorAll("figure.explore-still")].map((figure) => new Still(figure));
    const follow = () => {
      try {
        demos.some((demo) => demo.follow(window.location.hash));
      } catch (error) {
        if (!(error instanceof URIError)) throw error; // a mangled link opens the page as it is
      }
    };
    // A demo is drawn anew, at the width of its column, when it comes near the window.
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        [...demos, ...stills].find((each) => each.figure === entry.target).draw();
      }
    }, { rootMargin: "600px" });
    // What a browser restored of the controls on going back is shown, not only kept.
    for (const demo of demos) demo.show(demo.read());
    for (const each of [...demos, ...stills]) near.observe(each.figure);
    follow();
    window.addEventListener("hashchange", follow);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
