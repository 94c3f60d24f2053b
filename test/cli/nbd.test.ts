import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Address from "../../src/nbd/Address.ts"
import { fails, makeMachine, ok } from "./backy.ts"

describe("backy nbd", () => {
  const usage: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
    [[], /where to listen is missing: --socket PATH or --listen ADDRESS:PORT \(see backy nbd --help\)$/],
    [["--socket", "/x", "--listen", "127.0.0.1:1"], /exclude each other/],
    [["--listen", "192.0.2.1:10809"], /is not an address of this machine alone/],
    [["--listen", "localhost"], /expected ADDRESS:PORT/]
  ]
  for (const [words, sentence] of usage) {
    it.effect(`says what is wrong with ${words.join(" ") || "nothing"}`, () =>
      Effect.gen(function*() {
        const machine = makeMachine()
        yield* ok(machine, "backup", "daily")
        assert.match(yield* fails(2, machine, "-b", "/srv/backy/vm", "nbd", ...words), sentence)
      }))
  }

  it.effect("ends as its command does, and prints nothing itself then", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      yield* ok(machine, "backup", "daily")
      const { err, out } = yield* ok(machine, "nbd", "--listen", "127.0.0.1:1", "--run", "exit 0")
      assert.deepStrictEqual(out, [])
      assert.match(err.join("\n"), /serving revision \w{22} \(9\.77 KiB, read-only\) as nbd:\/\/127\.0\.0\.1:1\//)
    }))
})

describe("addresses", () => {
  for (
    const [text, uri] of [
      ["127.0.0.1:10809", "nbd://127.0.0.1:10809/"],
      ["127.3.2.1:0", "nbd://127.3.2.1:0/"],
      ["localhost:1", "nbd://127.0.0.1:1/"],
      ["[::1]:10809", "nbd://[::1]:10809/"]
    ] as const
  ) {
    it(`${text} is ${uri}`, () => {
      const address = Address.parseTcp(text)
      assert.strictEqual(typeof address === "string" ? address : Address.uriOf(address), uri)
    })
  }

  for (
    const text of [
      "",
      ":1",
      "::1:1",
      "[::]:1",
      "[127.0.0.1]:1",
      "0.0.0.0:1",
      "127.0.0.1:65536",
      "127.1:1",
      "host:1",
      "1:2:3"
    ]
  ) {
    it(`"${text}" is none`, () => {
      assert.strictEqual(typeof Address.parseTcp(text), "string")
    })
  }

  it("of sockets are escaped", () => {
    const uri = Address.uriOf({ _tag: "Unix", path: "/run/a b&c%20?#" })
    assert.strictEqual(uri, "nbd+unix:///?socket=/run/a%20b%26c%2520%3F%23")
  })
})
