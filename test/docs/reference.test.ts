/** The reference of all commands and calls is made from the verbs: `npm run reference` writes it again. */

import { expect, test } from "vitest";
import { nounsOf } from "../../src/app/nouns.ts";
import { program } from "../../src/cli/program.ts";
import { reference } from "./reference.ts";

test("R112: the reference shows every command with its options, and every call of an operator in code", async () => {
  await expect(reference(program(), nounsOf())).toMatchFileSnapshot("../../docs/reference.md");
});
