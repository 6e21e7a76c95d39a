/** Conditions of routes as people type and read them: `payload.country=CZ`. */

import { PawlError, shown } from "../../../base/errors.ts";
import { shownWhole } from "../../../base/thrown.ts";

const PATH = /^(payload|meta)((?:\.[^.=\s]+)+)=(.*)$/s;
const LITERAL = /^(?:true|false|null|-?\d+(?:\.\d+)?|".*")$/s;

/** Deeper than this nobody reads. */
const DEPTH_SHOWN_MAX = 40;

export type Where = { payload?: unknown; meta?: unknown };

type Tree = { [name: string]: unknown };

/** Numbers, true, false, null and texts in double quotes are what they look like; all else is text. */
export function whereOf(conditions: readonly string[]): Where {
  const where: Tree = {};
  const seen = new Set<string>();
  for (const condition of conditions) {
    const [, root = "", path = "", text = ""] = PATH.exec(condition) ?? [];
    if (root === "") {
      throw new PawlError(
        "invalid_option",
        `expected --where to be payload.<field>=<value> or meta.<field>=<value>, such as payload.country=CZ, got ${shown(condition)}`,
        { data: { option: "--where", value: condition } },
      );
    }
    const at = root + path;
    if (seen.has(at)) {
      throw new PawlError("invalid_option", `${at} is given twice by --where; give it once`, {
        data: { option: "--where", value: condition },
      });
    }
    seen.add(at);
    put(where, [root, ...path.slice(1).split(".")], literalOf(text));
  }
  return where;
}

function put(tree: Tree, names: readonly string[], value: unknown): void {
  const [name = "", ...rest] = names;
  if (rest.length === 0) {
    Object.defineProperty(tree, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return;
  }
  const inside = Object.hasOwn(tree, name) ? tree[name] : undefined;
  const next: Tree = typeof inside === "object" && inside !== null ? (inside as Tree) : {};
  Object.defineProperty(tree, name, {
    value: next,
    enumerable: true,
    configurable: true,
    writable: true,
  });
  put(next, rest, value);
}

function literalOf(text: string): unknown {
  if (!LITERAL.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function conditionText({
  where,
  match,
}: {
  where: Where | null;
  match: string | null;
}): string | null {
  const parts = [
    ...(where === null ? [] : lines(where, "", 0)),
    ...(match === null ? [] : [match]),
  ];
  return parts.length === 0 ? null : parts.join(", ");
}

function lines(value: object, path: string, depth: number): string[] {
  return Object.entries(value).flatMap(([name, inside]) => {
    const at = path === "" ? name : `${path}.${name}`;
    const isObject = typeof inside === "object" && inside !== null && !Array.isArray(inside);
    const isTree = isObject && depth < DEPTH_SHOWN_MAX;
    return isTree
      ? lines(inside, at, depth + 1)
      : [`${at}=${typeof inside === "string" ? inside : shownWhole(inside)}`];
  });
}
