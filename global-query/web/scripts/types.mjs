// Writes src/schema.ts and src/protocol_names.ts, what the page takes from the rest of the project.
//
// schema.ts: the types of what the page sends and receives, from the OpenAPI document. Only the
// schemas that the page uses, so that a change to another route does not make the built page out of date.
import openapiTS, { astToString } from "openapi-typescript";
import { readFile, writeFile } from "node:fs/promises";
import { parse } from "yaml";

const ROOTS = ["Args", "Result", "ErrorModel", "GetInfoOutputBody", "Names"];
const source = new URL("../../../spec/openapi/global-query.yaml", import.meta.url);
const target = new URL("../src/schema.ts", import.meta.url);

const document = parse(await readFile(source, "utf8"));
const schemas = {};

function keep(name) {
  if (schemas[name]) return;
  schemas[name] = document.components.schemas[name];
  if (!schemas[name]) throw new Error(`there is no schema ${name} in ${source.pathname}`);
  for (const [, other] of JSON.stringify(schemas[name]).matchAll(/#\/components\/schemas\/(\w+)/g)) keep(other);
}

ROOTS.forEach(keep);
const ordered = Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
const ast = await openapiTS({ openapi: "3.0.3", info: document.info, paths: {}, components: { schemas: ordered } }, { defaultNonNullable: false });
await writeFile(target, "// Made by scripts/types.mjs from spec/openapi/global-query.yaml.\n" + astToString(ast));

// protocol_names.ts: names of IP protocols, as the condition language and goquery know them.
const table = await readFile(new URL("../../../proto/query/protocols.c", import.meta.url), "utf8");
const names = [...table.matchAll(/\[(\d+)\] = "([^"]+)"/g)].map(([, number, name]) => `  ${number}: ${JSON.stringify(name)},\n`);
if (names.length < 100) throw new Error("proto/query/protocols.c does not look as expected");
await writeFile(
  new URL("../src/protocol_names.ts", import.meta.url),
  `// Made by scripts/types.mjs from proto/query/protocols.c.\nexport const PROTOCOLS: Record<number, string> = {\n${names.join("")}};\n`,
);
