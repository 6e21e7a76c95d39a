/** Definitions of commands, and calls with what fits none of them: refused in words that say what to do. */

import { expect, expectTypeOf, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  type CommandOptions,
  connect,
  defineApp,
  defineCommand,
  type PawlError,
} from "../../src/index.ts";
import { commandsOf } from "../support/commands.ts";
import { freshDatabase } from "../support/database.ts";

const run = () => undefined;

test.each<[object, string]>([
  [{}, "name"],
  [{ name: "" }, "name"],
  [{ name: "Get" }, "name"],
  [{ name: "9to5" }, "name"],
  [{ name: "a b" }, "name"],
  [{ name: "a:b" }, "name"],
  [{ name: "../x" }, "name"],
  [{ name: "all" }, "name"],
  [{ name: "all-commands" }, "name"],
  [{ name: "a".repeat(81) }, "name"],
  [{ name: "x\u0000" }, "name"],
  [{ name: "ok", title: "" }, "title"],
  [{ name: "ok", title: "\u0000" }, "title"],
  [{ name: "ok", title: "t".repeat(201) }, "title"],
  [{ name: "ok", run: null }, "run"],
  [{ name: "ok", run: "x" }, "run"],
  [{ name: "ok", params: [] }, "params"],
  [{ name: "ok", params: "service1" }, "params"],
  [{ name: "ok", params: [""] }, "params"],
  [{ name: "ok", params: ["a b"] }, "params"],
  [{ name: "ok", params: ["a:b"] }, "params"],
  [{ name: "ok", params: ["-1"] }, "params"],
  [{ name: "ok", params: [-1] }, "params"],
  [{ name: "ok", params: [Number.NaN] }, "params"],
  [{ name: "ok", params: [Number.POSITIVE_INFINITY] }, "params"],
  [{ name: "ok", params: [1e21] }, "params"],
  [{ name: "ok", params: [null] }, "params"],
  [{ name: "ok", params: [{}] }, "params"],
  [{ name: "ok", params: [undefined, "a"] }, "params"],
  [{ name: "ok", params: ["p".repeat(61)] }, "params"],
  [{ name: "ok", expected: 0 }, "expected"],
  [{ name: "ok", expected: "soon" }, "expected"],
  [{ name: "ok", timeout: "0s" }, "timeout"],
  [{ name: "ok", timeout: -1 }, "timeout"],
  [{ name: "ok", onCrash: "wait" }, "onCrash"],
  [{ name: "ok", onCrash: "__proto__" }, "onCrash"],
])("defineCommand refuses %j by its option `%s`", (odd, option) => {
  const define = () => defineCommand({ run, ...odd } as unknown as CommandOptions);
  expect(define).toThrow(
    expect.objectContaining<Partial<PawlError>>({
      code: "invalid_option",
      message: expect.stringContaining(`\`${option}`) as string,
    }),
  );
});

test("a parameter is given once, as it is written: 10 and its text are one", () => {
  for (const params of [
    ["a", "a"],
    [10, "10"],
    ["1", 1.0],
  ]) {
    expect(() => defineCommand({ name: "ok", params, run })).toThrow(
      expect.objectContaining<Partial<PawlError>>({ code: "duplicate_name" }),
    );
  }
});

test("an app refuses two commands of one name, and what defineCommand has not made", () => {
  const [one, two] = [defineCommand({ name: "a", run }), defineCommand({ name: "a", run })];
  expect(() => defineApp({ commands: [one, two] })).toThrow('commands: two are named "a"');
  for (const odd of [null, 5, "a", {}, { name: "a", run }, [one]]) {
    expect(() => defineApp({ commands: [odd as never] })).toThrow(
      "commands: expected values made by defineCommand(...), got",
    );
  }
});

test("a command's function sees its parameter as it was defined, or none", () => {
  defineCommand({
    name: "typed",
    params: ["a", 2],
    run: ({ param }) => expectTypeOf(param).toEqualTypeOf<"a" | 2>(),
  });
  defineCommand({
    name: "none",
    run: ({ param }) => expectTypeOf(param).toEqualTypeOf<undefined>(),
  });
});

test.each<[string, object, string, string]>([
  ["imprt", {}, "command_not_found", 'no command "imprt" in app "shop"; did you mean "import"?'],
  ["\u0000", {}, "invalid_option", "`name`"],
  ["", {}, "invalid_option", "`name`"],
  ["__proto__", {}, "command_not_found", 'no command "__proto__"'],
  ["import", {}, "invalid_option", "expected its parameter to be one of a, 2, got none"],
  ["import", { param: "A" }, "invalid_option", 'to be one of a, 2, got "A"'],
  ["import", { param: 3 }, "invalid_option", "to be one of a, 2, got 3"],
  ["import", { param: "" }, "invalid_option", "`param`"],
  ["import", { param: {} }, "invalid_option", "`param`"],
  ["import", { param: Number.NaN }, "invalid_option", "`param`"],
  ["import", { param: "x".repeat(1_000_000) }, "invalid_option", "to be one of a, 2"],
  ["plain", { param: "a" }, "invalid_option", "to be left out: it takes none"],
])(
  "commands.run(%j, %j) is refused with %s, and nothing runs",
  async (name, given, code, words) => {
    let ran = 0;
    const count = () => {
      ran += 1;
    };
    const pawl = await commandsOf([
      defineCommand({ name: "import", params: ["a", 2], run: count }),
      defineCommand({ name: "plain", run: count }),
    ]);
    await expect(pawl.commands.run(name, given)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
    expect(ran).toBe(0);
    expect(await pawl.commands.runs()).toEqual([]);
  },
);

test("two apps on one database cannot define one command; one that its app no longer defines leaves the list, not its history", async () => {
  const { url } = await freshDatabase();
  const pawl = await commandsOf([defineCommand({ name: "tidy", run })], url);
  await pawl.commands.run("tidy");
  const taken = defineApp({ name: "other", commands: [defineCommand({ name: "tidy", run })] });
  await expect(connect(taken, { databaseUrl: url, log: silentLogger })).rejects.toMatchObject({
    code: "owned_by_code",
    message: expect.stringContaining('command "tidy" of app "shop"'),
  });
  expect(await pawl.apps.list()).toMatchObject([{ name: "shop", commands: 1 }]);
  const later = await commandsOf([], url);
  expect(await later.commands.list()).toEqual([]);
  expect(await later.commands.runs({ command: "tidy" })).toMatchObject([{ outcome: "done" }]);
});

test("an older revision of an app does not change what a newer one has said of a command", async () => {
  const { url } = await freshDatabase();
  const open = async (revision: number, title: string) => {
    const commands = [defineCommand({ name: "tidy", title, run })];
    const app = defineApp({ name: "shop", revision, commands });
    const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
    const [row] = await pawl.commands.list();
    await pawl.close();
    return row?.title;
  };
  expect(await open(2, "new")).toBe("new");
  expect(await open(1, "old")).toBe("new");
  expect(await open(3, "newest")).toBe("newest");
});
