import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as LiveProgress from "../../src/cli/progress.ts"
import * as Screen from "../../src/cli/Screen.ts"
import * as Logging from "../../src/logging.ts"
import { Progress } from "../../src/operation/Progress.ts"

const MIB = 1024 ** 2

const screenOn = (stream: Partial<Screen.Stream>) => {
  const written: Array<string> = []
  const screen = Screen.make({ ...stream, write: (text) => written.push(text) }, { TERM: "xterm" })
  return { written, screen, logging: Logging.layer({ file: undefined, verbose: false, stderr: screen.line }) }
}

describe("progress", () => {
  it("is rounded down, so that 100 % means done", () => {
    const state = LiveProgress.begin("reading", 1000, 0)
    assert.strictEqual(LiveProgress.render({ ...state, done: 999 }, 0), "reading   99 %  999 bytes of 1000 bytes")
    assert.strictEqual(LiveProgress.render({ ...state, done: 1000 }, 0), "reading  100 %  1000 bytes of 1000 bytes")
    assert.strictEqual(
      LiveProgress.render(LiveProgress.begin("reading", 0, 0), 0),
      "reading  100 %  0 bytes of 0 bytes"
    )
  })

  it("never shows more than there is", () => {
    const state = { ...LiveProgress.begin("reading", 1000, 0), done: 1200 }
    assert.match(LiveProgress.render(state, 1000), /^reading {2}100 % {2}1000 bytes of 1000 bytes {2}\d+ MB\/s$/)
  })

  it("reckons the time left from the speed of the last seconds", () => {
    // 100 MB/s for a minute, then 10 MB/s for half of one
    let state = LiveProgress.begin("verifying", 10e9, 0)
    for (let second = 1; second <= 90; second++) {
      state = LiveProgress.sample({ ...state, done: state.done + (second <= 60 ? 100e6 : 10e6) }, second * 1000)
    }
    assert.strictEqual(
      LiveProgress.render(state, 90_000),
      "verifying   63 %  5.87 GiB of 9.31 GiB  10 MB/s  6 min 10 s left"
    )
  })

  it.scoped("is redrawn on a terminal ten times a second, and gone at the end", () =>
    Effect.gen(function*() {
      const { logging, screen, written } = screenOn({ isTTY: true, columns: 80 })
      yield* Effect.gen(function*() {
        const progress = yield* Progress
        yield* progress.start("reading", 4 * MIB)
        yield* progress.advance(MIB)
        yield* TestClock.adjust("1 seconds")
        yield* progress.advance(MIB)
        yield* TestClock.adjust("100 millis")
      }).pipe(Effect.provide(Layer.provide(LiveProgress.layer({ screen, log: false }), logging)))
      assert.isTrue(written.every((text) => text.startsWith("\r\u001b[K") && !text.includes("\n")))
      assert.include(written[0] ?? "", "reading   25 %  1.00 MiB of 4.00 MiB")
      assert.include(written.at(-2) ?? "", "reading   50 %")
      assert.strictEqual(written.at(-1), "\r\u001b[K")
    }))

  it.scoped("is a log line every half minute where nothing can be redrawn", () =>
    Effect.gen(function*() {
      const { logging, screen, written } = screenOn({})
      yield* Effect.gen(function*() {
        const progress = yield* Progress
        yield* progress.start("restoring", 100 * MIB)
        yield* TestClock.adjust("29 seconds")
        assert.deepStrictEqual(written, [])
        yield* progress.advance(30 * MIB)
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(written, ["restoring   30 %  30.0 MiB of 100 MiB  1 MB/s  1 min 10 s left\n"])
      }).pipe(Effect.provide(Layer.provideMerge(LiveProgress.layer({ screen, log: false }), logging)))
    }))

  it("keeps log lines above the redrawn line, and cuts it where it would wrap", () => {
    const { screen, written } = screenOn({ isTTY: true, columns: 11 })
    screen.status("reading 5 % of much")
    screen.line("warning: so it is")
    screen.status("reading 5 % of much")
    screen.status("")
    assert.deepStrictEqual(written, [
      "\r\u001b[Kreading 5 ",
      "\r\u001b[Kwarning: so it is\nreading 5 ",
      "\r\u001b[K"
    ])
  })

  it("redraws nothing on a dumb terminal, and takes a width of 0 for an unknown one", () => {
    const written: Array<string> = []
    const stream = { isTTY: true, columns: 0, write: (text: string) => written.push(text) }
    assert.isFalse(Screen.make(stream, { TERM: "dumb" }).canRedraw)
    Screen.make(stream, {}).status("reading")
    assert.deepStrictEqual(written, ["\r\u001b[Kreading"])
  })
})
