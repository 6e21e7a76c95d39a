import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorToJson } from "../../src/base/error-json.ts";
import { jsonLogger, safeLogger } from "../../src/base/log.ts";
import { isMasked, maskText, maskUrl } from "../../src/base/mask.ts";
import { maskContent, maskJson } from "../../src/base/mask-json.ts";

const JWT = "eyJhbGciOiJIUzUxMiJ9.eyJpc3MiOiJwYngifQ.c2lnbmF0dXJlLW9mLWl0";

test.each([
  ["https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/services/…"],
  ["https://api.telegram.org/bot123:hunter2/sendMessage", "https://api.telegram.org/bot123…"],
  ["https://host.example:8443/a?token=hunter2#f", "https://host.example:8443/a?…"],
  ["https://host.example/a;session=hunter2", "https://host.example/a…"],
  ["https://host.example/a%2Fhunter2", "https://host.example/a/…"],
  ["https://host.example/a//hunter2", "https://host.example/a/…"],
  ["https://host.example/#hunter2", "https://host.example/#…"],
  ["https://user:hunter2@host.example/a", "https://host.example/a"],
  ["https:\\\\host.example\\a\\hunter2", "https://host.example/a/…"],
  ["https:host.example/a/hunter2", "https://host.example/a/…"],
  ["https://host.example/a", "https://host.example/a"],
  ["https://host.example/a/", "https://host.example/a/"],
  ["wss://[::1]:80/a/hunter2", "wss://[::1]:80/a/…"],
  ["amqp://shop:hunter2@mq.example/v", "amqp://mq.example/v"],
  [`https://host.example/${JWT}`, "https://host.example/eyJ…"],
  ["data:text/plain,hunter2", "data:(not shown)"],
  ["hunter2", "(not a URL)"],
])("of the URL %s is shown %s", (url, shown) => {
  expect(maskUrl(url)).toBe(shown);
  if (URL.canParse(shown) && shown.includes("…")) expect(isMasked(shown)).toBe(true);
});

test.each([
  ["POST https://a.example/b/hunter2: refused.", "POST https://a.example/b/…: refused."],
  ["(see https://a.example/b).", "(see https://a.example/b)."],
  [
    "'https://a.example/b/hunter2', `https://a.example/hunter`",
    "'https://a.example/b/…', `https://a.example/hunter`",
  ],
  [
    '{"u":"https:\\/\\/a.example\\/b\\/hunter2","n":1}',
    '{"u":"https:\\/\\/a.example\\/b/…","n":1}',
  ],
  ["to=https%3A%2F%2Fa.example%2Fb%2Fhunter2&x", "to=https%3A%2F%2Fa.example%2Fb/…"],
  ["postgresql://shop:hun@ter/2@db.example/shop", "postgresql://…"],
  [
    "as postgresql://user:password@host:5432/database",
    "as postgresql://user:password@host:5432/database",
  ],
  ["GET /orders?token=hunter2&a=hunter2 HTTP/1.1", "GET /orders?token=…&a=… HTTP/1.1"],
  [`Bearer ${JWT}.`, "Bearer eyJ…"],
  [`{"request": "${JWT}"}`, '{"request": "eyJ…"}'],
  ["at file:///app/src/a.ts:1:2", "at file:///app/src/a.ts:1:2"],
  ["12:30 a.b.c eyJ? a.example/b/c what?", "12:30 a.b.c eyJ? a.example/b/c what?"],
])("of the text %s is shown %s", (text, shown) => {
  expect(maskText(text)).toBe(shown);
  expect(maskText(shown)).toBe(shown);
});

describe("for any URL", () => {
  const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  const odd = fc.stringMatching(/^[a-z0-9;:,=&@%!$'()*+~-]{0,12}$/);
  const secret = fc.stringMatching(/^SECRET[A-Z]{6}$/);
  const url = fc
    .record({
      scheme: fc.constantFrom("http", "https", "wss", "amqp", "postgresql"),
      host: word,
      first: word,
      before: odd,
      after: odd,
      secret,
      place: fc.constantFrom("path", "matrix", "query", "name", "fragment", "user", "password"),
    })
    .map(({ scheme, host, first, before, after, place, ...one }) => {
      const hidden = before.replaceAll("@", "") + one.secret + after.replaceAll("@", "");
      const places = {
        path: `/${first}/${hidden}`,
        matrix: `/${first};${hidden}`,
        query: `/${first}?a=${hidden}`,
        name: `/${first}?${hidden}`,
        fragment: `/${first}#${hidden}`,
      };
      if (place !== "user" && place !== "password")
        return { secret: one.secret, text: `${scheme}://${host}.example${places[place]}` };
      const user = place === "user" ? `${one.secret}:x` : `x:${one.secret}`;
      return { secret: one.secret, text: `${scheme}://${user}@${host}.example/${first}` };
    });

  test("R94: nothing of its path beyond the first segment, its query, fragment and credentials survives", () => {
    fc.assert(
      fc.property(url, fc.string(), fc.string(), ({ text, secret }, before, after) => {
        expect(maskText(text)).not.toContain(secret);
        expect(maskText(`${before} ${text} ${after}`)).not.toContain(secret);
        expect(
          maskJson(JSON.stringify({ [text]: [before, text, { after: `${after} ${text}` }] })),
        ).not.toContain(secret);
        if (URL.canParse(text)) expect(maskUrl(text).toUpperCase()).not.toContain(secret);
      }),
      { numRuns: 500 },
    );
  });

  test("masking twice changes nothing more", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            url.map(({ text }) => text),
            fc.constant(JWT),
          ),
        ),
        (parts) => {
          const masked = maskText(parts.join(" "));
          expect(maskText(masked)).toBe(masked);
        },
      ),
    );
  });
});

describe("in JSON", () => {
  test("R114: what holds nothing to hide stays byte for byte, numbers keep their digits", () => {
    const json =
      '{ "id":9007199254740993.0,\n "a" : "\\u0041\\/", "token_count": 5, "key":"k", "big":1e400 }';
    expect(maskContent(json)).toBe(json);
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), (any) => {
        const masked = maskJson(any);
        if (masked !== any) expect(any).toMatch(/[:?&]/);
        expect(JSON.parse(masked)).toBeDefined();
      }),
    );
  });

  test("strings are masked however they are escaped, in names too", () => {
    const json = String.raw`{"big":1.00,"a":"https:\/\/a.example\/b\/hunter2","b":"\u0068ttps://a.example/b/hunter2 \"","https://a.example/b/hunter2":1,"c":"{\"u\":\"https://a.example/b/hunter2\"}"}`;
    const masked = maskJson(json);
    expect(masked).not.toContain("hunter2");
    expect(masked).toContain('{"big":1.00,"a":"https://a.example/b/…"');
    expect(JSON.parse(masked).c).toBe('{"u":"https://a.example/b/…"}');
  });

  test("a member that names a credential, and a header that speaks of one, show no value", () => {
    const given = {
      headers: {
        authorization: "Bearer hunter2",
        "X-Hub-Signature": "hunter2",
        "x-tenant": "7",
        cookie: ["hunter2"],
      },
      list: [{ apiKey: "hunter2", password: 'hun"ter2' }],
      callbackUrl: 'https://a.example/b?q=a b"hunter2',
      authorization: "env:ERP_AUTH",
      token_count: "5",
      signature: "of the customer",
      key: "k",
    };
    expect(JSON.parse(maskContent(JSON.stringify(given)))).toEqual({
      ...given,
      headers: { authorization: "***", "X-Hub-Signature": "***", "x-tenant": "7", cookie: ["***"] },
      list: [{ apiKey: "***", password: "***" }],
      callbackUrl: "https://a.example/b?…",
    });
  });

  test("what is no JSON is masked as far as it goes", () => {
    expect(maskJson('"https://a.example/b/hunter2')).toBe('"https://a.example/b/…');
    expect(maskContent('}}]{"a":"https://a.example/b/hunter2"')).not.toContain("hunter2");
  });
});

test.each([
  "eyJ",
  "eyJ.",
  "://",
  "a:",
  "?a=",
  "&a",
  "((((",
  "\\",
  "http:",
  "%3a",
  "https://h/)))",
  "@",
  "https://a:b@",
  "a.",
  "/",
])("a text of 1 MiB made of %j is masked in linear time", (part) => {
  const timed = (bytes: number) => {
    const text = part.repeat(bytes / part.length);
    const startedAt = process.cpuUsage();
    maskText(text);
    maskContent(JSON.stringify(text));
    const { user, system } = process.cpuUsage(startedAt);
    return (user + system) / 1_000;
  };
  expect(timed(1_048_576)).toBeLessThan(30_000); // what is quadratic takes minutes
});

describe("R94: no secret of a URL, and no token, is kept of an error:", () => {
  const SECRET = "https://hooks.slack.com/services/T0/B0/hunter2";
  const cause = new Error(`GET ${SECRET}`);
  const inner = new AggregateError([new Error(SECRET)], `several: ${SECRET}`);
  const data = { url: SECRET, token: JWT, headers: { cookie: "hunter2" } };
  const made = Object.assign(new Error(`failed: ${SECRET} ${JWT}`, { cause }), {
    data,
    code: SECRET,
  });

  test.each([
    ["an error", made],
    ["several errors", inner],
    ["a text", `${SECRET} ${JWT}`],
    ["an object", { SECRET }],
  ])("%s", (_name, thrown) => {
    const kept = JSON.stringify(errorToJson(thrown));
    expect(kept).toContain("https://hooks.slack.com/services/…");
    expect(kept).not.toContain("hunter2");
    expect(kept).not.toContain(JWT.slice(10));
  });

  test("nor told to a logger of the app", () => {
    const told: object[] = [];
    const tell = (data: object) => told.push(data);
    const log = safeLogger({ debug: tell, info: tell, warn: tell, error: tell });
    log.warn({ err: `failed: ${SECRET}` }, "failed");
    expect(told).toEqual([{ err: "failed: https://hooks.slack.com/services/…" }]);
  });

  test("nor in a line of the log", () => {
    const lines: string[] = [];
    const log = jsonLogger("debug", (line) => lines.push(line));
    log.error({ err: `failed: ${SECRET}`, deep: { token: JWT } }, `at ${SECRET}`);
    expect(lines.join("")).toContain("https://hooks.slack.com/services/…");
    expect(lines.join("")).not.toContain("hunter2");
    expect(lines.join("")).not.toContain(JWT);
  });
});
