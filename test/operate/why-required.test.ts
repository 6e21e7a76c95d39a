import { expect, test } from "vitest";
import { nounsOf } from "../../src/app/nouns.ts";
import { verbsOf } from "../support/verb-calls.ts";

test("R116: a verb whose reason is required refuses to do anything without one, and names the option as it is given", () => {
  const verbs = nounsOf()
    .flatMap((noun) => verbsOf(noun))
    .filter(([, one]) => one.input.why?.help.endsWith("required") === true);
  expect(verbs.map(([name]) => name).sort()).toEqual([
    "inbox.remove",
    "locks.release",
    "quiet.force",
    "sources.rewind",
    "sources.skip",
  ]);
  for (const [name, one] of verbs) {
    const asked = { by: "ada", action: name, where: name };
    const coded = { ...asked, label: (option: string) => `\`${option}\`` };
    const refused = { code: "invalid_option", data: { option: "why" } };
    expect(() => one.check({}, coded), name).toThrow(
      expect.objectContaining({
        ...refused,
        message: `${name}: expected \`why\` to be given: the reason, for the audit`,
      }),
    );
    const typed = { ...asked, label: (option: string) => `--${option}` };
    expect(() => one.check({}, typed), name).toThrow(/expected --why to be given/);
  }
});
