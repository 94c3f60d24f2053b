/** A source from a plug-in, loaded as a user would: the example of the guide, named on the command line. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
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
  writeFileSync(image, Buffer.concat([noise(5 * MIB), Buffer.alloc(9 * MIB), noise(MIB + 77, 2)]))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Writes the config of a repository with the image as the output of a command. */
const configure = (command: ReadonlyArray<string>, settings?: unknown) =>
  writeFileSync(
    join(repository, "config"),
    JSON.stringify({
      ...settings === undefined ? {} : { settings },
      schedule: { daily: { interval: "1d", keep: 3 } },
      source: { type: "command", command, "size-command": ["stat", "-c", "%s", image] }
    })
  )

/** A backup with the plug-in of the guide. */
const backup = () => ["-b", repository, "--plugin", EXAMPLE, "backup", "daily"]

const restoredIsImage = async () => {
  const target = join(folder, "restored")
  await ok("-b", repository, "restore", target)
  assert.strictEqual((await run("cmp", [target, image])).code, 0)
  rmSync(target)
}

describe("a plug-in's source", () => {
  it("is backed up and restored, and found by other commands, too", async () => {
    configure(["cat", image])
    assert.match(await ok(...backup()), /of the output of "cat [^"]*": 15\.0 MiB/)
    await restoredIsImage()
    appendFileSync(image, noise(3 * MIB, 3))
    assert.match(await ok(...backup()), /all of it compared with the source/)
    await restoredIsImage()
    truncateSync(image, 2 * MIB + 1)
    await ok(...backup(), "--accept-shrink")
    await restoredIsImage()
    await ok("-b", repository, "expire", "-n")
  })

  it("that gives something else the second time makes no revision", async () => {
    const counter = join(folder, "counter")
    const script =
      `cat ${image} | head -c -1; if [ -e ${counter} ]; then printf x; else tail -c 1 ${image}; fi; touch ${counter}`
    configure(["sh", "-c", script])
    const { code, err } = await run(PROGRAM, backup())
    assert.strictEqual(code, 1)
    assert.match(err, /1 block of the output of .* differs from what was stored, the first at byte 12582912/)
    assert.strictEqual(await ok("-b", repository, "find", "-r", "all", "--uuid"), "")
  })

  it("that ends early, fails, or gives too much makes no revision", async () => {
    for (const script of [`head -c 1000000 ${image}`, `cat ${image}; exit 3`, `cat ${image}; echo`, "true"]) {
      configure(["sh", "-c", script])
      assert.match(await fails(1, ...backup()), /^backy: cannot back up the output of "sh -c /)
    }
  })

  const invalid: ReadonlyArray<readonly [string, string | undefined, RegExp]> = [
    ["is missing", undefined, /cannot use plug-in \/.*\/other\.mjs: ENOENT: no such file/],
    ["does not parse", "export default (", /cannot use plug-in \/.*\/other\.mjs: Unexpected/],
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
      const other = join(folder, "other.mjs")
      if (module !== undefined) writeFileSync(other, module)
      configure(["cat", image])
      assert.match(await fails(1, "-b", repository, "--plugin", other, "backup", "daily"), reason)
    })
  }

  it("can be had by the environment, and makes a repository of its type", async () => {
    configure(["cat", image])
    const env = { BACKY_PLUGINS: EXAMPLE }
    assert.strictEqual((await run(PROGRAM, ["-b", repository, "backup", "daily"], { env })).code, 0)
    const relative = await run(PROGRAM, ["-b", repository, "backup", "daily"], { env: { BACKY_PLUGINS: "x.mjs" } })
    assert.deepStrictEqual([relative.code, relative.err], [
      1,
      "backy: cannot use plug-in x.mjs: a plug-in is named by its absolute path\n"
    ])
    const other = await run(PROGRAM, ["-b", join(folder, "other"), "init", "command", "x"], { env })
    assert.strictEqual(other.code, 2)
    assert.match(other.err, /^backy: "x" does not name a source of type command, which looks like a command, which/)
  })

  it("is unknown without its plug-in, and only a backup minds", async () => {
    configure(["cat", image])
    await ok(...backup())
    assert.match(await fails(1, "-b", repository, "backup", "daily"), /there is no source type "command"/)
    for (const words of EVERY) await ok("-b", repository, ...words)
    await restoredIsImage()
  })
})

/** Commands that read a repository's config or its revisions, but need no source. */
const EVERY: ReadonlyArray<ReadonlyArray<string>> = [
  ["status"],
  ["find"],
  ["verify"],
  ["tags", "add", "weekly", "-f"],
  ["tags", "set", "daily"],
  ["expire", "-n"],
  ["expire"],
  ["purge"],
  ["upgrade", "-n"],
  ["upgrade"],
  ["reports", "list"],
  ["distrust"]
]

describe("a repository that names plug-ins itself", () => {
  const evil = () => join(repository, "evil.mjs")
  const mark = () => join(folder, "it-ran")

  beforeEach(async () => {
    configure(["cat", image])
    await ok(...backup())
    writeFileSync(
      evil(),
      `import { writeFileSync } from "node:fs"\nwriteFileSync(${JSON.stringify(mark())}, "")\nexport default () => []\n`
    )
  })

  for (const isAbsolute of [false, true]) {
    it(`has none of them executed by any command: ${isAbsolute ? "by its whole path" : "by its name"}`, async () => {
      configure(["cat", image], { plugins: isAbsolute ? [evil()] : ["./evil.mjs", "evil.mjs"] })
      const some = isAbsolute ? EVERY : [["expire", "-n"]]
      for (const words of [...some, ["restore", join(folder, "target")]]) {
        const { code, err } = await run(PROGRAM, ["-b", repository, ...words], { cwd: repository })
        assert.strictEqual(code, 0, `${words.join(" ")}: ${err}`)
        assert.isBelow(err.split("names plug-ins, which are ignored").length, 3, err)
      }
      const { code, err } = await run(PROGRAM, ["-b", repository, "backup", "daily"])
      assert.strictEqual(code, 1)
      assert.match(err, /there is no source type "command"/)
      const warned = await run(PROGRAM, backup())
      assert.strictEqual(warned.code, 0, warned.err)
      assert.match(warned.err, /^warning: .*\/vm\/config names plug-ins, which are ignored: nothing in a repository/)
      assert.isFalse(existsSync(mark()))
    })
  }

  it("has none executed that lies in it, also when the operator is made to name it", async () => {
    symlinkSync(evil(), join(folder, "innocent.mjs"))
    symlinkSync(repository, join(folder, "elsewhere"))
    for (const plugin of [evil(), join(folder, "innocent.mjs"), join(folder, "elsewhere", "evil.mjs")]) {
      assert.match(
        await fails(1, "-b", repository, "--plugin", plugin, "backup", "daily"),
        /it lies in the repository, of which nothing is ever executed$/
      )
    }
    assert.isFalse(existsSync(mark()))
    assert.notInclude(readFileSync(join(repository, "config"), "utf8"), "plugins")
  })
})
