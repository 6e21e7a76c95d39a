import { expect, test } from "vitest";
import { maskUrl } from "../../src/base/mask.ts";
import { excerpt } from "../../src/sender/excerpt.ts";

test("an excerpt holds nothing that PostgreSQL refuses or a terminal obeys", () => {
  expect(excerpt("a\u0000b\u001b[2Jc\u0085\td\r\n", 100)).toBe("a\ufffdb\ufffd[2Jc\ufffd\td\r\n");
  expect(excerpt("ab😀", 3)).toBe("ab\ufffd");
  expect(excerpt("ab😀", 4)).toBe("ab😀");
  expect(excerpt("x".repeat(10), 4)).toBe("xxxx");
});

test.each([
  ["https://user:pw@host.example:8443/a/b?token=t&x#f", "https://host.example:8443/a/…?…"],
  ["http://host.example", "http://host.example/"],
  ["ftp://user:pw@host.example/a", "ftp://host.example/a"],
  ["user:pw", "user:(not shown)"],
  ["hunter2", "(not a URL)"],
])("%j is shown as %j", (url, shown) => {
  expect(maskUrl(url)).toBe(shown);
});
