/** What `docs/reference.md` says: all commands and calls, made from the code. */

import type { Command } from "commander";
import { isNoun } from "../../src/operate/calls.ts";
import type { Noun, Verb } from "../../src/operate/verb.ts";

const HEAD = `# Reference: commands and calls

Made from the code; \`npm run reference\` writes it again. [cli.md](cli.md) explains the command line, exit codes and JSON.
Every command also takes \`--config\`, \`--json\`, \`-v\` and \`--help\`.
`;

export function reference(root: Command, nouns: readonly Noun<object, never>[]): string {
  const commands = leaves(root, "pawl").map(([path, one]) => section(path, one));
  const calls = nouns.flatMap((noun) => callsOf(noun, "pawl"));
  return [HEAD, "## In code\n", table(calls), "\n## Commands\n", ...commands].join("\n");
}

/** Commands that do something, in their order. */
function leaves(one: Command, path: string): [string, Command][] {
  const below = one.commands.filter((child) => child.name() !== "help");
  if (below.length === 0) return [[path, one]];
  return below.flatMap((child) => leaves(child, `${path} ${child.name()}`));
}

function section(path: string, one: Command): string {
  const args = one.registeredArguments.map((arg) => {
    const name = `${arg.name()}${arg.variadic ? "..." : ""}`;
    return arg.required ? ` <${name}>` : ` [${name}]`;
  });
  const rows = one.options.map((option) => {
    const fallback =
      option.defaultValue === undefined || option.long === "--by"
        ? ""
        : `; default ${option.defaultValueDescription ?? JSON.stringify(option.defaultValue)}`;
    const must = option.mandatory ? "; required" : "";
    return `| \`${option.flags}\` | ${cell(option.description)}${must}${fallback} |`;
  });
  const options = rows.length === 0 ? [] : ["", "| option | meaning |", "|---|---|", ...rows];
  return [
    `### ${path}`,
    "",
    `\`${path}${args.join("")}\``,
    "",
    `${one.description()}.`,
    ...options,
    "",
  ].join("\n");
}

interface Row {
  call: string;
  help: string;
}

function callsOf(noun: Noun<object, never>, above: string): Row[] {
  const path = noun.name === "" ? above : `${above}.${noun.name}`;
  const verbs = Object.entries(noun.verbs) as [
    string,
    Verb<unknown, never> | Noun<object, never>,
  ][];
  return verbs.flatMap(([name, one]) => {
    if (isNoun(one)) return callsOf(one as Noun<object, never>, path);
    const verb = one as Verb<unknown, never>;
    const options = Object.keys(verb.input).filter((field) => !verb.args.includes(field));
    const given = [...verb.args, ...(options.length === 0 ? [] : [`{ ${options.join(", ")} }`])];
    return [{ call: `${path}.${name}(${given.join(", ")})`, help: verb.help }];
  });
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ call, help }) => `| \`${call}\` | ${cell(help)} |`);
  return ["| call | does |", "|---|---|", ...lines].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
