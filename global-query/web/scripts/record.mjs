// Writes proto/page/built/sums: the SHA-256 of every source and every built file, as sha256sum -c reads it.
// The test page_is_built checks it without Node.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join, relative } from "node:path";

const top = fileURLToPath(new URL("../../../", import.meta.url));
const skipped = new Set(["node_modules", "README.md", "sums"]);

function files(folder) {
  return readdirSync(join(top, folder), { withFileTypes: true })
    .filter((entry) => !skipped.has(entry.name))
    .flatMap((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]));
}

const lines = ["global-query/web", "proto/page/built"]
  .flatMap(files)
  .map((file) => relative(top, join(top, file)))
  .sort()
  .map((file) => `${createHash("sha256").update(readFileSync(join(top, file))).digest("hex")}  ${file}\n`);
writeFileSync(join(top, "proto/page/built/sums"), lines.join(""));
