/** What every layer of `Blocks` must do: the worker threads and the inline one, over real and simulated disks. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { Disk, Opened } from "../../../src/platform/Disk.ts"
import { portable, toHex } from "../../../src/platform/hash.ts"
import { Blocks } from "../../../src/store/Blocks.ts"
import * as ChunkFile from "../../../src/store/chunkFile.ts"
import { compress } from "../../../src/store/codec.ts"
import * as StoredId from "../../../src/store/storedId.ts"
import { bytesOf, listOf, remove, write } from "../diskFiles.ts"

/** A place to work in: an empty directory on a disk, and the layer that works on that disk. */
export interface Place {
  readonly disk: Disk
  readonly directory: string
  readonly layer: Layer.Layer<Blocks>
}

const CHUNK = 4096

/** A block of one repeated byte. */
const block = (byte: number, length = CHUNK): Uint8Array => new Uint8Array(length).fill(byte)

const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

const hexOf = (bytes: Uint8Array): string => toHex(portable(bytes))

const idsOf = (...blocks: ReadonlyArray<Uint8Array | null>): Uint8Array =>
  concat(...blocks.map((one) => one === null ? new Uint8Array(32) : portable(one)))

const noIds = (count: number): Uint8Array => new Uint8Array(count * 32)

interface World {
  readonly place: Place
  /** Opens a file until the test ends. */
  readonly open: (path: string, access: "read" | "write" | "read-write") => Opened
  readonly repository: string
  readonly source: string
  readonly chunkPath: (content: Uint8Array) => string
  readonly chunks: () => ReadonlyArray<string>
}

/** Runs the suite. `use` gives the test an empty place and takes it away again. */
export const blocksContract = (
  name: string,
  use: <E>(test: (place: Place) => Effect.Effect<void, E>) => Effect.Effect<void, E>
): void => {
  const inWorld = <E>(image: Uint8Array, test: (world: World) => Effect.Effect<void, E, Blocks>) =>
    use((place) => {
      const repository = `${place.directory}/repository`
      const source = `${place.directory}/image`
      place.disk.makeDirectory(repository, 0o750)
      place.disk.makeDirectory(`${repository}/chunks`, 0o750)
      write(place.disk, source, image)
      const descriptors: Array<number> = []
      return Effect.provide(
        test({
          place,
          open: (path, access) => {
            const descriptor = place.disk.open(path, { access })
            descriptors.push(descriptor)
            return { path, descriptor }
          },
          repository,
          source,
          chunkPath: (content) => ChunkFile.pathOf(repository, hexOf(content)),
          chunks: () =>
            listOf(place.disk, `${repository}/chunks`).flatMap((folder) =>
              listOf(place.disk, `${repository}/chunks/${folder}`)
            ).sort()
        }),
        place.layer
      ).pipe(Effect.ensuring(Effect.sync(() => descriptors.forEach((one) => place.disk.close(one)))))
    })

  const shape = ({ open, repository, source }: World, size: number, indexes: ReadonlyArray<number>) => ({
    repository,
    source: open(source, "read"),
    size,
    chunkSize: CHUNK,
    indexes
  })

  const storeAll = (world: World, image: Uint8Array, run = "run", base?: Uint8Array) => {
    const count = Math.ceil(image.length / CHUNK)
    return Effect.flatMap(Blocks, (blocks) =>
      blocks.store({
        ...shape(world, image.length, Array.from({ length: count }, (_, index) => index)),
        run,
        base: base ?? noIds(count)
      }))
  }

  describe(`Blocks: ${name}`, () => {
    const image = concat(block(1), block(0), block(2), block(1), block(3, 100))
    const ids = idsOf(block(1), null, block(2), block(1), block(3, 100))

    it.effect("stores each distinct block once, under the hash of its content, and no zeros", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const stored = yield* storeAll(world, image)
          assert.deepStrictEqual(Uint8Array.from(stored.ids), ids)
          assert.strictEqual(stored.holes, 1)
          assert.strictEqual(stored.written, 3)
          assert.strictEqual(stored.found, 1)
          assert.strictEqual(stored.writtenBytes, CHUNK * 2 + 100)
          assert.deepStrictEqual(
            world.chunks(),
            [block(1), block(2), block(3, 100)].map((content) => `${hexOf(content)}.chunk.zst`).sort()
          )
          assert.deepStrictEqual([...stored.folders].sort(), listOf(world.place.disk, `${world.repository}/chunks`))
        })))

    it.effect("takes blocks that the base has at the same place as they are", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const stored = yield* storeAll(world, image, "run", ids)
          assert.strictEqual(stored.unchanged, 4)
          assert.strictEqual(stored.written + stored.found, 0)
          assert.deepStrictEqual(world.chunks(), [])
        })))

    it.effect("reuses a chunk that an interrupted run left, and rewrites one that is torn", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image, "first")
          const torn = world.chunkPath(block(2))
          const whole = bytesOf(world.place.disk, torn)
          remove(world.place.disk, torn)
          write(world.place.disk, torn, whole.subarray(0, whole.length - 3))
          const again = yield* storeAll(world, image, "second")
          assert.strictEqual(again.written, 1)
          assert.strictEqual(again.found, 3)
          assert.deepStrictEqual(bytesOf(world.place.disk, torn), whole)
        })))

    it.effect("fails with SourceShrank when the source ends early, and leaves no temporary file", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(storeAll(world, concat(image, block(9))))
          assert.isTrue(Exit.isFailure(exit))
          if (Exit.isFailure(exit)) assert.include(String(exit.cause), "became shorter")
          assert.deepStrictEqual(world.chunks(), [])
        })))

    it.effect("fails with the path and errno when the source cannot be read", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const source = world.open(world.source, "write")
          const { store } = yield* Blocks
          const request = { ...shape(world, image.length, [0]), source, run: "run", base: noIds(1) }
          const error = yield* Effect.flip(store(request))
          assert.include(error.message, world.source)
          assert.include(error.message, "EBADF")
        })))

    it.effect("finds a stored image equal to its source", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const blocks = yield* Blocks
          const compared = yield* blocks.compare({
            ...shape(world, image.length, [0, 1, 2, 3, 4]),
            ids,
            evidence: 2
          })
          assert.deepStrictEqual(compared, { equal: image.length, differences: [], healed: [], folders: [] })
        })))

    it.effect("tells every block that differs, with evidence for as many as asked", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const changed = concat(block(7), block(8), block(2), block(1), block(4, 100))
          remove(world.place.disk, world.source)
          write(world.place.disk, world.source, changed)
          const blocks = yield* Blocks
          const { differences, equal } = yield* blocks.compare({
            ...shape(world, image.length, [0, 1, 2, 3, 4]),
            ids,
            evidence: 2
          })
          assert.strictEqual(equal, 2 * CHUNK)
          assert.deepStrictEqual(differences.map(({ index }) => index), [0, 1, 4])
          assert.deepStrictEqual(differences.map(({ source }) => source !== undefined), [true, true, false])
          assert.deepStrictEqual(Uint8Array.from(differences[0]?.source ?? []), block(7))
          assert.deepStrictEqual(Uint8Array.from(differences[0]?.stored ?? []), block(1))
          assert.strictEqual(differences[0]?.sourceHash, hexOf(block(7)))
          assert.strictEqual(differences[1]?.storedHash, null)
        })))

    it.effect("heals a swapped and a missing chunk while comparing, when the source still has their content", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const damaged = world.chunkPath(block(2))
          const whole = bytesOf(world.place.disk, damaged)
          remove(world.place.disk, damaged)
          write(world.place.disk, damaged, compress(block(5), 1))
          remove(world.place.disk, world.chunkPath(block(3, 100)))
          const blocks = yield* Blocks
          const compared = yield* blocks.compare({
            ...shape(world, image.length, [0, 1, 2, 3, 4]),
            ids,
            evidence: 0
          })
          assert.deepStrictEqual(compared.healed.map(({ id }) => id), [hexOf(block(2)), hexOf(block(3, 100))])
          assert.strictEqual(compared.equal, image.length)
          assert.deepStrictEqual(bytesOf(world.place.disk, damaged), whole)
        })))

    it.effect("heals given chunks only where the source has that very content", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const blocks = yield* Blocks
          const healed = yield* blocks.heal({
            ...shape(world, image.length + CHUNK, [0, 2, 5]),
            ids: idsOf(block(1), block(9), block(4))
          })
          assert.deepStrictEqual(healed.healed, [hexOf(block(1))])
          assert.deepStrictEqual(world.chunks(), [`${hexOf(block(1))}.chunk.zst`])
        })))

    it.effect("tells missing, damaged and swapped chunks, and counts the good bytes", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const disk = world.place.disk
          remove(disk, world.chunkPath(block(2)))
          const swapped = world.chunkPath(block(3, 100))
          remove(disk, swapped)
          write(disk, swapped, compress(block(4, 100), 1))
          const blocks = yield* Blocks
          const checked = yield* blocks.check({ ...shape(world, image.length, [0, 1, 2, 3, 4]), ids })
          assert.strictEqual(checked.good, 2 * CHUNK)
          assert.deepStrictEqual(checked.bad.map(({ index, state }) => ({ index, state })), [
            { index: 2, state: "missing" },
            { index: 4, state: "damaged" }
          ])
        })))

    it.effect("takes a file of another length, a bomb or garbage for damage", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const disk = world.place.disk
          const path = world.chunkPath(block(1))
          yield* storeAll(world, image)
          const blocks = yield* Blocks
          const good = bytesOf(disk, path)
          const bad = [
            new Uint8Array(0),
            block(1),
            compress(block(1, CHUNK - 1), 1),
            compress(block(1, 64 * 1024 * 1024), 1),
            concat(good, good),
            good.subarray(1),
            new Uint8Array(CHUNK + 70_000)
          ]
          for (const content of bad) {
            remove(disk, path)
            write(disk, path, content)
            const checked = yield* blocks.check({ ...shape(world, image.length, [0]), ids: idsOf(block(1)) })
            assert.deepStrictEqual(checked.bad.map(({ state }) => state), ["damaged"])
          }
        })))

    it.effect("confirms a second form of blocks only where it holds the same, holes and all", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const blocks = yield* Blocks
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), ids }
          const same = yield* blocks.confirm({ ...request, others: ids })
          assert.deepStrictEqual(same, { equal: image.length, different: [] })
          const others = idsOf(block(1), block(1), block(1), null, block(3, 100))
          const { different, equal } = yield* blocks.confirm({ ...request, others })
          assert.strictEqual(equal, CHUNK + 100)
          assert.deepStrictEqual(different.map(({ index }) => index), [1, 2, 3])
          remove(world.place.disk, world.chunkPath(block(2)))
          const lost = yield* blocks.confirm({ ...request, others: ids })
          assert.deepStrictEqual(lost.different.map(({ index, state }) => [index, state]), [[2, "missing"]])
        })))

    it.effect("restores blocks to their places and leaves or writes zeros as told", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const path = `${world.place.directory}/target`
          const blocks = yield* Blocks
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), ids }
          write(world.place.disk, path, new Uint8Array(image.length).fill(0xee))
          const target = world.open(path, "read-write")
          const skipped = yield* blocks.restore({ ...request, target, zeros: "skip" })
          assert.deepStrictEqual(skipped, { written: image.length - CHUNK, bad: [] })
          const expected = Uint8Array.from(image)
          expected.fill(0xee, CHUNK, 2 * CHUNK)
          assert.deepStrictEqual(bytesOf(world.place.disk, path), expected)
          const written = yield* blocks.restore({ ...request, target, zeros: "write" })
          assert.deepStrictEqual(written, { written: image.length, bad: [] })
          assert.deepStrictEqual(bytesOf(world.place.disk, path), image)
        })))

    it.effect("amends a target by what differs, and only tells it with dryRun", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const { disk, directory } = world.place
          const path = `${directory}/target`
          const blocks = yield* Blocks
          const request = {
            ...shape(world, image.length, [0, 1, 2, 3, 4]),
            ids,
            keep: 0,
            zeros: "write",
            lost: "keep"
          } as const
          const there = Uint8Array.from(image)
          there[1] = 0xee
          there[CHUNK + 1] = 0xee
          there[3 * CHUNK] = 0xee
          write(disk, path, there)
          const target = world.open(path, "read-write")
          const plan = yield* blocks.amend({ ...request, target, dryRun: true })
          assert.deepStrictEqual(plan.differing, [0, 1, 3])
          assert.deepStrictEqual([plan.cleared, plan.bad], [0, []])
          assert.deepStrictEqual(bytesOf(disk, path), there)
          const kept = yield* blocks.amend({ ...request, target, dryRun: false, keep: 2 })
          assert.deepStrictEqual(kept.differing, [1, 3])
          assert.strictEqual(bytesOf(disk, path)[1], 0xee)
          const rest = yield* blocks.amend({ ...request, target, dryRun: false })
          assert.deepStrictEqual(rest.differing, [0])
          assert.strictEqual(kept.written + rest.written, plan.written)
          assert.deepStrictEqual(bytesOf(disk, path), image)
          const none = yield* blocks.amend({ ...request, target, dryRun: false })
          assert.deepStrictEqual(none, { differing: [], written: 0, cleared: 0, bad: [] })
        })))

    it.effect("amends without a chunk that the target has, and clears what is lost only when told to", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          const { disk, directory } = world.place
          const path = `${directory}/target`
          const blocks = yield* Blocks
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), ids, keep: 0, zeros: "punch" } as const
          remove(disk, world.chunkPath(block(1)))
          remove(disk, world.chunkPath(block(2)))
          const there = Uint8Array.from(image)
          there[2 * CHUNK] = 0xee
          write(disk, path, there)
          const target = world.open(path, "read-write")
          const kept = yield* blocks.amend({ ...request, target, dryRun: false, lost: "keep" })
          assert.deepStrictEqual([kept.differing, kept.bad.map(({ index }) => index)], [[], [2]])
          assert.deepStrictEqual(bytesOf(disk, path), there)
          const cleared = yield* blocks.amend({ ...request, target, dryRun: false, lost: "clear" })
          assert.deepStrictEqual([cleared.differing, cleared.bad.map(({ index }) => index)], [[2], [2]])
          there.fill(0, 2 * CHUNK, 3 * CHUNK)
          assert.deepStrictEqual(bytesOf(disk, path), there)
        })))

    it.effect("works on the files that were opened, whatever takes their names meanwhile", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const { disk } = world.place
          const blocks = yield* Blocks
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), ids }
          disk.rename(world.source, `${world.source}.moved`)
          write(disk, world.source, new Uint8Array(image.length).fill(0xaa))
          const stored = yield* blocks.store({ ...request, run: "run", base: noIds(5) })
          assert.deepStrictEqual(Uint8Array.from(stored.ids), ids)
          assert.deepStrictEqual((yield* blocks.compare({ ...request, evidence: 0 })).differences, [])
          const path = `${world.place.directory}/target`
          write(disk, path, new Uint8Array(image.length))
          const target = world.open(path, "read-write")
          disk.rename(path, `${path}.moved`)
          write(disk, path, new Uint8Array(image.length).fill(0xbb))
          yield* blocks.restore({ ...request, target, zeros: "write" })
          assert.deepStrictEqual(bytesOf(disk, `${path}.moved`), image)
          assert.isTrue(bytesOf(disk, path).every((byte) => byte === 0xbb))
          yield* blocks.fill({ ...request, target, base: noIds(5) })
          assert.deepStrictEqual(bytesOf(disk, `${path}.moved`), image)
          assert.isTrue(bytesOf(disk, path).every((byte) => byte === 0xbb))
        })))

    it.effect("restores all but the bad chunks and tells which those are", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          yield* storeAll(world, image)
          remove(world.place.disk, world.chunkPath(block(2)))
          const blocks = yield* Blocks
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), ids }
          const read = yield* blocks.read(request)
          const expected = Uint8Array.from(image)
          expected.fill(0, 2 * CHUNK, 3 * CHUNK)
          assert.deepStrictEqual(Uint8Array.from(read.bytes), expected)
          assert.deepStrictEqual(read.bad.map(({ index }) => index), [2])
        })))

    /** As an image file without hashes has them: of each block only that it is there. */
    const unknown = (count: number): Uint8Array => {
      const packed = noIds(count)
      for (let at = 0; at < count; at++) StoredId.setUnknown(packed, at)
      return packed
    }

    for (
      const [what, base] of [["with", idsOf(block(1), block(4), block(2), block(1), block(5, 100))], [
        "without",
        unknown(5)
      ]] as const
    ) {
      it.effect(`brings a copy of a base ${what} hashes up to date, and writes no more than it must`, () =>
        inWorld(image, (world) =>
          Effect.gen(function*() {
            const path = `${world.place.directory}/copy`
            write(world.place.disk, path, concat(block(1), block(4), block(2), block(1), block(5, 100)))
            const blocks = yield* Blocks
            const target = world.open(path, "read-write")
            const filled = yield* blocks.fill({ ...shape(world, image.length, [0, 1, 2, 3, 4]), target, base })
            assert.deepStrictEqual(bytesOf(world.place.disk, path), image)
            assert.deepStrictEqual(Uint8Array.from(filled.ids), ids)
            assert.deepStrictEqual([filled.unchanged, filled.holes, filled.written], [3, 1, 1])
          })))
    }

    it.effect("compares an image file with the source, and writes a block anew only where that has its very content", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const file = `${world.place.directory}/copy`
          // block 0 is damaged, and so is block 2, of which the source now has something else; so has it of 1 and 3
          const kept = concat(block(9), block(0), block(9), block(1), block(3, 100))
          write(world.place.disk, file, kept)
          remove(world.place.disk, world.source)
          write(world.place.disk, world.source, concat(block(1), block(7), block(8), block(6), block(3, 100)))
          const { compare } = yield* Blocks
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), ids, image: file, evidence: 0 }
          const { differences, equal, healed } = yield* compare(request)
          assert.deepStrictEqual(differences.map(({ index }) => index), [1, 2, 3])
          assert.deepStrictEqual(healed.map(({ id }) => id), [hexOf(block(1))])
          assert.strictEqual(equal, CHUNK + 100)
          assert.deepStrictEqual(bytesOf(world.place.disk, file), concat(block(1), kept.subarray(CHUNK)))
        })))

    it.effect("takes an image file that is cut off for damaged, also where it has no hashes", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const file = `${world.place.directory}/copy`
          write(world.place.disk, file, image.subarray(0, 3 * CHUNK + 7))
          const request = { ...shape(world, image.length, [0, 1, 2, 3, 4]), image: file }
          const blocks = yield* Blocks
          for (const given of [ids, unknown(5)]) {
            const { bad } = yield* blocks.check({ ...request, ids: given })
            assert.deepStrictEqual(bad.map(({ index, state, why }) => [index, state, why]), [
              [3, "damaged", "is cut off after 7 bytes"],
              [4, "damaged", "is cut off after 0 bytes"]
            ])
          }
        })))

    it.effect("puts one chunk", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const blocks = yield* Blocks
          const first = yield* blocks.put({ repository: world.repository, run: "a", content: block(6) })
          assert.deepStrictEqual(Uint8Array.from(first.ids), idsOf(block(6)))
          assert.strictEqual(first.written, 1)
          const again = yield* blocks.put({ repository: world.repository, run: "b", content: block(6) })
          assert.strictEqual(again.found, 1)
        })))

    it.effect("takes the content away that it is to put, and leaves alone what is only a part of something", () =>
      inWorld(image, (world) =>
        Effect.gen(function*() {
          const blocks = yield* Blocks
          const put = (content: Uint8Array) => blocks.put({ repository: world.repository, run: "a", content })
          const given = new Uint8Array(512 * 1024).fill(1)
          assert.strictEqual((yield* put(given)).written, 1)
          assert.strictEqual(given.byteLength, 0)
          const all = new Uint8Array(2048).fill(2)
          assert.strictEqual((yield* put(all.subarray(0, 1024))).written, 1)
          assert.strictEqual(all.byteLength, 2048)
        })))

    it.effect("removes files and tells how long they were, or only tells; no folder goes", () =>
      inWorld(image, ({ place: { disk }, repository }) =>
        Effect.gen(function*() {
          const blocks = yield* Blocks
          for (const [name, length] of [["a", 10], ["b", 0], ["c", 300]] as const) {
            write(disk, `${repository}/${name}`, block(1, length))
          }
          const request = { repository, files: ["a", "b", "not/there", "nor here"] }
          assert.deepStrictEqual(yield* blocks.remove({ ...request, dryRun: true }), { bytes: 10 })
          assert.deepStrictEqual(listOf(disk, repository), ["a", "b", "c", "chunks"])
          assert.deepStrictEqual(yield* blocks.remove({ ...request, dryRun: false }), { bytes: 10 })
          assert.deepStrictEqual(yield* blocks.remove({ ...request, dryRun: false }), { bytes: 0 })
          assert.deepStrictEqual(listOf(disk, repository), ["c", "chunks"])
          const error = yield* Effect.flip(blocks.remove({ repository, files: ["chunks", "c"], dryRun: false }))
          assert.strictEqual(error.path, `${repository}/chunks`)
          assert.deepStrictEqual(listOf(disk, repository), ["c", "chunks"])
        })))
  })
}
