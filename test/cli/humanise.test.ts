import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as FastCheck from "effect/FastCheck"
import { afterEach, beforeEach } from "vitest"
import * as Humanise from "../../src/cli/humanise.ts"

describe("sizes", () => {
  it("have three digits and a unit", () => {
    const sizes = [0, 1, 1023, 1024, 1536, 10 * 1024, 1024 ** 2 - 1, 4 * 1024 ** 2, 237 * 1024 ** 3, 100 * 1024 ** 4]
    assert.deepStrictEqual(sizes.map(Humanise.bytes), [
      "0 bytes",
      "1 byte",
      "1023 bytes",
      "1.00 KiB",
      "1.50 KiB",
      "10.0 KiB",
      "1.00 MiB",
      "4.00 MiB",
      "237 GiB",
      "100 TiB"
    ])
  })

  it.prop("are never off by more than half a percent", [FastCheck.integer({ min: 0, max: 2 ** 52 })], ([size]) => {
    const [number = "", unit = ""] = Humanise.bytes(size).split(" ")
    const factor = 1024 ** ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"].indexOf(unit === "byte" ? "bytes" : unit)
    assert.isAtMost(Math.abs(Number(number) * factor - size), size * 0.005)
    assert.isAtMost(number.length, 4)
  })
})

describe("durations", () => {
  it("have at most two units", () => {
    const seconds = [-1, 0.04, 0.44, 9.94, 9.96, 59.4, 59.6, 61, 3599, 3600, 7500, 86_399, 86_400, 100_000, 8_640_000]
    assert.deepStrictEqual(seconds.map(Humanise.duration), [
      "0.0 s",
      "0.0 s",
      "0.4 s",
      "9.9 s",
      "10 s",
      "59 s",
      "1 min",
      "1 min 1 s",
      "59 min 59 s",
      "1 h",
      "2 h 5 min",
      "1 d",
      "1 d",
      "1 d 4 h",
      "100 d"
    ])
  })
})

describe("instants", () => {
  let zone: string | undefined
  beforeEach(() => {
    zone = process.env.TZ
  })
  afterEach(() => {
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  })

  it("are shown in the local zone, which is named", () => {
    const instant = DateTime.unsafeMake("2026-07-01T22:30:05.999Z")
    process.env.TZ = "Europe/Berlin"
    assert.strictEqual(Humanise.localTime(instant), "2026-07-02 00:30:05")
    assert.strictEqual(Humanise.zoneName(), "Europe/Berlin")
    process.env.TZ = "America/St_Johns"
    assert.strictEqual(Humanise.localTime(instant), "2026-07-01 20:00:05")
    process.env.TZ = "UTC"
    assert.strictEqual(Humanise.localTime(instant), "2026-07-01 22:30:05")
    assert.strictEqual(Humanise.zoneName(), "UTC")
  })
})
