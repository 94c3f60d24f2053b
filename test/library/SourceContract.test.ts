/** The contract suite for sources lets good ones pass, and finds each way in which one can be bad. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { sourceType } from "../../src/domain/SourceConfig.ts"
import * as SimulatedMachine from "../../src/library/SimulatedMachine.ts"
import * as SourceContract from "../../src/library/SourceContract.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"
import { builtIn, provider } from "../../src/source/registry.ts"
import { type Change, type Changes, Source, SourceNotReady } from "../../src/source/Source.ts"

const image = new Uint8Array(20_000).map((_, index) => index % 251 + 1)

const providerOf = (type: string) => builtIn.find((one) => one.type.type === type) ?? assert.fail(type)

const notReady = new SourceNotReady({ source: "test", reason: "it is not there" })

/** How a source of two writes may differ from a good one. */
interface Traits {
  readonly changes?: Stream.Stream<Change, SourceNotReady>
  readonly second?: Changes["second"]
  readonly size?: number
  readonly check?: Effect.Effect<void, SourceNotReady>
  /** Beside the snapshot. */
  readonly take?: Effect.Effect<void, never, Scope.Scope>
}

const writes: ReadonlyArray<Change> = [0, 10_000].map((offset) => ({
  _tag: "Write",
  offset,
  bytes: image.slice(offset, offset + 10_000)
}))

const Config = Schema.Struct({ type: Schema.Literal("test") })

const sourceOf = (traits: Traits) =>
  provider({
    type: sourceType("test", Config),
    operand: "NOTHING",
    parse: () => ({ type: "test" }),
    make: () => {
      const changes = traits.changes ?? Stream.fromIterable(writes)
      return Effect.succeed(Source.of({
        name: "test",
        check: traits.check ?? Effect.void,
        snapshot: () =>
          Effect.as(traits.take ?? Effect.void, {
            size: traits.size ?? image.length,
            content: {
              _tag: "Changes",
              since: () => Effect.succeed({ base: undefined, changes }),
              second: traits.second ?? { _tag: "Again", changes }
            },
            published: Effect.void
          })
      }))
    }
  })

const failuresOf = (subject: Omit<SourceContract.Subject, "image" | "config" | "machine">) =>
  Effect.map(
    Effect.forEach(
      SourceContract.cases({ ...subject, image, config: { type: "test" }, machine: SimulatedMachine.layer() }),
      ({ run }) => Effect.either(run)
    ),
    (results) => results.flatMap((result) => result._tag === "Left" ? [result.left.message] : [])
  )

const withFile = () => {
  const disk = MemoryDisk.make()
  disk.plantFile("/vm.img", image)
  return SimulatedMachine.layer({ disk })
}

const withCluster = () => {
  const rbd = MemoryRbd.make(4096)
  rbd.create("rbd/vm", image.length)
  rbd.write("rbd/vm", 0, image)
  return { rbd, machine: SimulatedMachine.layer({ rbd }) }
}

describe("the contract of sources", () => {
  for (
    const { name, run } of SourceContract.cases({
      provider: providerOf("file"),
      config: { type: "file", filename: "/vm.img" },
      image,
      machine: withFile(),
      missing: { machine: SimulatedMachine.layer() }
    })
  ) it.live(`a file: ${name}`, () => run)

  const { machine, rbd } = withCluster()
  for (
    const { name, run } of SourceContract.cases({
      provider: providerOf("ceph-rbd"),
      config: { type: "ceph-rbd", pool: "rbd", image: "vm" },
      image,
      machine,
      missing: { machine: SimulatedMachine.layer() }
    })
  ) {
    it.live(`an RBD image: ${name}`, () =>
      Effect.zipRight(Effect.sync(() => assert.strictEqual(rbd.opened.size, 0)), run))
  }

  it.live("a good source passes", () =>
    Effect.gen(function*() {
      const missing = { machine: SimulatedMachine.layer() }
      assert.deepStrictEqual(yield* failuresOf({ provider: sourceOf({}) }), [])
      const absent = yield* failuresOf({ provider: sourceOf({ check: notReady }), missing })
      assert.isFalse(absent.some((message) => message.startsWith("check says that there is no image")))
    }))

  const bad: ReadonlyArray<readonly [what: string, subject: () => Parameters<typeof failuresOf>[0], reason: RegExp]> = [
    ["says another size", () => ({ provider: sourceOf({ size: 30_000 }) }), /not 30000/],
    [
      "writes behind its end",
      () => ({
        provider: sourceOf({ changes: Stream.make({ _tag: "Write" as const, offset: 19_999, bytes: image }) })
      }),
      /lies outside of an image/
    ],
    [
      "leaves something out",
      () => ({ provider: sourceOf({ changes: Stream.fromIterable(writes.slice(1)) }) }),
      /other bytes/
    ],
    [
      "reads something else the second time",
      () => ({ provider: sourceOf({ second: { _tag: "Again", changes: Stream.fromIterable(writes.slice(1)) } }) }),
      /the second reading gives other bytes/
    ],
    [
      "gives short samples",
      () => ({
        provider: sourceOf({
          second: { _tag: "Samples", read: () => Effect.succeed(image.subarray(1)), older: () => Effect.succeedNone }
        })
      }),
      /a sample of 20000 bytes has 19999/
    ],
    [
      "keeps what it took",
      () => {
        const held: Array<string> = []
        return {
          provider: sourceOf({ take: Effect.sync(() => void held.push("a snapshot")) }),
          held: Effect.sync(() => held.splice(0))
        }
      },
      /it still holds a snapshot/
    ],
    [
      "keeps what it took when it is interrupted",
      () => {
        let holds = 0
        const taken = Effect.sync(() => void holds++)
        return {
          provider: sourceOf({
            take: Effect.zipRight(
              taken,
              Effect.addFinalizer((exit) => exit._tag === "Success" ? Effect.sync(() => void holds--) : Effect.void)
            )
          }),
          held: Effect.sync(() => {
            const held = holds > 0 ? ["a snapshot"] : []
            holds = 0
            return held
          })
        }
      },
      /an interrupt in the middle of the content .* it still holds a snapshot/
    ],
    [
      "never lets go",
      () => ({ provider: sourceOf({ take: Effect.addFinalizer(() => Effect.never) }), patience: "20 millis" }),
      /does not end within \d+ms/
    ],
    [
      "cannot be interrupted",
      () => ({
        provider: sourceOf({
          changes: Stream.concat(
            Stream.fromIterable(writes),
            Stream.fromEffect(Effect.uninterruptible(Effect.as(Effect.sleep("200 millis"), writes[0]!)))
          )
        }),
        patience: "20 millis"
      }),
      /does not end within \d+ms/
    ],
    [
      "ends in silence where it was cut",
      () => ({ provider: sourceOf({ changes: Stream.fromIterable(writes.slice(0, 1)) }), cut: {} }),
      /content that is cut fails: it never looks complete: it ended as if it were whole/
    ],
    [
      "checks nothing",
      () => ({ provider: sourceOf({}), missing: {} }),
      /check says that there is no image/
    ]
  ]
  for (const [what, subject, reason] of bad) {
    it.live(`finds a source that ${what}`, () =>
      Effect.map(failuresOf(subject()), (failures) => {
        assert.isTrue(failures.some((failure) => reason.test(failure)), failures.join("\n"))
      }))
  }
})
