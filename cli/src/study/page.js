"use strict";
const all = (what, of = document) => [...of.querySelectorAll(what)];
const act = (element, action) => {
  element.addEventListener("click", action);
  element.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); }
  });
};

// Points tell what they are, under the pointer and when they have the focus.
const told = document.createElement("div");
told.id = "point";
told.hidden = true;
told.setAttribute("role", "status");
document.body.append(told);
for (const mark of all(".series .mark")) {
  const title = mark.querySelector("title");
  mark.setAttribute("tabindex", "0");
  mark.setAttribute("aria-label", title.textContent);
  const show = () => {
    const box = mark.getBoundingClientRect();
    told.textContent = mark.getAttribute("aria-label");
    told.hidden = false;
    const left = Math.min(box.left, document.documentElement.clientWidth - told.offsetWidth - 8);
    told.style.left = Math.max(left, 0) + scrollX + "px";
    told.style.top = box.bottom + scrollY + 6 + "px";
  };
  title.remove();
  for (const event of ["mouseenter", "focus"]) mark.addEventListener(event, show);
  for (const event of ["mouseleave", "blur"]) mark.addEventListener(event, () => (told.hidden = true));
}

// A series is switched off and on by its name.
for (const svg of all("svg")) {
  const series = all(".series", svg);
  all(".key", svg).forEach((key, i) => {
    key.setAttribute("role", "button");
    key.setAttribute("tabindex", "0");
    key.setAttribute("aria-pressed", "true");
    act(key, () => key.setAttribute("aria-pressed", String(!series[i].classList.toggle("off"))));
  });
}

// The same against calls, samples or time.
for (const group of all(".switch")) {
  const sections = all("section", group), tabs = document.createElement("div");
  tabs.className = "tabs";
  const choose = chosen => sections.forEach((section, i) => {
    section.hidden = i !== chosen;
    tabs.children[i].setAttribute("aria-pressed", String(i === chosen));
  });
  sections.forEach((section, i) => {
    const button = document.createElement("button");
    button.textContent = section.dataset.tab;
    button.addEventListener("click", () => choose(i));
    tabs.append(button);
  });
  group.prepend(tabs);
  choose(0);
}

// Tables are sorted by the column whose head is chosen; numbers by their size, in whatever unit.
const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1 };
const size = cell => {
  const [, number, unit] = /^(-?[\d.]+(?:e-?\d+)?) ?(\S+)?/.exec(cell) ?? [];
  return number === undefined ? NaN : Number(number) * (units[unit] ?? 1);
};
for (const table of all("table")) {
  const body = table.querySelector("tbody");
  all("th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      all("th", table).forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map(row => [row.cells[column].textContent, row]);
      rows.sort(([a], [b]) => {
        const [x, y] = [size(a), size(b)];
        const order = x === y ? 0 : x - y || a.localeCompare(b);
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
