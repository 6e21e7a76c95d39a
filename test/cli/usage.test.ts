import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { VERSION } from "../../src/base/version.ts";
import { program } from "../../src/cli/program.ts";
import { freshDatabase } from "../support/database.ts";
import { type ErrorDocument, MAIN, newFolder, pawl, pawlJson, pawlProcess } from "./cli.ts";
import { here, hereBy } from "./here.ts";

const NOBODY_THERE = "postgresql://localhost:1/nothing";

test("help is printed for no command, for a group and for a command, and the version for --version", async () => {
  const [bare, group, one, helpOf, version] = await Promise.all([
    pawlProcess([]),
    pawl(["dead", "--help"]),
    pawl(["work", "--help"]),
    pawl(["help", "stats"]),
    pawl(["--version"]),
  ]);
  expect(bare).toMatchObject({ code: 0, stderr: "" });
  expect(bare.stdout).toContain("stop-workers");
  expect(bare.stdout).toContain("Exit codes:");
  expect(group.stdout).toMatch(/retry \[options\] \[ids\.\.\.\]/);
  expect(one.stdout).toMatch(/SIGTERM, SIGINT and SIGHUP stop it/);
  expect(one.stdout).toMatch(/--json/);
  expect(helpOf).toMatchObject({ code: 0, stderr: "" });
  expect(helpOf.stdout).toContain("pawl stats");
  expect(version).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

describe("R112: what cannot be meant is refused with the value, what is expected, and exit code 2:", () => {
  const cases: [args: string[], message: RegExp][] = [
    [["stast"], /^no command "stast"; did you mean "stats"\? see `pawl --help`$/],
    [["tasks", "lsit"], /^pawl tasks: no command "lsit"; did you mean "list"\?/],
    [["sources", "retyr", "orders"], /^pawl sources: no command "retyr"; did you mean "retry"\?/],
    [["inbox", "rm"], /^pawl inbox: no command "rm"; known: list, show, retry, remove; see/],
    [["sources", "list", "orders"], /^pawl sources list: too many arguments/],
    [["inbox", "--source", "orders", "extra"], /^pawl inbox list: too many arguments/],
    [["tasks"], /pawl tasks: expected a command: list, show, kinds/],
    [["work", "--quues", "a"], /pawl work: no option --quues; did you mean "--queues"\?/],
    [["stats", "--jsn"], /no option --jsn; did you mean "--json"\?/],
    [["tasks", "show"], /missing required argument 'id'/],
    [["stats", "extra"], /too many arguments/],
    [["tasks", "list", "--state", "redy"], /--state .*got "redy"; did you mean "ready"\?/],
    [["inbox", "list", "--state", "x"], /one of set_aside, waiting, got "x"$/],
    [["tasks", "list", "--limit", "0"], /--limit to be an integer from 1 to 10000, got "0"/],
    [["tasks", "show", "12x"], /the id to be a number such as 42, got "12x"/],
    [["tasks", "show", "9223372036854775808"], /got "9223372036854775808"/],
    [["events", "show", "42"], /to be a UUID .* got "42"/],
    [["events", "list", "--name", "a%b"], /--name .* got "a%b"/],
    [["events", "record", "a.b"], /'--aggregate <type:id>' not specified/],
    [["events", "record", "a.b", "--aggregate", "order"], /type:id .* got "order"/],
    [["events", "record", "a.b", "--aggregate", "o:1", "--payload", "{a}"], /JSON, got "\{a\}"/],
    [["events", "record", "a b", "--aggregate", "o:1"], /event's name .* got "a b"/],
    [["work", "--grace", "soon"], /such as 500ms, 90s or 1h30m, got "soon"/],
    [
      ["schedules", "add", "s", "--job", "j", "--every", "0s"],
      /a duration from 1s to 3650d, such as 90s or 1h30m, got "0s"/,
    ],
    [["schedules", "preview", "s", "--from", "x"], /no option --from; known: /],
    [["work", "--time-limit", "0"], /--time-limit .* got "0"/],
    [["work", "--queues", "a,,b"], /--queues .* got "a,,b"/],
    [["inbox", "retry"], /pawl inbox retry: expected numbers, or --all with or without --source/],
    [["health", "--health-port", "0"], /--health-port .* an integer from 1 to 65535, got "?0"?/],
    [["work", "--health-host", "0.0.0.0"], /--health-host without a port would answer nowhere/],
    [["dead", "retry"], /expected ids, or --all .*; got neither/],
    [["dead", "retry", "1", "--all"], /got both ids and --all/],
    [["dead", "remove", "--kind", "a"], /got a filter without --all/],
  ];
  test.each(cases.map(([args, message]) => ({ args, message })))(
    "pawl $args",
    async ({ args, message }) => {
      await expect(program().parseAsync(args, { from: "user" })).rejects.toMatchObject({
        exitCode: 2,
        message: expect.stringMatching(message),
      });
    },
  );
});

test("R112: what is refused whatever the database holds is refused before one is opened", async () => {
  const id = "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21";
  const record = ["events", "record"];
  const cases: [args: string[], message: RegExp][] = [
    [["routes", "add", "order placed", "--to", "erp"], /got "order placed"/],
    [["routes", "edit", "3"], /route 3: nothing to change is given/],
    [
      ["routes", "edit", "3", "--pattern", "order placed"],
      /such as "order\.\*", got "order placed"/,
    ],
    [["routes", "edit", "3", "--unset", "to"], /--unset to be where, match or priority, got "to"/],
    [["routes", "edit", "3", "--where", "country=CZ"], /--where .* got "country=CZ"/],
    [["routes", "edit", "3", "--where", "meta.a=1", "--where", "meta.a=2"], /meta\.a .* twice/],
    [["routes", "edit", "3", "--where", "meta.a=1", "--where", "meta.a=1"], /meta\.a .* twice/],
    [["routes", "test", id, "--payload", "{}"], /both the id of an event and what describes one/],
    [["routes", "test", "order placed"], /got "order placed"/],
    [["routes", "remove", "3"], /route 3: add --yes to remove it/],
    [[...record, "pawl.task.dead", "--aggregate", "o:1"], /begins with "pawl\."/],
    [["tasks", "list", "--limit", "1", "--limit", "2"], /--limit is given twice/],
    [["work", "--queues", "a", "--queues", "b"], /--queues is given twice/],
    [["--config", "a.ts", "stats", "--config", "b.ts"], /^--config is given twice/],
  ];
  for (const [args, message] of cases) {
    await expect(here(NOBODY_THERE, ...args), args.join(" ")).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(message),
    });
  }
});

test("R112: a flag that is given twice means the same as once, and -v counts", async () => {
  const { url } = await freshDatabase();
  const root = program();
  const args = ["-v", "prune", "--dry-run", "--json", "--dry-run", "--json", "-v"];
  expect(JSON.parse(await hereBy(root, url, ...args))).toMatchObject({ dryRun: true });
  expect(root.opts()).toMatchObject({ json: true, verbose: 2 });
});

test("R112: an error is one line on stderr, and with --json one document on stdout, with the same exit code", async () => {
  const [{ code, json }, text] = await Promise.all([
    pawlJson<ErrorDocument>(["tasks", "lsit"]),
    pawlProcess(["tasks", "lsit"]),
  ]);
  expect(text).toEqual({ code: 2, stdout: "", stderr: `pawl: ${json.error.message}\n` });
  expect(code).toBe(2);
  expect(json.error).toMatchObject({
    code: "unknown_command",
    message: expect.stringContaining('did you mean "list"?'),
    data: { command: "pawl tasks", value: "lsit" },
  });
});

test("R112: a database that is not there ends with exit code 4 and names DATABASE_URL", async () => {
  const [text, json] = await Promise.all([
    pawlProcess(["stats"], { url: NOBODY_THERE }),
    pawlJson<ErrorDocument>(["migrate"], { url: NOBODY_THERE }),
  ]);
  expect(text).toMatchObject({ code: 4, stdout: "" });
  expect(text.stderr).toMatch(/^pawl: database: .*DATABASE_URL.*\n$/);
  expect(json.code).toBe(4);
  expect(json.json.error.code).toBe("database_unreachable");
});

test("R112: a DATABASE_URL that is none is refused, without showing its password", async () => {
  const { code, stderr } = await pawl(["stats"], { url: "mysql://me:secret@host/db" });
  expect(code).toBe(2);
  expect(stderr).toContain("postgresql://");
  expect(stderr).not.toContain("secret");
});

test("R112: a config that is missing, that throws, or that offers no app says which file and why", async () => {
  const folder = newFolder();
  const file = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), text);
    return name;
  };
  const throws = file("throws.ts", 'throw new Error("no such luck");');
  const none = file("none.ts", "export const app = 1;");
  const [missing, wanted, thrown, empty] = await Promise.all([
    pawl(["work", "--config", "nowhere.ts"], { cwd: folder }),
    pawl(["work"], { cwd: folder }),
    pawl(["tasks", "list", "--config", throws], { cwd: folder }),
    pawl(["tasks", "list"], { cwd: folder, env: { PAWL_CONFIG: none } }),
  ]);
  expect(missing.code).toBe(3);
  expect(missing.stderr).toMatch(/nowhere\.ts: no such file; check --config/);
  expect(wanted.code).toBe(3);
  expect(wanted.stderr).toMatch(/no pawl\.config\.ts in .* name the file with --config/);
  expect(thrown.code).toBe(1);
  expect(thrown.stderr).toMatch(/throws\.ts: loading it failed: Error: no such luck/);
  expect(thrown.stderr).not.toMatch(/^\s+at /m);
  expect(empty.code).toBe(1);
  expect(empty.stderr).toMatch(/none\.ts: expected `export default defineApp/);
});

test("R112: what an app throws outside of every promise is printed like other errors, and ends with 1", async () => {
  const folder = newFolder();
  const late = "await new Promise(() => setTimeout(() => { throw new Error('too late'); }));";
  writeFileSync(path.join(folder, "pawl.config.mjs"), late);
  expect(await pawlProcess(["tasks", "list"], { cwd: folder })).toEqual({
    code: 1,
    stdout: "",
    stderr: "pawl: too late\npawl: -v shows where\n",
  });
});

test("-v adds where an error came from", async () => {
  const { code, stderr } = await pawl(["stats", "-v"], { url: NOBODY_THERE });
  expect(code).toBe(4);
  expect(stderr).toMatch(/^\s+at /m);
});

test("a reader that goes away early is no error", async () => {
  const child = spawn(process.execPath, [MAIN, "--help"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  await once(child, "close");
  expect(stderr).toBe("");
  expect(child.exitCode).toBe(0);
});

test("the config is found from a folder below it", async () => {
  const folder = newFolder();
  const below = path.join(folder, "src", "deep");
  mkdirSync(below, { recursive: true });
  writeFileSync(path.join(folder, "package.json"), "{}"); // the search ends at the project's root
  writeFileSync(path.join(folder, "pawl.config.mjs"), "throw new Error('found');");
  const { stderr } = await pawl(["stats"], { cwd: below });
  expect(stderr).toMatch(/pawl\.config\.mjs: loading it failed: Error: found/);
});
