/** docs/configuration.md lists every key that there is, no other, and the defaults that hold. */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type * as AST from "effect/SchemaAST"
import { readdirSync, readFileSync } from "node:fs"
import { Global } from "../../src/config/DaemonConfig.ts"
import { fields } from "../../src/config/Settings.ts"
import { CephRbdSource, FileSource, FlyingCircusSource } from "../../src/domain/SourceConfig.ts"

const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8")

/** The rows of the table below a heading: keys, and what stands in the next column. */
const table = (heading: string): ReadonlyMap<string, string> => {
  const section = page.split(/^#+ /m).find((text) => text.startsWith(heading)) ?? ""
  return new Map(
    section.split("\n").filter((line) => line.startsWith("| `")).flatMap((line) => {
      const [, keys = "", next = ""] = line.split("|").map((cell) => cell.trim())
      return keys.split(", ").map((key) => [key.replaceAll("`", ""), next.replaceAll("`", "")] as const)
    })
  )
}

/** The keys as the user writes them. */
const keysOf = (schema: Schema.Schema.Any): ReadonlyArray<string> => {
  // TypeLiteral, since all of them are structs
  const encoded = Schema.encodedSchema(schema).ast as AST.TypeLiteral
  return encoded.propertySignatures.map(({ name }) => String(name))
}
const sorted = (keys: Iterable<string>) => [...new Set(keys)].sort()

describe("docs/configuration.md", () => {
  it("lists the keys of global", () => {
    const settings = keysOf(Schema.Struct(fields))
    assert.deepStrictEqual(sorted(table("How backy works").keys()), sorted(settings))
    const own = keysOf(Global).filter((key) => !settings.includes(key))
    assert.deepStrictEqual(sorted(table("global").keys()), sorted(own))
  })

  it("tells the defaults of global", () => {
    const rows = table("global")
    const values = Schema.encodeSync(Global)(Schema.decodeUnknownSync(Global)({}))
    for (const [key, value] of Object.entries(values)) {
      assert.strictEqual(rows.get(key), Array.isArray(value) ? value.join(", ") : String(value), key)
    }
  })

  it("lists the keys of sources, and of which type they are", () => {
    const rows = table("Sources")
    const types = { file: FileSource, "ceph-rbd": CephRbdSource, flyingcircus: FlyingCircusSource }
    const found = new Map<string, Array<string>>()
    for (const [type, schema] of Object.entries(types)) {
      for (const key of keysOf(schema)) found.set(key, [...found.get(key) ?? [], type])
    }
    assert.deepStrictEqual(sorted(rows.keys()), sorted(found.keys()))
    for (const [key, of] of found) {
      assert.strictEqual(rows.get(key), of.length === Object.keys(types).length ? "all" : of.join(", "), key)
    }
  })
})

describe("environment variables", () => {
  const root = new URL("../../", import.meta.url)
  const below = (folder: string): ReadonlyArray<string> =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`)
  const sources = below("src").filter((name) => name.endsWith(".ts")).map((name) =>
    readFileSync(new URL(name, root), "utf8")
  )
  const cli = readFileSync(new URL("docs/cli.md", root), "utf8")
  const section = cli.split(/^## /m).find((text) => text.startsWith("Environment")) ?? ""

  it("that the program reads are in docs/cli.md, and no other is", () => {
    const read = new Set(
      sources.flatMap((text) =>
        [...text.matchAll(/process\.env(?:\.|\[")([A-Z_]+)|\bvariable\("([A-Z_]+)"/g)].map(([, a, b]) => a ?? b ?? "")
      )
    )
    // between the launcher and the program, and of a part that no command has yet
    for (const name of read) {
      if (name === "BACKY_NO_HANGUP" || name === "PATH" || name.startsWith("AWS_")) read.delete(name)
    }
    assert.isTrue(read.has("BACKY_WORKERS") && read.has("BACKY_RBD"))
    const told = new Set([...section.matchAll(/`([A-Z_]+)`/g)].map(([, name = ""]) => name))
    // other programs' that are handed on, the C library's, and the convention that is kept by colouring nothing
    for (const name of ["CEPH_CONF", "TZ", "NO_COLOR"]) {
      assert.isTrue(told.delete(name), name)
      read.delete(name)
    }
    assert.deepStrictEqual(sorted(told), sorted(read))
  })
})
