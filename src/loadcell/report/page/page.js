// The page: theme, charts when they come near, definitions, copying. No request is ever made.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const THEMES = ["auto", "light", "dark"];
  const stored = (() => {
    try {
      return localStorage.getItem("loadcell-theme");
    } catch {
      return null; // no storage for files, in some browsers
    }
  })();
  let theme = THEMES.includes(stored) ? stored : "auto";
  const isDark = () => (theme === "auto" ? dark.matches : theme === "dark");
  const applyTheme = () => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  applyTheme(); // before the first paint

  addEventListener("DOMContentLoaded", () => {
    const data = JSON.parse(document.getElementById("data").textContent);
    const charts = startCharts(data);
    startTheme(data.words.theme, charts.redraw);
    startDefinitions(data);
    startCopying(data.words.copied);
    startContents();
    startPrinting();
  });

  function startTheme(words, redraw) {
    const button = document.getElementById("theme");
    if (!button) return;
    const show = () => (button.textContent = words[theme]);
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
      redraw();
    });
    dark.addEventListener("change", redraw);
  }

  // --- charts ---

  function startCharts({ charts, themes, locale, words }) {
    const figures = [...document.querySelectorAll("figure[data-state=waiting]")];
    const views = new Map();
    let queue = Promise.resolve();

    // Every view of a chart has width 640 in its specification: that of its place is put in.
    const widened = (node, width) => {
      if (Array.isArray(node)) return node.map((part) => widened(part, width));
      if (node === null || typeof node !== "object") return node;
      const copy = {};
      for (const [key, value] of Object.entries(node)) {
        if (key === "width" && value === 640) copy[key] = width;
        else copy[key] = key === "data" || key === "datasets" ? value : widened(value, width);
      }
      return copy;
    };
    const embed = async (figure, plot, width) => {
      views.get(figure)?.finalize();
      views.delete(figure);
      const result = await vegaEmbed(plot, widened(charts[figure.dataset.chart], width), {
        ast: true,
        actions: false,
        renderer: "svg",
        config: themes[isDark() ? "dark" : "light"],
        tooltip: { disableDefaultStyle: true },
        ...(locale ? { formatLocale: locale } : {}),
      });
      views.set(figure, result);
      plot.querySelector("svg")?.setAttribute("aria-hidden", "true");
    };
    const drawNow = async (figure) => {
      const plot = figure.querySelector(".plot");
      const room = Math.floor(plot.clientWidth);
      if (!room) return;
      const mark = `${room} ${isDark()}`;
      if (figure.dataset.mark === mark) return;
      plot.style.minHeight = `${plot.clientHeight}px`; // no jump while it is drawn again
      try {
        // Axes and labels take room beside the views: drawn once to know how much, then to fit.
        const beside = Number(figure.dataset.beside ?? 70);
        await embed(figure, plot, Math.max(80, room - beside));
        const drawn = plot.querySelector("svg").getBoundingClientRect().width;
        const over = Math.ceil(drawn - room);
        if (over > 0 || over < -12) {
          figure.dataset.beside = beside + over;
          await embed(figure, plot, Math.max(80, room - beside - over));
        }
        figure.dataset.mark = mark;
        figure.dataset.theme = isDark() ? "dark" : "light";
        figure.dataset.state = "drawn";
      } catch (error) {
        figure.dataset.mark = mark;
        figure.dataset.state = "failed";
        plot.hidden = true;
        const missing = figure.querySelector(".missing");
        missing.textContent = words.failed.replace("{why}", String(error).slice(0, 300));
        missing.hidden = false;
      }
      plot.style.minHeight = "";
    };
    const draw = (figure) => (queue = queue.then(() => drawNow(figure)));

    if (!window.vegaEmbed) return { redraw: () => {} };
    // About the room that each will take, so that what is below stays where a link finds it.
    const tall = ({ vconcat, ...spec }) => (vconcat ?? [spec]).reduce((sum, view) => sum + (view.height ?? 200) + 36, 20);
    for (const figure of figures) {
      figure.querySelector(".plot").style.minHeight = `${tall(charts[figure.dataset.chart])}px`;
    }
    const seen = new IntersectionObserver(
      (entries) => {
        for (const entry of entries.filter((one) => one.isIntersecting)) {
          seen.unobserve(entry.target);
          draw(entry.target);
        }
      },
      { rootMargin: "400px" },
    );
    figures.forEach((figure) => seen.observe(figure));
    // The rest when there is time: what is drawn can be searched for, and printed.
    const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 200));
    const all = () => figures.forEach((figure) => draw(figure));
    addEventListener("load", () => idle(all));
    addEventListener("beforeprint", all);
    let timer = 0;
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return; // phones change the height while they scroll
      width = innerWidth;
      clearTimeout(timer);
      timer = setTimeout(all, 150);
    });
    addEventListener("toggle", all, true); // what lies in a closed <details> has no width
    return { redraw: all };
  }

  // --- definitions ---

  function startDefinitions({ terms, words }) {
    const box = document.getElementById("definition");
    let owner = null;
    let timer = 0;
    const part = (tag, text, name = "") => {
      const element = document.createElement(tag);
      element.textContent = text;
      element.className = name;
      return element;
    };
    const show = (link) => {
      const term = terms[link.dataset.term];
      if (!term) return;
      clearTimeout(timer);
      if (owner && owner !== link) owner.removeAttribute("aria-describedby");
      owner = link;
      const head = part("p", term.title, "head");
      head.append(part("span", term.unit, "unit"));
      const blind = part("p", "", "blind");
      blind.append(part("b", words.blind), ` ${term.blind}`);
      box.replaceChildren(head, part("p", term.meaning), part("code", term.formula), blind);
      box.hidden = false;
      link.setAttribute("aria-describedby", "definition");
      place(link);
    };
    const place = (link) => {
      const at = link.getBoundingClientRect();
      const { offsetWidth: wide, offsetHeight: high } = box;
      const left = Math.max(8, Math.min(at.left, root.clientWidth - wide - 8));
      const below = at.bottom + 6;
      const top = below + high > innerHeight && at.top - high - 6 > 0 ? at.top - high - 6 : below;
      box.style.left = `${left + scrollX}px`;
      box.style.top = `${top + scrollY}px`;
    };
    const hide = () => {
      clearTimeout(timer);
      owner?.removeAttribute("aria-describedby");
      owner = null;
      box.hidden = true;
    };
    const hideSoon = () => (timer = setTimeout(hide, 200)); // time to move into the box
    const linkOf = (event) => event.target.closest?.("a.term");
    document.addEventListener("pointerover", (event) => {
      const link = linkOf(event);
      if (link && event.pointerType !== "touch") show(link);
      else if (box.contains(event.target)) clearTimeout(timer);
    });
    document.addEventListener("pointerout", (event) => {
      if (event.pointerType !== "touch" && (linkOf(event) || box.contains(event.target))) hideSoon();
    });
    document.addEventListener("focusin", (event) => (linkOf(event) ? show(linkOf(event)) : hide()));
    document.addEventListener("click", (event) => {
      const link = linkOf(event);
      if (link && event.pointerType === "touch") {
        event.preventDefault();
        show(link);
      } else if (!link && !box.contains(event.target)) hide();
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  }

  // --- small things ---

  function startPrinting() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open])")];
      closed.forEach((one) => (one.open = true)); // paper cannot be unfolded
    });
    addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)));
  }

  function startCopying(copied) {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      const words = button.textContent;
      button.hidden = false;
      button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        try {
          await navigator.clipboard.writeText(source.textContent);
          button.textContent = copied;
          setTimeout(() => (button.textContent = words), 1500);
        } catch {
          getSelection().selectAllChildren(source); // a file on disk has no clipboard of its own
          if (!document.execCommand("copy")) return; // marked: one key is left to press
          button.textContent = copied;
          setTimeout(() => (button.textContent = words), 1500);
        }
      });
    }
  }

  function startContents() {
    const links = [...document.querySelectorAll(".contents a[href^='#']")];
    const sections = links.map((link) => document.getElementById(link.hash.slice(1)));
    const mark = () => {
      const at = sections.reduce((last, one, i) => (one && one.getBoundingClientRect().top < 120 ? i : last), 0);
      links.forEach((link, i) => (i === at ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    };
    let waiting = false;
    addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        mark();
      });
    }, { passive: true });
    mark();
  }
})();
