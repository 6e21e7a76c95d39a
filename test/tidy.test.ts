import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PARTS } from "../src/store/functions.ts";
import { projectFiles, ROOT } from "./support/project-files.ts";
import * as tidy from "./support/tidy-checks.ts";
import {
  foreignCalls,
  longFunctions,
  storageUses,
  unusedExceptions,
  upwardSql,
} from "./support/tidy-sql.ts";

const files = projectFiles();
const typescript = files.filter((file) => file.path.endsWith(".ts"));
const source = typescript.filter((file) => file.path.startsWith("src/"));
const tests = typescript.filter((file) => file.path.startsWith("test/"));
const scripts = files.filter((file) => /^(?:scripts|bench)\/.*\.[cm]?[jt]s$/.test(file.path));
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const existing = new Set(files.map((file) => file.path));

describe("the tree of sources is tidy:", () => {
  test("every folder of src is a known layer", () => {
    expect(source.length).toBeGreaterThan(0);
    expect(tidy.unknownLayers(source)).toEqual([]);
  });

  test("imports point down the list of layers", () => {
    expect(tidy.upwardImports(source)).toEqual([]);
  });

  test("every folder with functions is applied, in the order of the layers", () => {
    const folders = files.flatMap(
      (file) => /^src\/(\w+)\/sql\/[a-z-]+\.sql$/.exec(file.path)?.[1] ?? [],
    );
    const inOrder = tidy.LAYERS.filter((layer) => folders.includes(layer));
    expect(PARTS).toEqual(inOrder);
    const elsewhere = files
      .filter((file) => /^src\/.*\.sql$/.test(file.path))
      .map((file) => file.path);
    expect(elsewhere.filter((path) => !/^src\/(\w+\/sql|store\/migrations)\//.test(path))).toEqual(
      [],
    );
  });

  test("SQL names nothing of a part above its own", () => {
    expect(upwardSql(files)).toEqual([]);
    expect(foreignCalls(files)).toEqual([]);
  });

  test("no function of SQL is too long to read, or its steps are named", () => {
    expect(longFunctions(files)).toEqual([]);
  });

  test("only the kernel's SQL names the tables of its tasks, apart from listed exceptions", () => {
    expect(storageUses(files)).toEqual([]);
    expect(unusedExceptions(files)).toEqual([]);
  });

  test("imports name files that exist and form no cycle", () => {
    expect(tidy.brokenImports(typescript, existing)).toEqual([]);
    expect(tidy.importCycles(source)).toEqual([]);
  });

  test("every file of src is reached from what the package offers", () => {
    expect(tidy.unreachableFiles(source, tidy.entriesOf(manifest))).toEqual([]);
  });

  test("what only its own file uses is not exported", () => {
    expect(tidy.lonelyExports(source, files)).toEqual([]);
  });

  test("no file is too long to read", () => {
    expect(tidy.longFiles([...typescript, ...scripts])).toEqual([]);
  });

  test("only the CLI writes to stdout", () => {
    expect(tidy.consoleLogs(source)).toEqual([]);
  });

  test("no work is left unfinished in a comment", () => {
    expect(tidy.unfinishedWork(files)).toEqual([]);
  });

  test("no type is switched off", () => {
    expect(tidy.anyTypes(typescript)).toEqual([]);
  });

  test("SQL stands where SQL belongs", () => {
    expect(tidy.sqlInStrings(source)).toEqual([]);
  });

  test("no file knows a machine's paths or a registry's host", () => {
    expect(tidy.machinePaths(files)).toEqual([]);
    expect(tidy.registryHosts(files)).toEqual([]);
  });

  test("test names state outcomes, not wishes", () => {
    expect(tests.length).toBeGreaterThan(0);
    expect(tidy.wishfulTestNames(tests)).toEqual([]);
  });

  test("tests name requirements that are listed", () => {
    const list = readFileSync(join(ROOT, "docs/requirements.md"), "utf8");
    expect(tidy.unknownRequirements(tests, list)).toEqual([]);
  });

  test("no helper of tests cleans up for the first file alone", () => {
    expect(tidy.hooksOfHelpers(tests)).toEqual([]);
  });
});

describe("each rule finds its own broken sample:", () => {
  const file = (path: string, ...lines: string[]): tidy.TextFile => ({
    path,
    text: lines.join("\n"),
  });
  /** Joins parts, so that this file does not itself contain what the rules look for. */
  const spell = (...parts: string[]): string => parts.join("");
  const from = (target: string): string => `import { a } ${spell("fr", "om")} "${target}";`;

  test("a folder that is no layer", () => {
    expect(tidy.unknownLayers([file("src/misc/a.ts", ""), file("src/index.ts", "")])).toEqual([
      "src/misc/a.ts",
    ]);
  });

  test("an import upwards, in each form of import", () => {
    const upward = file(
      "src/base/a.ts",
      from("../store/b.ts"),
      `import type {\n  C,\n} ${spell("fr", "om")} "../kernel/c.ts";`,
      spell("exp", 'ort * from "../queue/d.ts";'),
      spell("imp", 'ort "../outbox/e.ts";'),
      spell("const f = await imp", 'ort("../cli/f.ts");'),
      from("../index.ts"),
      from("./same.ts"),
    );
    const downward = file("src/testing/a.ts", from("../cli/b.ts"));
    const entry = file("src/index.ts", from("./testing/a.ts"));
    expect(tidy.upwardImports([upward, downward, entry])).toEqual([
      "src/base/a.ts -> src/store/b.ts",
      "src/base/a.ts -> src/kernel/c.ts",
      "src/base/a.ts -> src/queue/d.ts",
      "src/base/a.ts -> src/index.ts",
      "src/base/a.ts -> src/outbox/e.ts",
      "src/base/a.ts -> src/cli/f.ts",
    ]);
  });

  test("SQL that names what a part above makes; a hook of the kernel is the kernel's", () => {
    const made = (name: string): string => `create or replace function pawl.${name}() returns void`;
    const tree = [
      file("src/store/migrations/0001_store.sql", "create table pawl.clock (at int);"),
      file(
        "src/store/migrations/0002_kernel_task.sql",
        "create table pawl.task (id int);",
        made("on_end"),
      ),
      file(
        "src/store/migrations/0003_outbox.sql",
        "create table pawl.event (id int);",
        "-- pawl.window",
      ),
      file(
        "src/kernel/sql/turn.sql",
        made("turn"),
        "select pawl.on_end(); select from pawl.event;",
      ),
      file("src/kernel/people/sql.ts", 'rows("select pawl.route()")', "// pawl.event"),
      file("src/store/migrate.ts", 'rows("select pawl.turn()")'),
      file("src/outbox/sql/router.sql", made("route"), made("on_end"), "select from pawl.task"),
      file("src/outbox/sql/roles.sql", "('reader', '{route, turn}')"),
      file("src/inbox/sql/a.sql", "create table pawl.window (id int)", "select from pawl.event"),
    ];
    expect(upwardSql(tree)).toEqual([
      "src/kernel/sql/turn.sql: event of outbox",
      "src/kernel/people/sql.ts: route of outbox",
      "src/store/migrate.ts: turn of kernel",
    ]);
    expect(foreignCalls(tree)).toEqual(["src/outbox/sql/roles.sql: turn"]);
  });

  test("a table of tasks that is named above the kernel", () => {
    const read = 'rows("select id from pawl.task where id = $1")';
    const view = 'rows("select id from pawl.task_now_v1")';
    const uses = (path: string, ...lines: string[]) => storageUses([file(path, ...lines)]);
    expect(uses("src/outbox/operator/sql.ts", read)).toEqual([
      "src/outbox/operator/sql.ts: pawl.task",
    ]);
    expect(uses("src/kernel/operator/sql.ts", read)).toHaveLength(1);
    expect(uses("src/inbox/sql/a.sql", "select from pawl.shard;", "-- pawl.claim")).toHaveLength(1);
    expect(uses("src/outbox/sql/router.sql", "insert into pawl.task (id)")).toEqual([]);
    expect(uses("src/outbox/sql/router.sql", "select from pawl.dead")).toHaveLength(1);
    expect(uses("src/outbox/operator/sql.ts", view, "// pawl.dead")).toEqual([]);
    expect(uses("src/app/calls.ts", "await pawl.task(id); await pawl.dead.list();")).toEqual([]);
    expect(uses("src/kernel/sql.ts", read)).toEqual([]);
    expect(unusedExceptions([])).toContain("src/outbox/sql/router.sql");
  });

  test("a function of SQL over 80 lines without steps, and a step over 40", () => {
    const long = (steps: string[], ...lines: number[]): tidy.TextFile =>
      file(
        "src/kernel/sql/long.sql",
        ...["1. lock", "2. settle"].slice(0, steps.length).map((step) => `-- ${step}`),
        "create or replace function pawl.long() returns void language plpgsql as $$",
        ...steps.flatMap((step, at) => [`  -- ${step}`, ...Array(lines[at]).fill("  null;")]),
        "end $$;",
        "",
        "create or replace function pawl.short() returns int language sql return 1;",
      );
    const steps = ["1. lock", "2. settle"];
    expect(longFunctions([long(["lock"], 77)])).toEqual([]);
    expect(longFunctions([long(["lock"], 78)])).toHaveLength(1);
    expect(longFunctions([long(steps, 39, 38)])).toEqual([]);
    expect(longFunctions([long(steps, 38, 40)])).toEqual([
      'src/kernel/sql/long.sql: long has 42 lines in "2. settle"',
    ]);
    expect(longFunctions([long(["1. lock", "2. end"], 39, 39)])).toHaveLength(1);
    expect(longFunctions([long(["1. lock", "3. settle"], 39, 39)])).toHaveLength(1);
  });

  test("an import in a comment is none", () => {
    expect(tidy.upwardImports([file("src/base/a.ts", ` * ${from("../cli/b.ts")}`)])).toEqual([]);
  });

  test("a cycle, also behind a file that is no part of it", () => {
    const cyclic = [
      file("src/base/a.ts", from("./b.ts")),
      file("src/base/b.ts", from("./c.ts")),
      file("src/base/c.ts", from("./b.ts")),
      file("src/base/d.ts", from("./a.ts"), from("./c.ts")),
    ];
    expect(tidy.importCycles(cyclic)).toEqual(["src/base/b.ts -> src/base/c.ts -> src/base/b.ts"]);
    expect(tidy.importCycles(cyclic.slice(0, 2))).toEqual([]);
  });

  test("an import of a file that is not there", () => {
    const a = file("src/base/a.ts", from("./b.ts"));
    expect(tidy.brokenImports([a], new Set(["src/base/a.ts"]))).toEqual([
      "src/base/a.ts -> src/base/b.ts",
    ]);
  });

  test("a file that nothing reaches, though another lost file imports it", () => {
    const tree = [
      file("src/index.ts", from("./base/a.ts")),
      file("src/base/a.ts", spell("await imp", 'ort("./b.ts")')),
      file("src/base/b.ts", spell('new URL("./c.ts", imp', "ort.meta.url)")),
      file("src/base/c.ts", ""),
      file("src/base/lost.ts", from("./lost-too.ts")),
      file("src/base/lost-too.ts", ""),
    ];
    expect(tidy.unreachableFiles(tree, ["src/index.ts"])).toEqual([
      "src/base/lost.ts",
      "src/base/lost-too.ts",
    ]);
  });

  test("an export that only its own file uses", () => {
    const tree = [
      file("src/base/a.ts", "export const a = 1;", "export function b(): number {}", "b();"),
      file("src/base/b.ts", from("./a.ts"), "export interface C {}"),
    ];
    expect(tidy.lonelyExports(tree, tree)).toEqual(["src/base/a.ts: b"]);
    const user = file(
      "test/base/b.test.ts",
      `import { b } ${spell("fr", "om")} "../../src/base/a.ts";`,
    );
    expect(tidy.lonelyExports(tree, [...tree, user])).toEqual([]);
  });

  test("the entries follow bin and exports of the manifest", () => {
    const exports = { "./testing": { types: "./dist/t.d.ts", default: "./dist/testing/index.js" } };
    expect(tidy.entriesOf({ bin: { pawl: "./dist/cli/main.js" }, exports })).toEqual([
      "src/index.ts",
      "src/cli/main.ts",
      "src/queue/thread/entry.ts",
      "src/testing/index.ts",
    ]);
  });

  test("a file of one line too many", () => {
    const lines = (count: number): string => "x\n".repeat(count);
    expect(tidy.longFiles([file("src/base/a.ts", lines(400))])).toEqual([]);
    expect(tidy.longFiles([file("src/base/a.ts", lines(401))])).toEqual([
      "src/base/a.ts: 401 lines",
    ]);
  });

  test("output to stdout outside the CLI", () => {
    const line = spell("console", ".log(1)");
    const printing = [file("src/base/a.ts", line), file("src/cli/main.ts", line)];
    expect(tidy.consoleLogs(printing)).toEqual([`src/base/a.ts:1: ${line.slice(0, -2)}`]);
  });

  test("a hook that a helper of tests sets while it is loaded", () => {
    const hook = "afterEach(() => close());";
    const inside = `  ${hook}`;
    expect(
      tidy.hooksOfHelpers([
        file("test/a/support.ts", "// opens", hook),
        file("test/a/inside.ts", "export function opened() {", inside, "}"),
        file("test/a/own.test.ts", hook),
      ]),
    ).toEqual(["test/a/support.ts:2: afterEach("]);
  });

  test("a note of unfinished work", () => {
    for (const word of [spell("TO", "DO"), spell("FIX", "ME")]) {
      expect(tidy.unfinishedWork([file("a.md", "", `// ${word}: later`)])).toEqual([
        `a.md:2: ${word}`,
      ]);
    }
  });

  test.each([
    `const a: ${spell("a", "ny")} = 1`,
    `f(a: ${spell("a", "ny")}, b)`,
    `f(...a: ${spell("a", "ny")}[])`,
    `a ${spell("as", " any")}`,
  ])("a type switched off: %s", (line) => {
    expect(tidy.anyTypes([file("src/a.ts", line)])).toHaveLength(1);
    expect(tidy.anyTypes([file("src/a.ts", `// ${line}`)])).toEqual([]);
    expect(tidy.anyTypes([file("src/a.ts", '"states: any of these"')])).toEqual([]);
  });

  test.each([
    '"select now()"',
    '"SELECT 1"',
    "`\n  select id, name\n  from task`",
    '"insert into task values (1)"',
    "`update pawl.task set state = 1`",
    `\`update ${spell("$", "{schema}")}.task as t set a = 1\``,
    '"delete from task"',
    "`with due as (select 1) delete`",
    "`with recursive due (a) as materialized (select 1)`",
    '"create table a ()"',
  ])("SQL in a string: %s", (text) => {
    const statement = `query(${text})`;
    expect(tidy.sqlInStrings([file("src/kernel/a.ts", statement)])).toHaveLength(1);
    expect(tidy.sqlInStrings([file("src/kernel/sql.ts", statement)])).toEqual([]);
    expect(tidy.sqlInStrings([file("src/store/a.ts", statement)])).toEqual([]);
    expect(tidy.sqlInStrings([file("src/kernel/a.ts", ` * ${statement}`)])).toEqual([]);
  });

  test.each([
    '"select a queue"',
    '"update the schema with `pawl migrate`"',
    '"with a worker"',
    '"delete what is done"',
    '"select"',
  ])("an English sentence is not SQL: %s", (text) => {
    expect(tidy.sqlInStrings([file("src/kernel/a.ts", text)])).toEqual([]);
  });

  test("a path of somebody's machine, but not a path of a URL", () => {
    for (const folder of ["work", "root", "home"]) {
      const path = spell("/", folder, "/me");
      expect(tidy.machinePaths([file("a.md", `see ${path}`)])).toHaveLength(1);
      expect(tidy.machinePaths([file("a.md", `see example.com${path}`)])).toEqual([]);
    }
  });

  test("the host of a package registry", () => {
    const host = spell("registry.npm", "js.org");
    expect(tidy.registryHosts([file("a.json", `"https://${host}/a"`)])).toHaveLength(1);
    expect(tidy.registryHosts([file("a.json", '"https://github.com/a"')])).toEqual([]);
  });

  test.each([
    ['test("', '")'],
    ["it.each(cases)('", "')"],
    ["describe.skip(`", "`)"],
    ['test.each([f(1),\n])("', '")'],
    ['test.each([{ a: 1 }])(\n  "', '")'],
  ])("a wish as the name of a test, after %s", (start, end) => {
    const named = (name: string): tidy.TextFile => file("test/a.test.ts", start + name + end);
    expect(tidy.wishfulTestNames([named(spell("it sho", "uld work"))])).toHaveLength(1);
    expect(tidy.wishfulTestNames([named("it works")])).toEqual([]);
  });

  test("a requirement that the list does not have", () => {
    const named = file(
      "test/a.test.ts",
      `test("${spell("R", "7")} ${spell("R", "8a")}: it works")`,
    );
    expect(tidy.unknownRequirements([named], "- **R8a** works")).toEqual(["test/a.test.ts: R7"]);
  });
});
