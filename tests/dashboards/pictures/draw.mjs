// Draws a dashboard: `node draw.mjs ANSWERS.json PICTURE.png`, where the answers are those that
// `PICTURES=FOLDER cargo test -p regprobe --test deploy -- --suite=pictures` has left there.

import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

const WIDTH = 1600;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

const HERE = dirname(fileURLToPath(import.meta.url));
const [answers, picture] = process.argv.slice(2);
const told = JSON.parse(await readFile(answers, "utf8"));

const { outputFiles } = await build({
  entryPoints: [`${HERE}/page.jsx`],
  // Of Grafana the modules of the old kind: what they import of the old kind, too, esbuild then takes as
  // they mean it.
  alias: Object.fromEntries(
    ["data", "ui"].map((name) => [`@grafana/${name}`, `${HERE}/node_modules/@grafana/${name}/dist/cjs/index.cjs`]),
  ),
  bundle: true,
  define: { "process.env.NODE_ENV": '"production"', global: "window" },
  format: "iife",
  jsx: "automatic",
  loader: { ".woff2": "dataurl", ".svg": "dataurl", ".ttf": "empty" },
  logLevel: "error",
  outdir: "out",
  write: false,
});
const text = (ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text;

const STYLE = `
  * { box-sizing: border-box; }
  body { margin: 0; background: #111217; color: #ccccdc; font: 14px/1.5 "Inter Variable", sans-serif; }
  h1 { font-size: 18px; font-weight: 500; margin: 0 0 12px; }
  h2 { font-size: 16px; font-weight: 500; margin: 2px 0; }
  p { margin: 0; }
  nav { display: flex; gap: 8px; margin-bottom: 16px; }
  nav b, nav i { display: inline-block; padding: 4px 8px; border: 1px solid #2d2e35; font: inherit; font-size: 12px; }
  nav b { background: #22252b; }
  section { position: relative; }
  button { background: none; border: 0; color: inherit; font: inherit; padding: 0; }
  a { color: inherit; }
  table { border-collapse: collapse; width: 100%; }
`;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 1000 }, timezoneId: "UTC" });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  const complain = () => {
    if (complaints.length > 0) {
      throw new Error(complaints.join("\n"));
    }
  };
  await page.route("**/*", async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/") {
      const html = `<!doctype html><style>${text(".css")}${STYLE}</style><div id="root"></div>`;
      return route.fulfill({ contentType: "text/html", body: html });
    }
    // Icons.
    const file = `${HERE}/node_modules/@grafana/ui/dist/public/${pathname.replace(/^.*public\/(build\/)?/, "")}`;
    return route.fulfill({ path: file });
  });
  await page.goto("http://grafana.example/");
  await page.addScriptTag({ content: text(".js") });
  complain();
  await page.evaluate(([told, width]) => window.draw(told, width), [told, WIDTH - 32]);
  await page.waitForSelector("main", { timeout: 8000 }).catch(complain);
  await page.waitForLoadState("networkidle");
  const main = await page.$("main");
  await main.screenshot({ path: picture });
  complain();
} finally {
  await browser.close();
}
