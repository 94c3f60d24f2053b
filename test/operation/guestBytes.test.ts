/** The first bytes of an image are a guest's, who may write there what looks like a file of ours. */
import { assert, describe, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { START } from "../../src/library/Simulation.ts"
import { find } from "../../src/operation/find.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { portable, toHex } from "../../src/platform/hash.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as MapFile from "../../src/repository/mapFile.ts"
import * as Trailer from "../../src/store/chunkTrailer.ts"
import { addChunks } from "../support/legacyRevision.ts"
import { legacyImage } from "../support/lzoEncoder.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"
import { IMAGE, makeDisk, REPOSITORY, setFile } from "../support/World.ts"

const machine = Machine.make()
const { wait } = Scenarios
const textOf = (text: string): Uint8Array => new TextEncoder().encode(text)

let seed = 0
const run = <A, E>(disk: MemoryDisk, operation: Effect.Effect<A, E, Machine.Services>): Exit.Exit<A, E> =>
  machine.run(disk, operation, { seed: ++seed, start: START + seed * 86_400_000 })

const ends = <A, E>(disk: MemoryDisk, operation: Effect.Effect<A, E, Machine.Services>, what: string): A => {
  const exit = run(disk, operation)
  if (Exit.isFailure(exit)) throw new Error(`${what}: ${exit.cause.toString()}`)
  return exit.value
}

const SIZE = 3 * Machine.BLOCK
const padded = (begin: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(SIZE).fill(7)
  bytes.set(begin.subarray(0, SIZE))
  return bytes
}

const { chunks, map: legacyMap } = legacyImage(new Uint8Array(100).fill(3))
const own = ChunkMap.empty(Machine.BLOCK, Machine.BLOCK)
ChunkMap.setIds(own, 0, portable(new Uint8Array(Machine.BLOCK).fill(9)))

/** What a guest writes; the last are whole files, as long as the image. */
const images: Record<string, Uint8Array> = {
  "a map's first line": padded(textOf("backy-map 4\n")),
  "a map's header": padded(textOf("backy-map 4\nsize 512\nchunk-size 512\n-\n")),
  "a map of an alpha": padded(textOf("backy-map 3\nsize 0\nchunk-size 512\n")),
  "the first bytes of a map of 2.5": padded(textOf("{\"")),
  "most of a map of 2.5": padded(textOf(legacyMap.slice(0, -5))),
  "a trailer": padded(Trailer.encode(portable, toHex(portable(new Uint8Array(1))), new Uint8Array(9))),
  "a whole map of ours": MapFile.encode(own)
}

/** An image of backy 2.5 with these bytes. */
const asRaw = (content: Uint8Array): MemoryDisk => {
  const memory = makeDisk()
  const id = "QwA2a9XWGvjB3h5AQdR4WW"
  addChunks(memory.disk, chunks)
  setFile(memory.disk, `${REPOSITORY}/${id}`, content)
  setFile(
    memory.disk,
    `${REPOSITORY}/${id}.rev`,
    textOf(
      "backend_type: cowfile\nparent: ''\nstats:\n  bytes_written: 1\n  duration: 0.5\ntags:\n- daily\n" +
        `timestamp: 2025-03-02 02:10:00+00:00\ntrust: trusted\nuuid: ${id}\n`
    )
  )
  setFile(memory.disk, IMAGE, content)
  memory.syncAll()
  return memory
}

const asCow = (content: Uint8Array): MemoryDisk => {
  const memory = makeDisk()
  setFile(memory.disk, IMAGE, content)
  ends(memory, Scenarios.cow, "backup")
  return memory
}

const asChunks = (content: Uint8Array): MemoryDisk => {
  const memory = makeDisk()
  setFile(memory.disk, IMAGE, content)
  ends(memory, Scenarios.backup, "backup")
  return memory
}

/** What is there restores to the image's bytes. */
const restores = (disk: MemoryDisk, content: Uint8Array, what: string): void => {
  const copy = disk.clone()
  ends(copy, Scenarios.restoreTo("/restore/x"), what)
  assert.isTrue(Buffer.compare(copy.bytesAt("/restore/x"), content) === 0, `${what}: other bytes`)
}

for (
  const [kind, make] of Object.entries({
    "an image of ours": asCow,
    "an image of backy 2.5": asRaw,
    "chunks": asChunks
  })
) {
  describe(`a guest that wrote to its disk, kept as ${kind},`, () => {
    for (const [name, content] of Object.entries(images)) {
      it(`${name} gets its bytes back, through every command`, () => {
        const disk = make(content)
        restores(disk, content, "at first")
        ends(disk, Scenarios.verifyAll, "verify")
        restores(disk, content, "verify")
        ends(disk, Scenarios.purge, "purge")
        restores(disk, content, "purge")
        const chunkFiles = Survey.take(disk).chunks.size
        const upgraded = disk.clone()
        ends(upgraded, upgrade({ dryRun: false, force: false, backend: "chunked", wait }), "upgrade")
        restores(upgraded, content, "upgrade")
        ends(disk, kind === "chunks" ? Scenarios.backup : Scenarios.cow, "the next backup")
        restores(disk, content, "the next backup")
        ends(disk, Scenarios.purge, "the next purge")
        restores(disk, content, "the next purge")
        assert.isAtLeast(Survey.take(disk).chunks.size, kind === "an image of backy 2.5" ? 0 : chunkFiles)
        assert.strictEqual(ends(disk, find("all"), "find").length, 2)
      })
    }
  })
}

describe("an image of backy 2.5 that begins as a map of it", () => {
  it("keeps all chunks of 2.5 from purge where it cannot be read as one, and says which revision it is", () => {
    const disk = asRaw(images["most of a map of 2.5"] ?? new Uint8Array(0))
    const report = ends(disk, Scenarios.purge, "purge")
    assert.include(report.legacyKept, "QwA2a9XWGvjB3h5AQdR4WW")
    assert.strictEqual(report.chunks, 0)
    assert.isAbove(Survey.take(disk).chunks.size, 0)
    // one that begins with anything else keeps none
    const other = asRaw(padded(textOf("MBR")))
    assert.strictEqual(ends(other, Scenarios.purge, "purge").legacyKept, undefined)
    assert.strictEqual(Survey.take(other).chunks.size, 0)
  })

  it("is converted, as 2.5 would, where it is a whole map: 2.5 was interrupted when it had made it", () => {
    const disk = asRaw(textOf(legacyMap))
    ends(disk, Scenarios.restoreTo("/restore/x"), "restore")
    assert.deepStrictEqual(disk.bytesAt("/restore/x"), new Uint8Array(100).fill(3))
  })
})
