/** A source from a plug-in, loaded as a user would: the example of the guide, named in a repository's config. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { fails, MIB, noise, ok, PROGRAM, run } from "./program.ts"

const EXAMPLE = fileURLToPath(new URL("../../docs/examples/command-source.mjs", import.meta.url))

let folder = ""
let repository = ""
let image = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "backy-plugin-"))
  repository = join(folder, "vm")
  image = join(folder, "image")
  mkdirSync(repository)
  copyFileSync(EXAMPLE, join(repository, "command-source.mjs"))
  writeFileSync(image, Buffer.concat([noise(5 * MIB), Buffer.alloc(9 * MIB), noise(MIB + 77, 2)]))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Writes the config of a repository with the image as the output of a command. */
const configure = (command: ReadonlyArray<string>, plugin = "./command-source.mjs") =>
  writeFileSync(
    join(repository, "config"),
    JSON.stringify({
      settings: { plugins: [plugin] },
      schedule: { daily: { interval: "1d", keep: 3 } },
      source: { type: "command", command, "size-command": ["stat", "-c", "%s", image] }
    })
  )

const restoredIsImage = async () => {
  const target = join(folder, "restored")
  await ok("-b", repository, "restore", target)
  assert.strictEqual((await run("cmp", [target, image])).code, 0)
  rmSync(target)
}

describe("a plug-in's source", () => {
  it("is backed up and restored, and found by other commands, too", async () => {
    configure(["cat", image])
    assert.match(await ok("-b", repository, "backup", "daily"), /of the output of "cat [^"]*": 15\.0 MiB/)
    await restoredIsImage()
    appendFileSync(image, noise(3 * MIB, 3))
    assert.match(await ok("-b", repository, "backup", "daily"), /all of it compared with the source/)
    await restoredIsImage()
    truncateSync(image, 2 * MIB + 1)
    await ok("-b", repository, "backup", "daily")
    await restoredIsImage()
    await ok("-b", repository, "expire", "-n")
  })

  it("that gives something else the second time makes no revision", async () => {
    const counter = join(folder, "counter")
    const script =
      `cat ${image} | head -c -1; if [ -e ${counter} ]; then printf x; else tail -c 1 ${image}; fi; touch ${counter}`
    configure(["sh", "-c", script])
    const { code, err } = await run(PROGRAM, ["-b", repository, "backup", "daily"])
    assert.strictEqual(code, 1)
    assert.match(err, /1 block of the output of .* differs from what was stored, the first at byte 12582912/)
    assert.strictEqual(await ok("-b", repository, "find", "-r", "all", "--uuid"), "")
  })

  it("that ends early, fails, or gives too much makes no revision", async () => {
    for (const script of [`head -c 1000000 ${image}`, `cat ${image}; exit 3`, `cat ${image}; echo`, "true"]) {
      configure(["sh", "-c", script])
      assert.match(await fails(1, "-b", repository, "backup", "daily"), /^backy: cannot back up the output of "sh -c /)
    }
  })

  const invalid: ReadonlyArray<readonly [string, string | undefined, RegExp]> = [
    ["is missing", undefined, /cannot use plug-in \.\/other\.mjs: Cannot find module/],
    ["does not parse", "export default (", /cannot use plug-in \.\/other\.mjs: Unexpected/],
    ["exports nothing", "export const x = 1", /does not export a function by default/],
    ["returns something else", "export default () => [{}]", /does not return a list of what provider\(\) makes/],
    ["throws", "export default () => { throw new Error('no licence') }", /no licence/],
    [
      "adds a type that is there",
      "export default ({ Effect, Schema, provider, sourceType }) => [provider({ operand: '', parse: () => undefined," +
      "make: () => Effect.never, type: sourceType('file', Schema.Struct({ type: Schema.Literal('file') })) })]",
      /there is a source type "file" already/
    ],
    [
      "does not say how to compare",
      "export default ({ Effect, Schema, Source, Stream, provider, sourceType }) => [provider({ operand: ''," +
      "parse: () => undefined, type: sourceType('command', Schema.Struct({ type: Schema.Literal('command')," +
      "command: Schema.Any, 'size-command': Schema.Any })), make: () => Effect.succeed(Source.of({ name: 'x'," +
      "check: Effect.void, snapshot: () => Effect.succeed({ size: 0, published: Effect.void, content: {" +
      "_tag: 'Changes', since: () => Effect.succeed({ changes: Stream.empty }) } }) })) })]",
      /does not say how what was stored can be compared/
    ]
  ]
  for (const [what, module, reason] of invalid) {
    it(`is refused with one line when the module ${what}`, async () => {
      if (module !== undefined) writeFileSync(join(repository, "other.mjs"), module)
      configure(["cat", image], "./other.mjs")
      assert.match(await fails(1, "-b", repository, "backup", "daily"), reason)
    })
  }
})
