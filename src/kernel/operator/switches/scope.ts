/** Scopes as people type them, compared with those that the database knows. */

import { PawlError, shown } from "../../../base/errors.ts";
import {
  parseScope,
  SCOPE_KINDS,
  scopeShape,
  scopeText,
  unknownCode,
} from "../../../base/scope.ts";
import { didYouMean } from "../../../base/suggest.ts";
import { dataText } from "../../../base/text.ts";
import type { Executor } from "../../../store/executor.ts";
import { scopes } from "./sql.ts";

const EXPECTED = `expected a scope: "all", ${SCOPE_KINDS.map(scopeShape).join(", ")}`;

/**
 * Returns the scope as it is printed everywhere.
 * @throws PawlError `invalid_option`, or `unknown_queue`, `unknown_kind`, `unknown_destination`, `source_not_found`, `route_not_found` with
 * the nearest there is
 */
export async function requireScope(executor: Executor, given: unknown): Promise<string> {
  if (given === "all") return given;
  const text = typeof given === "string" ? given : "";
  const scope = parseScope(text);
  const known = await scopes(executor);
  if (scope === undefined || scope.kind === "all") {
    const named = known.find((one) => one.slice(one.indexOf(":") + 1) === text);
    const near = named === undefined ? didYouMean(text, known) : `did you mean "${named}"?`;
    throw new PawlError("invalid_option", `${EXPECTED}; got ${shown(given)}; ${near}`, {
      data: { option: "scope", value: dataText(given) },
    });
  }
  const printed = scopeText(scope);
  if (known.includes(printed)) return printed;
  const { kind, name } = scope;
  const names = known.flatMap((one) => {
    const other = parseScope(one);
    return other?.kind === kind ? [other.name] : [];
  });
  throw new PawlError(
    unknownCode(kind),
    `no ${kind} ${shown(name)} in this database; ${didYouMean(name, names)}`,
    { data: { value: dataText(name) } },
  );
}
