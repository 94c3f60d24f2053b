/** What a file system that can share blocks between files promises of a copy: a test calls it for each. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Disk } from "../../../src/platform/Disk.ts"
import { Reflink } from "../../../src/platform/Reflink.ts"
import { bytesOf } from "../diskFiles.ts"
import { setFile } from "../World.ts"

/** A directory on a disk, and copies there. `shares`: whether they can be made at all. */
export interface Place {
  readonly disk: Disk
  readonly directory: string
  readonly layer: Layer.Layer<never>
  readonly shares: boolean
}

const clone = (from: string, to: string) => Effect.flatMap(Reflink, (reflink) => reflink.clone(from, to))

export const reflinkContract = (
  name: string,
  inPlace: <E>(use: (place: Place) => Effect.Effect<void, E>) => Effect.Effect<void, E>
): void => {
  const test = (title: string, use: (place: Place) => Effect.Effect<void, unknown>) =>
    it.effect(title, () => inPlace((place) => Effect.provide(use(place), place.layer)))

  describe(`as copies: ${name}`, () => {
    const content = Uint8Array.from({ length: 300_001 }, (_, at) => at < 100_000 || at > 200_000 ? at % 251 : 0)

    test("a copy has the bytes, and neither follows the other afterwards; or there is none", ({ directory, disk, shares }) =>
      Effect.gen(function*() {
        const [from, to] = [`${directory}/from`, `${directory}/to`]
        setFile(disk, from, content)
        assert.strictEqual(yield* clone(from, to), shares)
        if (!shares) return assert.notInclude(disk.list(directory), "to")
        assert.deepStrictEqual(bytesOf(disk, to), content)
        setFile(disk, from, Uint8Array.of(1))
        assert.deepStrictEqual(bytesOf(disk, to), content)
        const descriptor = disk.open(to, { access: "write" })
        disk.write(descriptor, Uint8Array.of(9, 9), 150_000)
        disk.sync(descriptor)
        disk.close(descriptor)
        assert.deepStrictEqual(bytesOf(disk, to).subarray(149_999, 150_003), Uint8Array.of(0, 9, 9, 0))
        assert.deepStrictEqual(bytesOf(disk, from), Uint8Array.of(1))
      }))

    test("what is there is not replaced, and what is not there not copied", ({ directory, disk }) =>
      Effect.gen(function*() {
        const [from, to] = [`${directory}/from`, `${directory}/to`]
        setFile(disk, from, content)
        setFile(disk, to, Uint8Array.of(1))
        assert.strictEqual((yield* Effect.flip(clone(from, to))).code, "EEXIST")
        assert.deepStrictEqual(bytesOf(disk, to), Uint8Array.of(1))
        assert.strictEqual((yield* Effect.flip(clone(`${directory}/none`, `${directory}/new`))).code, "ENOENT")
        assert.notInclude(disk.list(directory), "new")
      }))
  })
}
