// Keeps the status page up to date: it fetches the page again and replaces only what changed. What the
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
    // Whether details are open is the reader's choice.
    const kept = from.nodeName === "DETAILS" ? "open" : null;
    for (const { name } of [...from.attributes]) {
      if (name !== kept && !to.hasAttribute(name)) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (name !== kept && from.getAttribute(name) !== value) from.setAttribute(name, value);
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
      document.querySelector("header").append(notice);
    }
    if (notice.textContent !== text) notice.textContent = text;
  }

  async function look() {
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const signal = AbortSignal.timeout(PACE);
      const answer = await fetch("./", { headers, signal, cache: "no-store" });
      if (answer.status === 200) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        stale("");
        update(document.body, page.body);
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

  // A click on a bar opens its round. With the keyboard, or without JavaScript, the strip opens the list.
  document.addEventListener("click", (event) => {
    const strip = event.target.closest("a.strip");
    if (!strip || event.detail === 0 || event.metaKey || event.ctrlKey) return;
    const ids = strip.parentElement.dataset.rounds.split(" ");
    const { left, width } = strip.getBoundingClientRect();
    const id = ids[Math.floor(((event.clientX - left) / width) * 60) - (60 - ids.length)];
    if (!id) return;
    event.preventDefault();
    location.assign("round/" + id);
  });

  if (document.getElementById("summary")) {
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
    plan();
  }
})();
