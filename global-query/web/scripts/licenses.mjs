// Writes proto/page/built/licenses.txt: the licences of the libraries that are inside page.js.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const here = fileURLToPath(new URL("..", import.meta.url));
const folders = execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], { cwd: here, encoding: "utf8" })
  .trim()
  .split("\n")
  .slice(1)
  .sort();

const texts = folders.map((folder) => {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
  if (!file) throw new Error(`${name} has no licence file`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(new URL("../../../proto/page/built/licenses.txt", import.meta.url), texts.join(`\n${"-".repeat(78)}\n\n`));
