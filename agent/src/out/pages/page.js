// Keeps the pages that have a summary up to date: it fetches the page again and replaces only what changed. What the
// reader has opened, focused or scrolled to stays as it is. It does nothing while the page is hidden.
"use strict";
(() => {
  const PACE = 5000;
  let etag = "";
  let timer;

  function sameKind(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
  }

  function update(from, to) {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    // Whether details are open, and the round chosen on a strip, is the reader's choice.
    const kept = { DETAILS: ["open"], A: ["data-at", "style", "title"] }[from.nodeName] || [];
    for (const { name } of [...from.attributes]) {
      if (!kept.includes(name) && !to.hasAttribute(name)) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (!kept.includes(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    const old = [...from.childNodes];
    [...to.childNodes].forEach((child, place) => {
      const before = old[place];
      if (!before) from.append(document.importNode(child, true));
      else if (sameKind(before, child)) update(before, child);
      else before.replaceWith(document.importNode(child, true));
    });
    old.slice(to.childNodes.length).forEach((child) => child.remove());
  }

  function stale(text) {
    let notice = document.getElementById("stale");
    if (!text) return notice && notice.remove();
    if (!notice) {
      notice = document.createElement("p");
      notice.id = "stale";
      notice.setAttribute("role", "alert");
      document.querySelector("header").after(notice);
    }
    if (notice.textContent !== text) notice.textContent = text;
  }

  async function look() {
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const signal = AbortSignal.timeout(PACE);
      const answer = await fetch(location.pathname, { headers, signal, cache: "no-store" });
      if (answer.status === 200) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        stale("");
        update(document.body, page.body);
        age();
        document.title = page.title;
        etag = answer.headers.get("ETag") || "";
      } else if (answer.status === 304) {
        stale("");
      } else {
        throw new Error(String(answer.status));
      }
    } catch {
      stale("The agent does not respond. This page may be out of date.");
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, PACE);
  }

  // How long ago the last round was, counted on between two looks.
  function age() {
    const updated = document.getElementById("updated");
    const at = updated && Date.parse(updated.querySelector("time").dateTime);
    if (!at) return;
    const seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
    const text = seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
    const time = updated.querySelector("time");
    if (time.textContent !== text) time.textContent = text;
  }

  // A strip is a link to the list of rounds. The mouse, or the arrow keys, choose one round on it.
  const BARS = 60;
  const ids = (strip) => strip.closest(".strips").dataset.rounds.split(" ");

  function choose(strip, bar) {
    const all = ids(strip);
    const place = Math.min(Math.max(bar, BARS - all.length), BARS - 1);
    const at = new Date(Number(all[place - (BARS - all.length)]) / 1000);
    strip.dataset.at = place;
    strip.style.setProperty("--at", place);
    strip.title = `round of ${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  }

  function bar(strip, event) {
    const { left, width } = strip.getBoundingClientRect();
    return Math.floor(((event.clientX - left) / width) * BARS);
  }

  function openChosen(strip, event) {
    const all = ids(strip);
    event.preventDefault();
    location.assign("round/" + all[strip.dataset.at - (BARS - all.length)]);
  }

  const stripOf = (event) => event.target.closest && event.target.closest("a.strip");
  document.addEventListener("mousemove", (event) => {
    const strip = stripOf(event);
    if (strip) choose(strip, bar(strip, event));
  });
  document.addEventListener("mouseout", (event) => {
    const strip = stripOf(event);
    if (strip && !strip.contains(event.relatedTarget)) delete strip.dataset.at;
  });
  document.addEventListener("focusout", (event) => {
    const strip = stripOf(event);
    if (strip) delete strip.dataset.at;
  });
  document.addEventListener("keydown", (event) => {
    const strip = stripOf(event);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!strip) return;
    if (step) {
      choose(strip, Number(strip.dataset.at ?? BARS) + step);
      event.preventDefault();
    } else if (event.key === "Enter" && strip.dataset.at) openChosen(strip, event);
  });
  document.addEventListener("click", (event) => {
    const strip = stripOf(event);
    if (!strip || event.detail === 0 || event.metaKey || event.ctrlKey) return;
    choose(strip, bar(strip, event));
    openChosen(strip, event);
  });

  if (document.getElementById("summary")) {
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
    age();
    setInterval(age, 1000);
    plan();
  }
})();
