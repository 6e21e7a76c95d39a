/**
 * Writing back what was read masked: a value that still shows its mask stands for the secret that was there.
 * Invariant: no mask is ever stored in the place of a secret.
 */

import { PawlError } from "../base/errors.ts";
import { DEPTH_MAX, refuseTooDeep } from "../base/json-limits.ts";
import { HIDDEN, isMasked, MASK, maskText } from "../base/mask.ts";
import { isSealed } from "./seal.ts";
import { describeSecret, isSecretRef } from "./secret.ts";

/** The same configuration as it may be shown: each reference by its description, URLs and tokens masked. */
export function maskSecrets(config: unknown): unknown {
  return masked(config, 0);
}

/** What is too deep to be looked through may hold a secret. */
function masked(config: unknown, depth: number): unknown {
  if (typeof config === "string") return maskText(config);
  if (isSecretRef(config)) return describeSecret(config);
  if (typeof config !== "object" || config === null || ArrayBuffer.isView(config)) return config;
  if (depth >= DEPTH_MAX) return MASK;
  if (Array.isArray(config)) return config.map((one) => masked(one, depth + 1));
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [name, masked(value, depth + 1)]),
  );
}

/**
 * `next` with every value that is unchanged since it was shown replaced by the one in `previous`.
 *
 * @param shown how `previous` was shown; give it when more is masked than references, such as URLs
 * @throws PawlError `invalid_option` for a mask that stands for nothing that is known
 */
export function keepMasked(
  next: unknown,
  previous: unknown,
  shown: unknown = maskSecrets(previous),
): unknown {
  refuseTooDeep(next, "the value");
  return keep(next, { previous, shown }, "");
}

interface Known {
  previous: unknown;
  shown: unknown;
}

const UNKNOWN: Known = { previous: undefined, shown: undefined };

function keep(next: unknown, known: Known, path: string): unknown {
  if (typeof next === "string") return keepText(next, known, path);
  if (Array.isArray(next)) return keepList(next, known, path);
  if (!isRecord(next) || isSecretRef(next)) return next;
  return Object.fromEntries(
    Object.entries(next).map(([name, value]) => {
      const inside = {
        previous: property(known.previous, name),
        shown: property(known.shown, name),
      };
      return [name, keep(value, inside, path === "" ? name : `${path}.${name}`)];
    }),
  );
}

function keepText(next: string, { previous, shown }: Known, path: string): unknown {
  const isStored = isSealed(previous) && next === describeSecret(previous);
  if (previous !== undefined && (next === shown || next === MASK || isStored)) return previous;
  if (!next.includes(MASK) && !isMasked(next)) return next;
  throw new PawlError(
    "invalid_option",
    `${path === "" ? "the value" : `\`${path}\``} holds ${isMasked(next) ? HIDDEN : MASK}, which stands for a hidden value, but differs from what is stored; write the value in full`,
    { data: { option: path } },
  );
}

/** In a list of the same length by place; else in order, when all the hidden values are still there. */
function keepList(next: unknown[], { previous, shown }: Known, path: string): unknown[] {
  const olds = Array.isArray(previous) ? previous : [];
  const views = Array.isArray(shown) ? shown : [];
  const hidden = olds
    .map((old, i) => ({ previous: old, shown: views[i] }))
    .filter((one) => one.previous !== one.shown);
  const isByPlace = next.length === olds.length;
  let taken = 0;
  return next.map((value, i) => {
    const at = `${path}[${i}]`;
    if (isByPlace) return keep(value, { previous: olds[i], shown: views[i] }, at);
    const candidate = hidden[taken];
    if (candidate === undefined || value !== candidate.shown) return keep(value, UNKNOWN, at);
    taken += 1;
    return candidate.previous;
  });
}

function property(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  const isObject = value !== null && typeof value === "object";
  return isObject && !Array.isArray(value) && !ArrayBuffer.isView(value);
}
