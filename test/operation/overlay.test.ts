/** What clients write to a revision: into a file beside it, durable when they say so, whatever happens meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import type * as Layer from "effect/Layer"
import type { RevisionId } from "../../src/domain/RevisionId.ts"
import { type Export, Fault, type Writer } from "../../src/nbd/Export.ts"
import * as Protocol from "../../src/nbd/protocol.ts"
import * as Overlay from "../../src/operation/nbd/Overlay.ts"
import * as OverlayFile from "../../src/operation/nbd/overlayFile.ts"
import { serve } from "../../src/operation/nbd/serve.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as Choices from "../../src/platform/MemoryChoices.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as MemoryListener from "../support/memoryListener.ts"
import { make as makeClient } from "../support/nbdClient.ts"
import { CHUNK, layerOn, makeDisk, REPOSITORY, setFile } from "../support/World.ts"
import { backupOf, blocks, failureOf, failWhere, filesBelow, flipBit, heal, inScene, join, tamper } from "./scenario.ts"

const BLOCK = 16
const UNIT = 64
const SIZE = 5 * UNIT + 7
const PATH = "/restore/overlay"
const revision = "KDYVkEfuhFx5cpRJDZbZGm" as RevisionId
const identity = { revision, size: SIZE, block: BLOCK }

/** The disk below: every third unit is a hole. */
const isHole = (at: number): boolean => Math.floor(at / UNIT) % 3 === 1
const original = Uint8Array.from({ length: SIZE }, (_, at) => isHole(at) ? 0 : 1 + at % 100)

const parts = (offset: number, length: number) => {
  const found = []
  for (let at = offset; at < offset + length;) {
    const stop = Math.min(offset + length, (Math.floor(at / UNIT) + 1) * UNIT)
    found.push({ at, length: stop - at })
    at = stop
  }
  return found
}

const below = (isBad: (at: number) => boolean = () => false): Export => ({
  name: revision,
  description: "",
  size: SIZE,
  unit: UNIT,
  writer: undefined,
  read: (offset, length) =>
    parts(offset, length).some(({ at }) => isBad(at))
      ? new Fault({ code: "EIO", reason: "damaged" })
      : Effect.succeed(
        parts(offset, length).map(({ at, length }) => ({
          length,
          bytes: isHole(at) ? undefined : original.subarray(at, at + length)
        }))
      ),
  allocations: (offset, length, most) =>
    parts(offset, length).slice(0, most).map(({ at, length }) => ({ length, data: !isHole(at) }))
})

const opened = (base: Export = below()) =>
  Effect.flatMap(OverlayFile.open(PATH, identity), (file) => Overlay.make(base, file, BLOCK))

const writerOf = ({ writer }: Export): Writer => {
  if (writer === undefined) throw new Error("it cannot be written to")
  return writer
}

const contentOf = (disk: Export, offset = 0, length = SIZE) =>
  Effect.map(
    disk.read(offset, length),
    (pieces) => Uint8Array.from(Buffer.concat(pieces.map(({ bytes, length }) => bytes ?? new Uint8Array(length))))
  )

/** What a client may do. */
type Step =
  | {
    readonly _tag: "write" | "trim" | "fill"
    readonly offset: number
    readonly length: number
    readonly byte: number
  }
  | { readonly _tag: "flush" | "reopen" }

const range = FastCheck.tuple(
  FastCheck.nat(SIZE - 1),
  FastCheck.integer({ min: 1, max: 100 }),
  FastCheck.integer({
    min: 101,
    max: 255
  })
)
const change = (_tag: "write" | "trim" | "fill") =>
  range.map(([offset, length, byte]): Step => ({ _tag, offset, length: Math.min(length, SIZE - offset), byte }))
const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  { weight: 4, arbitrary: change("write") },
  { weight: 2, arbitrary: change("trim") },
  { weight: 1, arbitrary: change("fill") },
  { weight: 2, arbitrary: FastCheck.constant<Step>({ _tag: "flush" }) },
  { weight: 1, arbitrary: FastCheck.constant<Step>({ _tag: "reopen" }) }
)

const perform = (writer: Writer, step: Step): Effect.Effect<void, Fault> => {
  switch (step._tag) {
    case "write":
      return writer.write(step.offset, new Uint8Array(step.length).fill(step.byte))
    case "trim":
    case "fill":
      return writer.zero(step.offset, step.length, { hole: step._tag === "trim" })
    case "flush":
      return writer.flush
    case "reopen":
      return Effect.void
  }
}

const applied = (content: Uint8Array, step: Step): Uint8Array =>
  "offset" in step
    ? Uint8Array.from(content).fill(step._tag === "write" ? step.byte : 0, step.offset, step.offset + step.length)
    : content

const run = <A, E>(memory: MemoryDisk, effect: Effect.Effect<A, E, Layer.Layer.Success<ReturnType<typeof layerOn>>>) =>
  Effect.runSync(Effect.provide(effect, layerOn(memory.disk)))

/** A history in sessions, each of which opens the overlay anew. */
const sessions = (steps: ReadonlyArray<Step>): ReadonlyArray<ReadonlyArray<Step>> =>
  steps.reduce<Array<Array<Step>>>(
    (all, step) => {
      if (step._tag === "reopen") all.push([])
      else all.at(-1)?.push(step)
      return all
    },
    [[]]
  )

describe("an overlay", () => {
  it("reads as what was written, and the disk below stays", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 12 }), range, (steps, [from, some]) => {
        const memory = makeDisk()
        let wanted: Uint8Array = original
        for (const session of sessions(steps)) {
          const found = run(
            memory,
            Effect.scoped(Effect.gen(function*() {
              const disk = yield* opened()
              const before = yield* contentOf(disk)
              for (const one of session) yield* perform(writerOf(disk), one)
              yield* writerOf(disk).flush
              const length = Math.min(some, SIZE - from)
              const extents = disk.allocations(0, SIZE, 100)
              return { before, after: yield* contentOf(disk), part: yield* contentOf(disk, from, length), extents }
            }))
          )
          assert.deepStrictEqual(found.before, wanted)
          wanted = session.reduce(applied, wanted)
          assert.deepStrictEqual(found.after, wanted)
          assert.deepStrictEqual(found.part, wanted.subarray(from, from + found.part.length))
          // what is told to be a hole reads as zeros
          let at = 0
          for (const { data, length } of found.extents) {
            if (!data) assert.isTrue(wanted.subarray(at, at + length).every((byte) => byte === 0))
            at += length
          }
          assert.strictEqual(at, SIZE)
        }
        assert.deepStrictEqual(original, Uint8Array.from({ length: SIZE }, (_, at) => isHole(at) ? 0 : 1 + at % 100))
      }),
      { numRuns: 100 }
    )
  })

  it("has after a power loss what was flushed, and of later writes each or not", () => {
    let states = 0
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { minLength: 1, maxLength: 6 }), FastCheck.nat(), (steps, seed) => {
        const memory = makeDisk()
        /** For each byte, what it may be after a power loss at this moment. */
        let durable: Uint8Array = original
        let later: ReadonlyArray<Step> = []
        let current: Uint8Array = original
        const moments: Array<{ readonly disk: MemoryDisk; readonly may: (at: number) => ReadonlySet<number> }> = []
        memory.onOperation = (_, name) => {
          if (name === "read" || name === "stat" || name === "lstat" || name === "close") return
          const [flushed, since] = [durable, later]
          moments.push({
            disk: memory.clone(),
            may: (at) =>
              new Set([
                flushed[at] ?? -1,
                ...since.flatMap((one) =>
                  "offset" in one && at >= one.offset && at < one.offset + one.length
                    // the simulated disk also fills with zeros what it loses
                    ? [one._tag === "write" ? one.byte : 0, 0]
                    : []
                )
              ])
          })
        }
        for (const session of sessions(steps)) {
          run(
            memory,
            Effect.scoped(Effect.gen(function*() {
              const writer = writerOf(yield* opened())
              for (const one of [...session, { _tag: "flush" } satisfies Step]) {
                later = [...later, one]
                current = applied(current, one)
                yield* perform(writer, one)
                if (one._tag === "flush") [durable, later] = [current, []]
              }
            }))
          )
        }
        memory.onOperation = undefined
        for (const { disk, may } of moments) {
          const survivors = Choices.someChoices((choose) => disk.crash(choose), { limit: 8, seed })
          for (let next = survivors.next(); next.done !== true; next = survivors.next()) {
            states++
            const after = run(next.value, Effect.scoped(Effect.flatMap(opened(), (disk) => contentOf(disk))))
            after.forEach((byte, at) => {
              if (!may(at).has(byte)) assert.fail(`byte ${at} is ${byte}, and may be ${[...may(at)].join()}`)
            })
          }
        }
      }),
      { numRuns: 20 }
    )
    assert.isAbove(states, 800)
  })

  const refuses = (what: string, reason: RegExp, prepare: (memory: MemoryDisk) => void, path = PATH) =>
    it(`refuses ${what}`, () => {
      const memory = makeDisk()
      prepare(memory)
      const error = run(memory, Effect.flip(Effect.scoped(OverlayFile.open(path, identity))))
      assert.match(error.message, reason)
    })
  const made = (memory: MemoryDisk, other: Partial<OverlayFile.Identity> = {}) => {
    run(memory, Effect.scoped(Effect.flatMap(OverlayFile.open(PATH, { ...identity, ...other }), () => Effect.void)))
    return memory.bytesAt(PATH)
  }

  refuses(
    "the overlay of another revision",
    /belongs to revision 2fPLBTWvC1UuvUdQz4qKqH, not to KDYVkEfuhFx5/,
    (memory) => made(memory, { revision: "2fPLBTWvC1UuvUdQz4qKqH" as RevisionId })
  )
  refuses("the overlay of an image of another size", /made for another size/, (memory) => made(memory, { size: 100 }))
  refuses("a file that is something else", /holds something else/, ({ disk }) => setFile(disk, PATH, Uint8Array.of(1)))
  refuses("a directory", /it is a directory/, ({ disk }) => disk.makeDirectory(PATH, 0o700))
  refuses("a map with what no map holds", /its block map is damaged/, (memory) => {
    const bytes = made(memory)
    bytes[4096 + 3] = 9
    memory.plantFile(PATH, bytes, 0o600)
  })
  refuses("a directory that is not there", /there is no directory \/nowhere/, () => {}, "/nowhere/overlay")
  refuses("a place within the repository", /lies within the repository/, () => {}, `${REPOSITORY}/overlay`)
  refuses("a link out of nowhere into the repository", /lies within the repository/, (memory) => {
    setFile(memory.disk, `${REPOSITORY}/x`, new Uint8Array(0))
    memory.plantLink(`${REPOSITORY}/x`, PATH)
  })

  it("refuses to share", () => {
    const memory = makeDisk()
    const layer = layerOn(memory.disk, FileLock.makeTable())
    const both = Effect.zipRight(opened(), Effect.flip(Effect.scoped(opened())))
    const error = Effect.runSync(Effect.provide(Effect.scoped(both), layer))
    assert.strictEqual(error._tag, "LockHeld")
  })

  it("takes an empty file for a new one", () => {
    const memory = makeDisk()
    setFile(memory.disk, PATH, new Uint8Array(0))
    assert.deepStrictEqual(run(memory, Effect.scoped(Effect.flatMap(opened(), (disk) => contentOf(disk)))), original)
  })

  it("heals what is damaged below only where all of it is written", () => {
    run(
      makeDisk(),
      Effect.scoped(Effect.gen(function*() {
        const disk = yield* opened(below((at) => at < UNIT))
        const writer = writerOf(disk)
        assert.strictEqual((yield* Effect.flip(writer.write(3, Uint8Array.of(1)))).code, "EIO")
        assert.strictEqual((yield* Effect.flip(contentOf(disk, 0, 1))).code, "EIO")
        yield* writer.write(0, new Uint8Array(BLOCK).fill(200))
        assert.deepStrictEqual(yield* contentOf(disk, 3, 2), Uint8Array.of(200, 200))
      }))
    )
  })

  it("says that the disk is full, and goes on when it is not any more", () => {
    const memory = makeDisk()
    run(
      memory,
      Effect.scoped(Effect.gen(function*() {
        const disk = yield* opened()
        const writer = writerOf(disk)
        failWhere({ memory }, (name) => name === "write" ? "ENOSPC" : undefined)
        assert.strictEqual((yield* Effect.flip(writer.write(3, Uint8Array.of(1)))).code, "ENOSPC")
        heal({ memory })
        assert.deepStrictEqual(yield* contentOf(disk), original)
        yield* writer.write(3, Uint8Array.of(1))
        yield* writer.flush
      }))
    )
  })

  it("is not believed any more once a flush has failed", () => {
    const memory = makeDisk()
    run(
      memory,
      Effect.scoped(Effect.gen(function*() {
        const writer = writerOf(yield* opened())
        yield* writer.write(3, Uint8Array.of(1))
        failWhere({ memory }, (name) => name === "datasync" ? "EIO" : undefined)
        assert.strictEqual((yield* Effect.flip(writer.flush)).code, "EIO")
        heal({ memory })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(writer.flush)))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(writer.write(3, Uint8Array.of(1)))))
      }))
    )
  })
})

describe("serving with an overlay", () => {
  const { COMMAND, COMMAND_FLAG: FLAG, ERROR } = Protocol
  const image = join(blocks(1, 0, 3), Uint8Array.of(7, 8))

  it.effect("writes, flushes, trims and zeroes, and changes nothing but the overlay", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const before = filesBelow(scene).filter((name) => !name.startsWith(".")).map((name) =>
          [name, Buffer.from(scene.memory.bytesAt(`${REPOSITORY}/${name}`)).toString("hex")].join()
        )
        const session = Effect.gen(function*() {
          const listener = yield* MemoryListener.make
          const options = {
            revision: "latest",
            address: { _tag: "Unix", path: "/x" },
            overlay: PATH,
            wait: Duration.zero
          } as const
          yield* Effect.provide(serve(options), listener.layer)
          const client = makeClient(yield* listener.connect)
          return { client, told: yield* client.go() }
        })
        let wanted = Uint8Array.from(image)
        yield* Effect.scoped(Effect.gen(function*() {
          const { client, told } = yield* session
          const { canMultiConn, readOnly, sendFlush, sendFua, sendTrim, sendWriteZeroes } = Protocol.EXPORT_FLAG
          assert.strictEqual(told.flags & (readOnly | canMultiConn), 0)
          const writing = sendFlush | sendFua | sendTrim | sendWriteZeroes
          assert.strictEqual(told.flags & writing, writing)
          const well = (command: number, offset: number, length: number, more = {}) =>
            Effect.map(client.request(command, offset, length, more), ({ error }) => assert.strictEqual(error, 0))
          yield* well(COMMAND.write, CHUNK - 5, 10, { payload: new Uint8Array(10).fill(9) })
          wanted.fill(9, CHUNK - 5, CHUNK + 5)
          yield* well(COMMAND.write, image.length - 1, 1, { payload: Uint8Array.of(5), flags: FLAG.fua })
          wanted.fill(5, image.length - 1)
          yield* well(COMMAND.writeZeroes, 10, 90, { flags: FLAG.noHole })
          yield* well(COMMAND.trim, 200, 50)
          wanted = wanted.fill(0, 10, 100).fill(0, 200, 250)
          yield* well(COMMAND.flush, 0, 0)
          for (
            const [command, offset, length, error] of [
              [COMMAND.write, image.length, 1, ERROR.ENOSPC],
              [COMMAND.write, image.length - 1, 2, ERROR.ENOSPC],
              [COMMAND.writeZeroes, image.length, 2 ** 32 - 1, ERROR.ENOSPC],
              [COMMAND.trim, image.length, 1, ERROR.EINVAL],
              [COMMAND.write, 0, 0, ERROR.EINVAL],
              [COMMAND.flush, 1, 0, ERROR.EINVAL]
            ] as const
          ) {
            const payload = new Uint8Array(command === COMMAND.write ? length : 0)
            assert.strictEqual((yield* client.request(command, offset, length, { payload })).error, error)
          }
          assert.deepStrictEqual(Uint8Array.from((yield* client.read(0, image.length)).bytes), wanted)
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          const { client } = yield* session
          assert.deepStrictEqual(Uint8Array.from((yield* client.read(0, image.length)).bytes), wanted)
        }))
        const after = filesBelow(scene).filter((name) => !name.startsWith(".")).map((name) =>
          [name, Buffer.from(scene.memory.bytesAt(`${REPOSITORY}/${name}`)).toString("hex")].join()
        )
        assert.deepStrictEqual(after, before)
      })
    ))

  it.effect("of one revision does not serve another", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const listener = yield* MemoryListener.make
        const serving = (revision: string) =>
          Effect.scoped(serve({ revision, address: { _tag: "Unix", path: "/x" }, overlay: PATH, wait: Duration.zero }))
            .pipe(
              Effect.provide(listener.layer)
            )
        yield* backupOf(scene, image)
        yield* serving("latest")
        yield* backupOf(scene, image)
        assert.strictEqual((yield* failureOf(serving("latest")))._tag, "OverlayRefused")
        yield* serving("1")
        tamper(scene, PATH, (bytes) => flipBit(bytes.subarray(0, 40)))
        assert.strictEqual((yield* failureOf(serving("1")))._tag, "OverlayRefused")
      })
    ))
})
