// One story of the status page in a real browser: node look.mjs MODULES URL STORY PICTURES.
// Says "looked" once it has seen the page as it is; ends with 0 when all was as it should be.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";

const [modules, url, story, pictures] = process.argv.slice(2);
const require = createRequire(path.join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(path.join(modules, "axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(45000);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.errors.push(message.text()));
  await page.goto(url);
  return page;
}

// Runs in the driver's own world, so that the page's policy stays as it is.
async function check(page, name, options = {}) {
  await page.screenshot({ path: path.join(pictures, `${name}.png`), ...options });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${name}: ${wide} pixels wider than the screen`);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  const told = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" ")}`);
  assert.deepEqual(told, [], name);
  assert.deepEqual(page.errors, [], name);
}

const stories = {
  async healthy() {
    const page = await open();
    assert.equal(await page.textContent("#summary"), "This node can pull from contoso.");
    assert.match(await page.textContent("#updated"), /^\d+ s ago$/);
    // What works is one line; its path and its rounds are inside.
    const row = page.locator(".rows > details");
    assert.match(await row.locator("summary").first().innerText(), /works\s+contoso\s+[\d.]+ ms to \/v2\/\s+certificate until \d+ \w+ \d{4}/);
    assert.equal(await row.getAttribute("open"), null);
    assert.equal(await page.locator(".card, .finding").count(), 0, "a card that says that nothing is to be done");
    await check(page, "healthy");
    await row.locator("summary").first().click();
    const login = await page.locator(".endpoint", { hasText: "login" }).innerText();
    assert.match(login, /TLS 1\.3, valid until \d+ \w+ \d{4}/);
    assert.match(login, /401, as expected without credentials/);
    await check(page, "healthy-open");
    console.log("looked");

    // By mouse: the rightmost bar is the last round, and the strip says which round is below the pointer.
    const strip = page.locator("a.strip").first();
    const box = await strip.boundingBox();
    assert.ok(box.width > 600, `a strip of ${box.width} pixels`);
    await strip.hover({ position: { x: box.width - 3, y: box.height / 4 } });
    assert.match(await strip.getAttribute("title"), /^round of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    await strip.click({ position: { x: box.width - 3, y: box.height / 4 } });
    await page.waitForURL(/\/round\/\d+$/);
    assert.ok((await page.locator(".row svg").count()) > 8);
    assert.match(await page.textContent("main"), /certificate .*SHA-256/);
    await check(page, "round");

    // By keyboard: the arrows choose a round on the strip; without one it leads to the list, the list to a round.
    const opened = async (page) => {
      await page.goto(url);
      await page.locator(".rows > details > summary").click();
      return page.locator("a.strip").first();
    };
    await (await opened(page)).focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.locator("a.strip").first().getAttribute("data-at"), "58");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/round\/\d+$/);
    await (await opened(page)).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/rounds\?/);
    await check(page, "rounds");
    await page.locator(".rounds a").first().focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/round\/\d+$/);

    // Behind a proxy with a path of its own, as a Kubernetes API server is one, links stay below it.
    const links = async (path) => {
      await page.goto(url + path);
      const parts = await page.locator("[href], [src]").evaluateAll((all) => all.map((part) => part.getAttribute("href") ?? part.getAttribute("src")));
      return parts.map((part) => new URL(part, `http://proxy/prefix${path}`).pathname);
    };
    const round = new URL(page.url()).pathname;
    for (const path of ["/", "/runbooks", "/runbook/AddressDown", round]) {
      for (const link of await links(path)) assert.ok(link.startsWith("/prefix/"), `${path}: ${link}`);
    }
    // From a note to its runbook, which has this node's names in its commands; and from the list, by stage.
    await page.goto(url);
    await page.locator(".notes a").first().click();
    await page.waitForURL(/\/runbook\/CredentialsRequired\?registry=contoso$/);
    assert.match(await page.textContent("#filled"), /^For node node-1 and registry contoso\. The registry gives no anonymous token/);
    assert.match(await page.locator(".runbook pre").first().innerText(), /node-1|contoso/);
    assert.equal(await page.locator("main > h2").first().innerText(), "What it means");
    await check(page, "runbook");
    await page.goto(`${url}/runbooks`);
    assert.deepEqual((await page.locator("h2").allInnerTexts()).slice(0, 3), ["Names and addresses", "TCP", "Proxy"]);
    await check(page, "runbooks");

    for (const [place, name] of [["/", ""], [round, "round-"], ["/rounds?registry=contoso", "rounds-"],
      ["/runbooks", "runbooks-"], ["/runbook/CredentialsRequired?registry=contoso", "runbook-"]]) {
      for (const [look, options] of [["dark", { colorScheme: "dark" }], ["phone", { viewport: { width: 360, height: 740 } }]]) {
        const page = await open(options);
        await page.goto(url + place);
        await check(page, name + look);
        await page.context().close();
      }
    }
    const still = await open({ javaScriptEnabled: false });
    assert.equal(await still.textContent("#summary"), "This node can pull from contoso.");
    await still.locator(".rows > details > summary").click();
    await still.locator("a.strip").first().click();
    await still.waitForURL(/\/rounds\?/);
    await still.locator(".rounds a").first().click();
    await still.waitForURL(/\/round\/\d+$/);
    assert.ok((await still.locator(".row svg").count()) > 8);
  },

  async lab() {
    const page = await open({ viewport: { width: 1180, height: 1000 } });
    assert.match(await page.textContent("#summary"), /^This node can pull from myregistry/);
    console.log("looked");
    await page.locator(".finding", { hasText: "PrivateLinkZoneNotLinked" }).first().waitFor();
    // Until the strips tell of before and after.
    await page.waitForTimeout(6000);
    await page.reload();
    // One state for one thing: the words, the boxes of the path and the strips are amber.
    assert.match(await page.textContent(".card .state"), /works, over the public internet/);
    assert.equal(await page.locator(".finding").count(), 1, "one finding for both names");
    assert.match(await page.textContent(".finding"), /The same for myregistry\.westeurope\.data\.azurecr\.io\./);
    assert.equal(await page.locator(".endpoint.degraded").count(), 2);
    assert.match(await page.locator(".endpoint li").first().innerText(), /resolve\s+[\d.]+ ms · public address/);
    assert.equal(await page.locator(".endpoint ol .degraded").count(), 2);
    await page.locator(".strips summary").click();
    assert.equal(await page.locator(".strip .degraded").count(), 3);
    assert.match(await page.textContent(".notes"), /gives no anonymous token/);
    assert.match(await page.textContent(".axis"), /\d\d:\d\d:\d\d UTC/);
    await check(page, "status", { fullPage: true });
    await page.locator(".notable a").first().click();
    await page.waitForURL(/\/round\/\d+$/);
    assert.match(await page.locator(".row").first().getAttribute("class"), /degraded/);
    await check(page, "waterfall", { fullPage: true });
  },

  async drift() {
    const page = await open();
    let loads = 0;
    page.on("load", () => loads++);
    console.log("looked");
    await page.locator(".finding", { hasText: "PrivateLinkZoneNotLinked" }).first().waitFor();
    assert.equal(loads, 0);
    const details = page.locator(".card > details").first();
    await details.locator("summary").first().click();
    assert.equal(await details.getAttribute("open"), null);
    // Until the page has been fetched again.
    const updated = await page.locator("#updated time").getAttribute("datetime");
    await page.waitForFunction((before) => document.querySelector("#updated time").dateTime !== before, updated);
    assert.equal(await details.getAttribute("open"), null, "what was closed was opened");
    await details.locator("summary").first().click();
    await check(page, "drift");
  },

  async faults() {
    const page = await open();
    console.log("looked");
    assert.match(await page.textContent("#summary"), /^This node cannot pull from (\w+, \w+ and \w+)\.$/);
    assert.match(await page.locator(".finding").first().getAttribute("class"), /failing/);
    assert.match(await page.locator(".endpoint .none").first().innerText(), /not reached/);
    await check(page, "faults");
    await check(await open({ colorScheme: "dark" }), "faults-dark");
    await check(await open({ viewport: { width: 360, height: 740 } }), "faults-phone");
  },

  async large() {
    const page = await open();
    console.log("looked");
    assert.equal(await page.locator(".endpoint").count(), 200);
    await check(page, "large");
  },

  async fleet() {
    console.log("looked");
    const page = await open();
    await page.goto(`${url}/fleet`);
    assert.match(await page.textContent("#summary"), /^3 of \d+ nodes cannot pull from contoso: PrivateLinkZoneNotLinked/);
    assert.match(await page.textContent("main"), /vmss000001/);
    await check(page, "fleet", { fullPage: true });
    for (const [name, options] of [["dark", { colorScheme: "dark" }], ["phone", { viewport: { width: 360, height: 740 } }]]) {
      const page = await open(options);
      await page.goto(`${url}/fleet`);
      await check(page, `fleet-${name}`);
    }
    const still = await open({ javaScriptEnabled: false });
    await still.goto(`${url}/fleet`);
    assert.match(await still.textContent("#summary"), /^3 of \d+ nodes cannot pull/);
  },

  async hostile() {
    const page = await open();
    console.log("looked");
    for (const link of ["/", ...(await page.locator(".notable a").evaluateAll((all) => all.map((a) => a.href)))]) {
      await page.goto(new URL(link, url).href);
      assert.equal(await page.evaluate(() => window.owned), undefined);
      assert.equal(await page.locator("img").count(), 0);
      assert.equal(await page.locator("body script").count(), 0);
    }
    await page.goto(url);
    await check(page, "hostile");
  },
};

try {
  await stories[story]();
} finally {
  await browser.close();
}
