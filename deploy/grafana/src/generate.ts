// Writes the dashboards as JSON to the folder above the sources, or to the given folder.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { fleet } from "./fleet";
import { node } from "./node";

const folder = process.argv[2] ?? join(__dirname, "..", "..");

for (const dashboard of [fleet(), node()]) {
  writeFileSync(
    join(folder, `${dashboard.uid}.json`),
    `${JSON.stringify(dashboard, null, 2)}\n`,
  );
}
