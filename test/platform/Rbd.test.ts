import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Rbd from "../../src/platform/Rbd.ts"

describe("the name of an RBD image", () => {
  it("is one of pool and image, or of pool, namespace and image", () => {
    for (
      const [text, image] of [
        ["rbd/vm", { pool: "rbd", image: "vm" }],
        ["rbd/tenant/vm", { pool: "rbd", namespace: "tenant", image: "vm" }]
      ] as const
    ) {
      assert.deepStrictEqual(Rbd.parse(text), Either.right(image))
      assert.strictEqual(Rbd.format(image), text)
      assert.strictEqual(Rbd.format(image, "s"), `${text}@s`)
    }
  })

  const refused: ReadonlyArray<readonly [string, RegExp]> = [
    ["", /parted by a slash/],
    ["vm", /parted by a slash/],
    ["a/b/c/d", /too many slashes/],
    ["/vm", /empty/],
    ["rbd//vm", /empty/],
    ["rbd/ns/", /empty/],
    ["rbd/-f/vm", /taken for an option/],
    ["rbd/vm@s", /part pool, namespace, image and snapshot/],
    ["rbd/a\nb", /control characters/]
  ]
  for (const [text, why] of refused) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.match(problemOf(text), why)
    })
  }
})

const problemOf = (text: string): string => Either.match(Rbd.parse(text), { onLeft: (why) => why, onRight: () => "" })
