// The listing: filter, sort, fold, pick two, and ask for the figures that are not there yet.
"use strict";
(() => {
  const root = document.documentElement;
  const THEMES = ["auto", "light", "dark"];
  const stored = (() => {
    try {
      return localStorage.getItem("loadcell-theme");
    } catch {
      return null;
    }
  })();
  let theme = THEMES.includes(stored) ? stored : "auto";
  const applyTheme = () => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  applyTheme(); // before the first paint

  addEventListener("DOMContentLoaded", () => {
    startTheme();
    const table = document.querySelector(".list table");
    if (!table) return;
    const state = readState();
    const view = startView(table, state);
    startPicking(state);
    startFigures(table, view);
  });

  function startTheme() {
    const button = document.getElementById("theme");
    const show = () => (button.textContent = button.dataset[theme]);
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem("loadcell-theme", theme);
      } catch {
        // the choice lasts as long as the page
      }
      applyTheme();
      show();
    });
  }

  // --- what is looked at stands in the address, so that going back finds it again ---

  function readState() {
    const kept = new URLSearchParams(location.hash.slice(1));
    const picks = [kept.get("a"), kept.get("b")].filter((id) => id !== null);
    return { words: kept.get("q") ?? "", sort: kept.get("sort") ?? "when", up: kept.has("up"), picks };
  }

  function writeState({ words, sort, up, picks }) {
    const kept = new URLSearchParams();
    if (words) kept.set("q", words);
    if (sort !== "when") kept.set("sort", sort);
    if (up) kept.set("up", "");
    picks.forEach((id, i) => kept.set("ab"[i], id));
    history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname);
  }

  // --- rows: filter, sort, fold ---

  function startView(table, state) {
    const groups = [...table.tBodies];
    const filter = document.getElementById("filter");
    const shown = document.getElementById("shown");
    const heads = [...table.tHead.querySelectorAll("th[data-column]")];
    const select = document.getElementById("sort");
    const all = groups.length;
    const cellOf = (group, name) => group.rows[0].querySelector(`[data-column="${name}"]`);

    const matches = (group, words) => {
      const text = group.textContent.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const update = () => {
      const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const group of groups) {
        group.hidden = !matches(group, words);
        count += !group.hidden;
      }
      shown.textContent = words.length ? shown.dataset.text.replace("{n}", count).replace("{all}", all) : "";
      document.getElementById("none").hidden = count > 0;
    };

    // Missing values come last, whichever way the others go.
    const WORDS = { VALID: 0, SUSPECT: 1, INVALID: 2 };
    const valueOf = (group) => {
      const cell = cellOf(group, state.sort);
      const value = cell.dataset.value;
      if (value === "") return null;
      if (state.sort === "verdict") return WORDS[value];
      return ["name", "state"].includes(state.sort) ? value : Number(value);
    };
    const compare = (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
      return state.up ? order : -order;
    };
    const sort = () => {
      const keyed = groups.map((group, i) => [valueOf(group), i, group]);
      keyed.sort((x, y) => compare(x[0], y[0]) || x[1] - y[1]);
      table.append(...keyed.map(([, , group]) => group));
      for (const head of heads) {
        if (head.dataset.column !== state.sort) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", state.up ? "ascending" : "descending");
      }
      select.value = state.sort;
    };

    for (const head of heads) {
      const button = head.querySelector("button");
      button.disabled = false;
      button.addEventListener("click", () => {
        const name = head.dataset.column;
        // Latencies, names and words begin with the least, all else with the most.
        state.up = state.sort === name ? !state.up : /^(ttft|name|verdict|state)/.test(name);
        state.sort = name;
        sort();
        writeState(state);
      });
    }
    select.addEventListener("change", () => {
      state.sort = select.value;
      state.up = /^(ttft|name|verdict|state)/.test(state.sort);
      sort();
      writeState(state);
    });
    filter.value = state.words;
    filter.addEventListener("input", () => {
      state.words = filter.value;
      update();
      writeState(state);
    });
    document.querySelector(".tools").hidden = false;

    const opened = [];
    for (const group of groups) {
      const fold = group.querySelector(".fold");
      if (!fold) continue;
      const parts = [...group.rows].slice(1);
      const show = (open) => {
        fold.setAttribute("aria-expanded", String(open));
        for (const part of parts) part.hidden = !open;
        if (open) opened.forEach((tell) => tell());
      };
      fold.hidden = false;
      fold.addEventListener("click", () => show(fold.getAttribute("aria-expanded") !== "true"));
      show(parts.some((part) => state.picks.includes(part.dataset.id)));
    }
    if (!heads.some((head) => head.dataset.column === state.sort)) state.sort = "when";
    update();
    sort();
    return { update, sort, state, whenOpened: (tell) => opened.push(tell) };
  }

  // --- pick exactly two ---

  function startPicking(state) {
    const form = document.querySelector("form");
    const boxes = [...form.querySelectorAll("input[name=pick]")];
    const says = document.getElementById("picked");
    const clear = document.getElementById("clear");
    const go = document.getElementById("go");
    const nameOf = (id) => boxes.find((box) => box.value === id).closest("tr").querySelector(".c-name").dataset.value;

    const show = () => {
      const [a, b] = state.picks;
      const full = state.picks.length === 2;
      for (const box of boxes) {
        box.checked = state.picks.includes(box.value);
        box.disabled = full && !box.checked;
        box.dataset.side = box.checked ? "AB"[state.picks.indexOf(box.value)] : "";
      }
      const text = full ? says.dataset.two : a === undefined ? says.dataset.none : says.dataset.one;
      const names = { a: a === undefined ? "" : nameOf(a), b: b === undefined ? "" : nameOf(b) };
      says.textContent = text.replace(/\{([ab])\}/g, (_, side) => names[side]);
      go.disabled = !full;
      clear.hidden = a === undefined;
      document.getElementById("compare").classList.toggle("full", full);
    };
    state.picks = state.picks.filter((id, i, all) => all.indexOf(id) === i && boxes.some((box) => box.value === id));
    for (const box of boxes) {
      box.addEventListener("change", () => {
        state.picks = state.picks.filter((id) => id !== box.value);
        if (box.checked) state.picks.push(box.value);
        show();
        writeState(state);
      });
    }
    clear.addEventListener("click", () => {
      state.picks = [];
      show();
      writeState(state);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (state.picks.length < 2) return;
      const [a, b] = state.picks;
      location.assign(`/compare?${new URLSearchParams({ a, b })}`);
    });
    show();
  }

  // --- figures, at most two rows at a time, from the top ---

  function startFigures(table, view) {
    const progress = document.getElementById("progress");
    let busy = 0;
    let gone = false;

    const waiting = () => [...table.querySelectorAll("tr[data-waiting]")].filter((row) => !row.hidden);
    const fill = (row, { cells }) => {
      for (const [name, told] of Object.entries(cells)) {
        if (name === "says") {
          const said = row.querySelector(".said");
          said.textContent = told.text;
          said.classList.toggle("bad", told.bad);
          continue;
        }
        const cell = row.querySelector(`td[data-column="${name}"]`);
        cell.dataset.value = told.value;
        if (told.title) cell.title = told.title;
        cell.textContent = told.text;
        if (name !== "verdict" || told.value === "") continue;
        const badge = document.createElement("span");
        badge.className = `badge ${told.value.toLowerCase()}`;
        badge.textContent = told.text;
        cell.replaceChildren(badge);
      }
    };
    const one = async (row) => {
      busy += 1;
      row.removeAttribute("data-waiting");
      row.setAttribute("aria-busy", "true");
      try {
        const reply = await fetch(`/api/summary?${new URLSearchParams({ id: row.dataset.id })}`);
        if (reply.ok) fill(row, await reply.json());
        else fill(row, { cells: { says: { text: reply.statusText, bad: true } } }); // it went away, for one
      } catch {
        gone = true;
        row.setAttribute("data-waiting", "");
      }
      row.removeAttribute("aria-busy");
      busy -= 1;
      next();
    };
    const next = () => {
      const left = waiting();
      const tell = (text, n) => (progress.textContent = text.replace("{left}", n));
      if (gone) return tell(progress.dataset.gone, "");
      if (!left.length && !busy) {
        view.update();
        if (!["when", "name", "load", "state"].includes(view.state.sort)) view.sort();
        return tell("", "");
      }
      tell(progress.dataset.text, left.length + busy);
      if (view.state.words) view.update();
      const seen = left.filter((row) => !row.parentNode.hidden);
      for (const row of (seen.length ? seen : left).slice(0, 2 - busy)) one(row);
      return undefined;
    };
    view.whenOpened(next);
    next();
  }
})();
