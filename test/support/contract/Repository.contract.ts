/** What a repository must do, on whatever disk it lies. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as ChunkMap from "../../../src/domain/ChunkMap.ts"
import * as Revision from "../../../src/domain/Revision.ts"
import type { Disk } from "../../../src/platform/Disk.ts"
import { Repository } from "../../../src/repository/Repository.ts"
import { bytesOf, listOf, remove, write } from "../diskFiles.ts"

/** A directory with a `config`, and the disk on which it lies. */
export interface Place {
  readonly disk: Disk
  readonly directory: string
}

/** The nth of some revisions, complete unless said otherwise. */
export const revision = (n: number, fields: { readonly complete?: boolean; readonly mapDigest?: string } = {}) =>
  Revision.make({
    id: Revision.fromRandom(new Uint8Array(16).fill(n)),
    backendType: "chunked-v4",
    timestamp: DateTime.unsafeMake(Date.UTC(2026, 0, n)),
    parent: null,
    tags: ["daily"],
    trust: "trusted",
    ...fields.complete === false
      ? { stats: {} }
      : { stats: { duration: 1.5 }, size: 3 * 4096 - 1, mapDigest: fields.mapDigest ?? "ab".repeat(32) }
  })

const map = (): ChunkMap.ChunkMap => {
  const made = ChunkMap.empty(3 * 4096 - 1, 4096)
  ChunkMap.setIds(made, 0, new Uint8Array(32).fill(0xab))
  ChunkMap.setIds(made, 2, new Uint8Array(32).fill(0xcd))
  return made
}

/** Runs the suite. `use` gives the test an empty repository. */
export const repositoryContract = (
  name: string,
  use: <E>(test: (place: Place) => Effect.Effect<void, E, Repository>) => Effect.Effect<void, E>
): void => {
  const inRepository = <E>(test: (repository: Repository["Type"], place: Place) => Effect.Effect<void, E>) =>
    use((place) => Effect.flatMap(Repository, (repository) => test(repository, place)))

  /** Puts other bytes in a file's place. */
  const replace = ({ directory, disk }: Place, file: string, bytes: Uint8Array) => {
    remove(disk, `${directory}/${file}`)
    write(disk, `${directory}/${file}`, bytes)
  }

  describe(`Repository: ${name}`, () => {
    it.effect("has no history at first", () =>
      inRepository((repository) =>
        Effect.gen(function*() {
          yield* repository.check
          assert.deepStrictEqual(yield* repository.history, { complete: [], incomplete: [], broken: [] })
          assert.deepStrictEqual(yield* repository.mapIds, [])
        })
      ))

    it.effect("is none without a config and without revisions", () =>
      inRepository((repository, place) =>
        Effect.gen(function*() {
          remove(place.disk, `${place.directory}/config`)
          assert.strictEqual((yield* Effect.flip(repository.check))._tag, "RepositoryMissing")
          const error = yield* Effect.flip(repository.history)
          assert.strictEqual(error._tag, "RepositoryMissing")
          assert.include(error.message, place.directory)
          yield* repository.publish(revision(1))
          yield* repository.check
        })
      ))

    it.effect("gives back what was published, oldest first, complete and incomplete apart", () =>
      inRepository((repository) =>
        Effect.gen(function*() {
          for (const n of [3, 1, 2]) yield* repository.publish(revision(n))
          yield* repository.publish(revision(4, { complete: false }))
          const history = yield* repository.history
          assert.deepStrictEqual(history.complete, [revision(1), revision(2), revision(3)])
          assert.deepStrictEqual(history.incomplete, [revision(4, { complete: false })])
        })
      ))

    it.effect("replaces metadata that is published again, read-only and without leftovers", () =>
      inRepository((repository, { directory, disk }) =>
        Effect.gen(function*() {
          yield* repository.publish(revision(1, { complete: false }))
          yield* repository.publish(Revision.update(revision(1), { tags: ["weekly"] }))
          const { complete, incomplete } = yield* repository.history
          assert.deepStrictEqual(complete.map(({ tags }) => tags), [["weekly"]])
          assert.deepStrictEqual(incomplete, [])
          assert.deepStrictEqual(listOf(disk, directory), [`${revision(1).id}.rev`, "config"])
          assert.strictEqual(disk.lstat(`${directory}/${revision(1).id}.rev`).mode, 0o440)
        })
      ))

    it.effect("tells what is wrong with a bad .rev and shows the others", () =>
      inRepository((repository, place) =>
        Effect.gen(function*() {
          for (const n of [1, 2, 3, 4, 5]) yield* repository.publish(revision(n))
          const file = (n: number) => `${revision(n).id}.rev`
          replace(place, file(1), new Uint8Array(0))
          replace(place, file(2), bytesOf(place.disk, `${place.directory}/${file(3)}`))
          replace(place, file(4), new Uint8Array(2 * 1024 * 1024).fill(0x20))
          remove(place.disk, `${place.directory}/${file(5)}`)
          place.disk.makeDirectory(`${place.directory}/${file(5)}`, 0o750)
          const { broken, complete } = yield* repository.history
          assert.deepStrictEqual(complete, [revision(3)])
          assert.deepStrictEqual(
            broken.map(({ path }) => path).sort(),
            [1, 2, 4, 5].map((n) => `${place.directory}/${file(n)}`).sort()
          )
          const reasons = new Map(broken.map(({ path, reason }) => [path, reason]))
          assert.include(reasons.get(`${place.directory}/${file(2)}`), `it says that it is revision ${revision(3).id}`)
          assert.include(reasons.get(`${place.directory}/${file(4)}`), "larger than")
          place.disk.removeDirectory(`${place.directory}/${file(5)}`)
        })
      ))

    it.effect("reads no metadata through links, and none from files of other names", () =>
      inRepository((repository, { directory, disk }) =>
        Effect.gen(function*() {
          yield* repository.publish(revision(1))
          const bytes = bytesOf(disk, `${directory}/${revision(1).id}.rev`)
          for (const other of ["last.rev", "last", `${revision(2).id}.rev.old`, ".hidden.rev"]) {
            write(disk, `${directory}/${other}`, bytes)
          }
          const { broken, complete } = yield* repository.history
          assert.deepStrictEqual([complete.length, broken.length], [1, 0])
          assert.deepStrictEqual(yield* repository.mapIds, [])
        })
      ))

    it.effect("gives back a published map, checked against its digest and size", () =>
      inRepository((repository, place) =>
        Effect.gen(function*() {
          const { id } = revision(1)
          const mapDigest = yield* repository.publishMap(id, map())
          const whole = revision(1, { mapDigest })
          assert.deepStrictEqual(yield* repository.readMap(whole), map())
          assert.deepStrictEqual(yield* repository.mapIds, [id])
          assert.strictEqual(place.disk.lstat(`${place.directory}/${id}`).mode, 0o440)
          const unusable = (asked: Revision.Revision) => Effect.map(Effect.flip(repository.readMap(asked)), String)
          assert.include(yield* unusable(revision(1, { mapDigest: "0".repeat(64) })), "its digest differs")
          assert.include(yield* unusable(Revision.update(whole, { size: 5 })), "12287 bytes")
          assert.include(yield* unusable(revision(2)), "it is missing")
          const good = bytesOf(place.disk, `${place.directory}/${id}`)
          for (let length = 0; length < good.length; length += 7) {
            replace(place, id, good.subarray(0, length))
            assert.include(yield* unusable(whole), id, `cut to ${length} bytes`)
            assert.strictEqual((yield* Effect.flip(repository.references(id, undefined)))._tag, "MapUnusable")
          }
        })
      ))

    it.effect("removes a revision with its map, and does not mind what is not there", () =>
      inRepository((repository, { directory, disk }) =>
        Effect.gen(function*() {
          yield* repository.publish(revision(1))
          yield* repository.publishMap(revision(1).id, map())
          yield* repository.publishMap(revision(2).id, map())
          yield* repository.remove(revision(1).id)
          yield* repository.remove(revision(1).id)
          yield* repository.removeMap(revision(2).id)
          yield* repository.removeMap(revision(2).id)
          assert.deepStrictEqual(listOf(disk, directory), ["config"])
        })
      ))
  })
}
