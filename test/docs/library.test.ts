/** The package that `npm pack` makes, as somebody else would have it, and the programs of docs/library.md with it. */
import { assert, describe, it } from "@effect/vitest"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"
import { bash, run } from "../end-to-end/program.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const page = readFileSync(join(root, "docs/library.md"), "utf8")
const programs = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([_, text]) => text ?? "")

describe("docs/library.md", () => {
  it("has programs that compile and do what they say", async () => {
    const place = mkdtempSync(join(tmpdir(), "backy-library-"))
    onTestFinished(() => rmSync(place, { recursive: true, force: true }))
    const ends = async (what: string, words: ReadonlyArray<string>) => {
      const { code, err, out } = await run(process.execPath, words, { cwd: place })
      assert.strictEqual(code, 0, `${what}: ${out}${err}`)
      return out
    }
    const modules = join(place, "node_modules")
    mkdirSync(join(modules, "backy"), { recursive: true })
    for (const name of readdirSync(join(root, "node_modules"))) {
      symlinkSync(join(root, "node_modules", name), join(modules, name))
    }
    // what npm would fetch beside it is linked: the registry is no part of this
    const packed = await bash(
      `cd '${root}' && npm pack --silent --foreground-scripts=false --pack-destination '${place}' >&2 &&
      tar -xzf '${place}'/*.tgz -C '${modules}/backy' --strip-components=1 && cd '${modules}/backy' && ls`,
      place
    )
    assert.strictEqual(packed.code, 0, packed.err)
    const contents = [
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "contrib",
      "dist",
      "docs",
      "lib",
      "package.json",
      "src"
    ]
    assert.deepStrictEqual(packed.out.trim().split("\n"), contents)
    // the program of the package, found as npm links it
    symlinkSync(join(modules, "backy/dist/backy"), join(place, "backy"))
    assert.match((await bash("./backy --version", place)).out, /^backy 3\./)

    const files = programs.map((text, index) => {
      writeFileSync(join(place, `program${index}.ts`), text)
      return `program${index}.ts`
    })
    writeFileSync(join(place, "package.json"), JSON.stringify({ type: "module" }))
    const compilerOptions = { module: "nodenext", target: "es2024", strict: true, noEmit: true, types: ["node"] }
    writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files }))
    await ends("types", [join(root, "node_modules/typescript/bin/tsc"), "--skipLibCheck"])

    writeFileSync(join(place, "vm.img"), "an image on disk")
    const [first = "", second = ""] = files
    assert.match(
      await ends("the first", [first, join(place, "vm"), join(place, "vm.img")]),
      /^\w{22}: 1 chunks written\n$/
    )
    assert.strictEqual(await ends("the second", [second]), "an image, if a small one\n")
  })
})
