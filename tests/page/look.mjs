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
    assert.match(await page.textContent("#summary"), /1 ok/);
    await check(page, "healthy");
    console.log("looked");

    // By mouse: the rightmost bar is the last round.
    const strip = page.locator("a.strip").first();
    const box = await strip.boundingBox();
    await strip.click({ position: { x: box.width - 3, y: box.height / 4 } });
    await page.waitForURL(/\/round\/\d+$/);
    assert.ok((await page.locator(".row svg").count()) > 8);
    assert.match(await page.textContent("main"), /certificate .*SHA-256/);
    await check(page, "round");

    // By keyboard: the strip leads to the list, the list to a round.
    await page.goto(url);
    await page.locator("a.strip").first().focus();
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
    await page.goto(`${url}/runbook/CredentialsRequired`);
    await check(page, "runbook");

    await check(await open({ colorScheme: "dark" }), "dark");
    await check(await open({ viewport: { width: 360, height: 740 } }), "phone");
    const still = await open({ javaScriptEnabled: false });
    assert.match(await still.textContent("#summary"), /1 ok/);
    await still.locator("a.strip").first().click();
    await still.waitForURL(/\/rounds\?/);
    await still.locator(".rounds a").first().click();
    await still.waitForURL(/\/round\/\d+$/);
    assert.ok((await still.locator(".row svg").count()) > 8);
  },

  async lab() {
    const page = await open({ viewport: { width: 1180, height: 1000 } });
    assert.match(await page.textContent("#summary"), /1 ok/);
    console.log("looked");
    await page.locator(".finding", { hasText: "PrivateLinkZoneNotLinked" }).first().waitFor();
    // Until the strips tell of before and after.
    await page.waitForTimeout(6000);
    await page.reload();
    await check(page, "status", { fullPage: true });
    await page.locator(".notable a").first().click();
    await page.waitForURL(/\/round\/\d+$/);
    await check(page, "waterfall", { fullPage: true });
  },

  async drift() {
    const page = await open();
    let loads = 0;
    page.on("load", () => loads++);
    const details = page.locator(".registry details").first();
    await details.locator("summary").click();
    assert.equal(await details.getAttribute("open"), null);
    console.log("looked");
    await page.locator(".finding", { hasText: "PrivateLinkZoneNotLinked" }).first().waitFor();
    assert.equal(loads, 0);
    assert.equal(await details.getAttribute("open"), null, "what was closed was opened");
    await details.locator("summary").click();
    await check(page, "drift");
  },

  async faults() {
    const page = await open();
    console.log("looked");
    assert.match(await page.textContent("#summary"), /3 failing/);
    const first = await page.locator(".finding .badge").first().textContent();
    assert.match(first, /critical/);
    await check(page, "faults");
    await check(await open({ colorScheme: "dark" }), "faults-dark");
    await check(await open({ viewport: { width: 360, height: 740 } }), "faults-phone");
  },

  async large() {
    const page = await open();
    console.log("looked");
    assert.equal(await page.locator(".lane").count(), 200);
    await check(page, "large");
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
