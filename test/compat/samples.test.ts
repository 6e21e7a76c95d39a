import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { samplesOf } from "../docs/samples.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { pawlFolder } from "./installed-pawl.ts";

const DOCS = join(import.meta.dirname, "../../docs/orm");
/** Beside the libraries, as an app would be. */
const FOLDER = join(import.meta.dirname, ".samples");

const TYPES = {
  extends: "../../tsconfig.json",
  include: ["*.ts", "../../subjects/*.ts", "../../roots.ts"],
  exclude: [],
};
const ROOT = join(import.meta.dirname, "../..");

const files = readdirSync(DOCS).toSorted();
const samples = files.flatMap((file) =>
  samplesOf(file, readFileSync(join(DOCS, file), "utf8"), "ts").map(({ code }) => ({ file, code })),
);
const programs = samples.filter(({ code }) => !code.startsWith("// app.ts"));
const before = process.env.DATABASE_URL;

/** Twice: as it stands there, for the types, and with the copy of Pawl that the libraries are beside. */
function write(name: string, code: string): string {
  const entry = pathToFileURL(join(pawlFolder(), "dist/index.js")).href;
  writeFileSync(join(FOLDER, "types", name), code);
  const path = join(FOLDER, "run", name);
  writeFileSync(path, code.replace('from "pawl"', `from "${entry}"`));
  return path;
}

beforeAll(async () => {
  rmSync(FOLDER, { recursive: true, force: true });
  for (const use of ["run", "types"]) {
    const generated = join(FOLDER, use, "generated");
    mkdirSync(generated, { recursive: true });
    cpSync(join(import.meta.dirname, "prisma"), join(generated, "prisma"), { recursive: true });
  }
  writeFileSync(join(FOLDER, "types/tsconfig.json"), JSON.stringify(TYPES));
  const app = samples.find(({ code }) => code.startsWith("// app.ts"));
  write("app.ts", app?.code ?? "");
  const { url } = await databaseProxy((await freshDatabase()).url); // some libraries know no sockets
  process.env.DATABASE_URL = url;
  await (await rawClient(url)).query("create table public.invoice (n int primary key)");
});
afterAll(() => {
  if (before === undefined) delete process.env.DATABASE_URL;
  else process.env.DATABASE_URL = before;
});

test.each(programs)(
  "R109: the sample of $file runs, and its task commits with its row",
  async ({ file, code }) => {
    await import(write(`${basename(file, ".md")}.ts`, code));
    const look = await rawClient(process.env.DATABASE_URL ?? "");
    const n = Number(/n: (\d+)/.exec(code)?.[1]);
    const { rows } = await look.query(
      "select (select count(*) from invoice where n = $1)::int as invoices, (select count(*) from pawl.task_v1 where (payload ->> 'n')::int = $1)::int as tasks",
      [n],
    );
    expect(rows).toEqual([{ invoices: 1, tasks: 1 }]);
  },
);

test("R109: each library has a page, which the index names, and each page has a sample", () => {
  const index = readFileSync(join(DOCS, "README.md"), "utf8");
  const pages = files.filter((file) => file !== "README.md");
  for (const page of pages) expect(index).toContain(`(${page})`);
  expect(programs.map(({ file }) => file)).toEqual(files);
});

test("R109: the types take each transaction as it is, and refuse root clients where these can be told", () => {
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout } = spawnSync(process.execPath, [compiler, "-p", join(FOLDER, "types")], {
    encoding: "utf8",
  });
  expect(stdout).toBe("");
});
