import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { program } from "../../src/cli/program.ts";
import { here } from "./here.ts";

/** Asked for a help text only. */
const NOWHERE = "postgresql://localhost:1/nothing";

/** Every command with its path, the groups too. */
function below(one: Command, path = "pawl"): [path: string, one: Command][] {
  return [[path, one], ...one.commands.flatMap((next) => below(next, `${path} ${next.name()}`))];
}

function helpOf(one: Command): string {
  let help = "";
  one.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  one.outputHelp();
  return help;
}

const commands = below(program());
const helps = new Map(commands.map(([path, one]) => [path, helpOf(one)]));
const linesOf = (path: string) => (helps.get(path) ?? "").split("\n");
/** The text of an option, its lines joined. */
const optionOf = (path: string, flag: string) =>
  new RegExp(`^  (?:-\\w, )?${flag}[^\\n]*(?:\\n {10,}[^\\n]*)*`, "m")
    .exec(helps.get(path) ?? "")?.[0]
    .replace(/\s+/g, " ");

test("every example of a command says what it does", () => {
  const bare = [...helps].flatMap(([path]) => {
    const lines = linesOf(path);
    const at = lines.indexOf("Examples:") + 1;
    const examples = at === 0 ? [] : lines.slice(at, lines.indexOf("", at));
    return examples.filter((line) => !/^ {2}\S.* {2}\S/.test(line));
  });
  expect(bare).toEqual([]);
});

test("a default is said once, in words, never as a list of nothing or as milliseconds", () => {
  const odd = commands.flatMap(([path, one]) =>
    one.options
      .filter(({ defaultValue }) => defaultValue !== undefined)
      .filter(
        ({ flags, description, defaultValue, defaultValueDescription }) =>
          description.includes("(default") ||
          (defaultValueDescription === undefined &&
            (typeof defaultValue === "object" || flags.includes("<duration>"))),
      )
      .map(({ flags }) => `${path} ${flags}`),
  );
  expect(odd).toEqual([]);
  expect(optionOf("pawl destinations rotate", "--overlap")).toContain("(default: 1d)");
  expect(optionOf("pawl sources partitions", "--months-ahead")).toContain("month (default: 3)");
  expect(optionOf("pawl events record", "--payload")).toContain("(default: an empty object)");
});

test("an option that is required says so", () => {
  const mandatory = commands.flatMap(([path, one]) =>
    one.options.filter((option) => option.mandatory).map(({ long }) => [path, long ?? ""] as const),
  );
  expect(mandatory.length).toBeGreaterThan(3);
  for (const [path, flag] of mandatory)
    expect([path, optionOf(path, flag)]).toEqual([path, expect.stringMatching(/; required$/)]);
  for (const path of ["pawl sources skip", "pawl sources rewind", "pawl inbox remove"])
    expect([path, optionOf(path, "--why")]).toEqual([path, expect.stringMatching(/; required$/)]);
  expect(optionOf("pawl sources rewind", "--confirm")).toMatch(/; required$/);
  expect(optionOf("pawl sources pause", "--why")).toMatch(/the reason, for the audit$/);
});

test("the environment that is explained is what the guide explains", () => {
  const guide = readFileSync("docs/cli.md", "utf8");
  const names = (text: string) => [
    ...new Set(text.match(/\b(?:DATABASE_URL|PAWL_[A-Z_]+)\b/g) ?? []),
  ];
  const table = guide.slice(guide.indexOf("| environment |"), guide.indexOf("| exit code |"));
  const help = helps.get("pawl") ?? "";
  expect(names(help.slice(help.indexOf("Environment:"))).sort()).toEqual(names(table).sort());
});

describe("pawl help", () => {
  test.each([["work"], ["sources"], ["sources rewind"], ["requests stop"]])(
    "%s prints what --help behind it prints",
    async (path) => {
      expect(await here(NOWHERE, "help", ...path.split(" "))).toBe(
        helps.get(`pawl ${path}`)?.trimEnd(),
      );
    },
  );

  test("alone prints the help of pawl, and a name that is not there is answered with the nearest", async () => {
    expect(await here(NOWHERE, "help")).toBe(helps.get("pawl")?.trimEnd());
    const wrong = (...names: string[]) => expect(here(NOWHERE, "help", ...names)).rejects;
    await wrong("sorces").toThrow(/^no command "sorces"; did you mean "sources"\? see/);
    await wrong("sources", "rewnd").toThrow(
      /^pawl sources: no command "rewnd"; did you mean "rewind"\?/,
    );
  });
});
